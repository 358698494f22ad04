import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { suite, test } from 'node:test';
import { CliHome } from '../helpers/cli-process.ts';
import { findKubeBinaries } from '../helpers/kube-apiserver.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';

const binaries = await findKubeBinaries();
const api = (await sandboxApis()).find(({ name }) => name === 'kube-apiserver');

interface Kubectl {
  failed: boolean;
  stderr: string;
}

suite('spec.permissions in a sandbox on kube-apiserver', { skip: api?.skip }, () => {
  test('three commands make the API server enforce them', async (t) => {
    const home = await CliHome.create(api?.env);
    t.after(() => home.close());
    const kubeconfig = path.join(home.sandboxFolder, 'kubeconfig');
    const kubectl = (...args: string[]): Promise<Kubectl> =>
      new Promise((resolve) => {
        const program = 'reason' in binaries ? '' : binaries.kubectl;
        const env = { ...home.env, KUBECONFIG: kubeconfig };
        execFile(program, args, { env, timeout: 60_000 }, (error, _stdout, stderr) => {
          resolve({ failed: error !== null, stderr });
        });
      });
    const asAlice = (kind: string, name: string, body: object): Promise<Kubectl> =>
      kubectl('patch', kind, name, '--as', 'alice', '--type', 'merge', '-p', JSON.stringify(body));

    await home.succeed(['sandbox', 'start', '--api', 'kube-apiserver', '--driver', 'simulated']);
    await home.succeed(['start', 'desktop-1']);
    await home.succeed(['access', 'apply']);

    await home.succeed(['permissions', 'grant', 'desktop-2', '--user', 'alice', '--may', 'start']);
    await home.succeed(['access', 'apply']);
    const more = { spec: { permissions: [{ user: 'alice', may: ['*'] }] } };
    const refused = await asAlice('vm', 'desktop-2', more);
    assert.match(refused.stderr, /vmop: needs permission administrate on VM desktop-2/);
    for (const vm of ['desktop-1', 'desktop-2']) {
      const secret = await asAlice('secret', `${vm}-display-secret`, {
        data: { 'display-password': 'eA==' },
      });
      assert.match(secret.stderr, /"alice" cannot (?:get|patch) resource "secrets"/);
    }
    assert.match((await asAlice('vm', 'desktop-1', more)).stderr, /"alice" cannot get resource "vms"/);
    await home.succeed(['start', 'desktop-2', '--as', 'alice']);
    // What the operator and the runners have to do goes through as before.
    await home.succeed(['stop', 'desktop-1']);
    await home.succeed(['reset', 'desktop-2']);
    await home.succeed(['access', 'check']);
  });
});
