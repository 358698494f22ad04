import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test, type TestContext } from 'node:test';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster } from '../../src/lib/cluster/types.ts';
import { kubeconfigText } from '../../src/lib/sandbox/kubeconfig.ts';
import { parseRbacRefusal } from '../../src/lib/vm/refusal.ts';
import { consoleUse } from '../../src/lib/vm/state.ts';
import { eventually, type CliProcess, type CliRun } from '../helpers/cli-process.ts';
import { clientCertificate, sandboxAuthority } from '../helpers/client-certificate.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';
import { DESKTOP, missingForDesktop, RealSandbox } from './real-sandbox.ts';
import { takesPassword } from './spice-login.ts';

const api = (await sandboxApis()).find(({ name }) => name === 'kube-apiserver');
const skip = (await missingForDesktop()) ?? api?.skip ?? api?.noKubelet ?? false;
const POD = { namespace: 'default', name: DESKTOP };
const LIMIT_MS = 30_000;

/** Users with certificates of their own, whom nothing but spec.permissions lets do anything. */
const GRANTS = {
  alice: 'accessConsole',
  bob: 'takeConsole',
  carol: 'accessConsole',
  dave: 'start',
} as const;
type User = keyof typeof GRANTS;

suite('consoles of restricted users on a real API server, a real desktop and a real viewer', { skip }, () => {
  let real: RealSandbox;

  before(async () => {
    real = await RealSandbox.create(api?.env);
    await real.startDesktop('kube-apiserver');
    for (const [user, may] of Object.entries(GRANTS)) {
      await real.home.succeed(['permissions', 'grant', DESKTOP, '--user', user, '--may', may]);
      await makeKubeconfig(user);
    }
    await real.home.succeed(['access', 'apply']);
  });
  after(async () => await real.close());

  const kubeconfigOf = (user: string): string => path.join(real.home.folder, `${user}.kubeconfig`);

  async function makeKubeconfig(user: string): Promise<void> {
    const { info, config } = loadKubeconfig({
      env: {},
      file: path.join(real.home.sandboxFolder, 'kubeconfig'),
    });
    const authority = await sandboxAuthority(path.join(real.home.sandboxFolder, 'api'));
    const certificate = await clientCertificate(authority, { username: user, groups: [] });
    const caPem = Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString();
    const text = kubeconfigText({ url: info.server, caPem, userName: user, ...certificate });
    await writeFile(kubeconfigOf(user), text, { mode: 0o600 });
  }

  const lineOf = (user: User, args: string[]): string[] => [...args, '--kubeconfig', kubeconfigOf(user)];
  const run = (user: User, ...args: string[]): Promise<CliRun> => real.home.run(lineOf(user, args));

  async function connected(t: TestContext, user: User, ...args: string[]): Promise<CliProcess> {
    const console = real.home.start(lineOf(user, ['console', DESKTOP, ...args]));
    t.after(async () => {
      console.kill('SIGTERM');
      await console.ended();
    });
    await console.shows(/connected to desktop-1/);
    return console;
  }

  /** For whoever is connected, once that can be ended: see `guestIsShown`. */
  async function isUsedBy(user: User): Promise<void> {
    await real.guestIsShown();
    await eventually(`${user} uses the console`, async () => {
      assert.equal(consoleUse(await real.vm()).user, user);
    });
  }

  async function assertRefused(user: User, line: string, message: RegExp): Promise<void> {
    const { code, stdout, stderr } = await run(user, ...line.split(' '));
    assert.equal(code, 4, `${user}: vmop ${line}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stdout, '');
  }

  function clusterOf(t: TestContext, user: User): Cluster {
    const kubeconfig = loadKubeconfig({ env: {}, file: kubeconfigOf(user) });
    const cluster = openCluster(kubeconfig, { userAgent: 'vmop-test', timeoutMs: LIMIT_MS });
    t.after(() => cluster.close());
    return cluster;
  }

  test('--file - : a connection file with a password that the display takes', async () => {
    const { code, stdout, stderr } = await run('alice', 'console', DESKTOP, '--file', '-');
    assert.equal(code, 0, stderr);
    const port = Number(/^port=(\d+)$/m.exec(stdout)?.[1]);
    const password = /^password=(.+)$/m.exec(stdout)?.[1] ?? '';
    assert.equal(port, await real.spicePort());
    assert.equal(await takesPassword(port, password), true);
    await assertRefused(
      'dave',
      `console ${DESKTOP} --file -`,
      /^error: dave holds neither accessConsole nor takeConsole on desktop-1\n {2}spec\.permissions of VM desktop-1 gives it to /m,
    );
  });

  test('log and port-forward come from the kubelet for accessConsole, and for nobody with less', async (t) => {
    const port = await real.spicePort();
    const signal = AbortSignal.timeout(LIMIT_MS);
    const [alice, dave] = [clusterOf(t, 'alice'), clusterOf(t, 'dave')];
    assert.notEqual(await alice.log(POD), '');
    (await alice.forward(POD, port, { signal })).destroy();
    for (const attempt of [() => dave.log(POD), () => dave.forward(POD, port, { signal })]) {
      await assert.rejects(attempt, (error: Error) => parseRbacRefusal(error.message)?.user === 'dave');
    }
  });

  test('--tunnel always, through the API server, until who holds takeConsole takes it over', async (t) => {
    const alice = await connected(t, 'alice', '--tunnel', 'always');
    await isUsedBy('alice');
    await real.typeIntoGuest('echo alice, through the API server');

    await assertRefused(
      'carol',
      `console ${DESKTOP} --take --tunnel always`,
      /^error: alice is connected to desktop-1 .*, and carol does not hold takeConsole\n {2}ask alice to leave, or an administrator for the permission$/m,
    );
    // What vmop does not ask, the API server does.
    await assertRefused(
      'carol',
      `secret rotate ${DESKTOP}`,
      /^error: carol does not hold the permission takeConsole on desktop-1\n {2}spec\.permissions of VM desktop-1 gives it to \S+, bob; an administrator of namespace default can change that$/m,
    );
    const asked = await run('bob', 'console', DESKTOP, '--tunnel', 'always');
    assert.equal(asked.code, 5, asked.stderr);
    assert.equal(consoleUse(await real.vm()).user, 'alice');
    await real.typeIntoGuest('echo alice, still');

    const bob = await connected(t, 'bob', '--take', '--tunnel', 'always');
    const taken = await alice.ended();
    assert.equal(taken.code, 5, taken.stderr);
    await isUsedBy('bob');
    await real.typeIntoGuest('echo bob, through the API server');
    bob.kill('SIGINT');
    assert.equal((await bob.ended()).code, 130);
    await real.assertOnlySandboxIsLeft();
  });
});
