import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { GROUP } from '../../../src/lib/vm/types.ts';
import { LINK_NEEDS_TLS } from '../../../src/lib/console/spice-link.ts';
import { startFakeSpice, type FakeSpiceManner } from '../../e2e/fake-spice.ts';
import { startHttpProxy } from '../../helpers/proxies.ts';
import { startScriptedOperator, type ScriptedOperator } from '../../helpers/scripted-operator.ts';
import { startVmop } from '../../helpers/vmop.ts';
import { startFakeServer, type FakeServerOptions } from '../../lib/console/bridge/spice-server.ts';
import { Situations } from '../../e2e/situations.ts';
import { closeWindow, consoleStage } from './stage.ts';

const SUBJECTS = { users: ['alice'] };
const stage = consoleStage({
  // No pods/portforward.
  rules: [
    {
      subjects: SUBJECTS,
      verbs: ['get', 'list', 'watch', 'patch'],
      apiGroups: [GROUP],
      resources: ['vms', 'vmpools', 'vms/status'],
    },
    {
      subjects: SUBJECTS,
      verbs: ['get', 'list', 'watch', 'patch'],
      apiGroups: [''],
      resources: ['secrets', 'pods'],
    },
  ],
});
const situations = new Situations('Ways');
/** Nobody listens there. */
const ELSEWHERE = 'hosts:\n  127.0.0.1: 127.0.0.77\n';
const MAY = { permissions: [{ user: 'alice', may: ['accessConsole'] }] };

async function fakeSpice(t: TestContext, manner: FakeSpiceManner): Promise<string[]> {
  const server = await startFakeSpice(manner);
  t.after(() => server.close());
  return ['--host', '127.0.0.1', '--port', String(server.port)];
}

async function fakeServer(t: TestContext, options: Partial<FakeServerOptions>): Promise<string[]> {
  const server = await startFakeServer({ passwords: () => [], ...options });
  t.after(() => server.close());
  return ['--host', '127.0.0.1', '--port', String(server.port)];
}

async function certificate(commonName: string): Promise<{ key: string; cert: string; file: string }> {
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: commonName }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: commonName }] }],
  });
  const file = path.join(await stage.folder(), 'ca.pem');
  await writeFile(file, cert);
  return { key, cert, file };
}

type Place = (t: TestContext) => Promise<string[]> | string[];

const UNREACHED: [situation: string, place: Place, sentence: RegExp][] = [
  [
    'the host’s name is not known here',
    () => ['--host', 'does-not-exist.invalid'],
    /^error: the console's host does-not-exist\.invalid has no address here/m,
  ],
  ['nobody listens at the SPICE port', () => ['--host', '127.0.0.1', '--port', '1'], /nothing accepts/],
  ['the SPICE port accepts and never speaks', (t) => fakeSpice(t, 'silent'), /a viewer would hang/],
  ['the SPICE port hangs up', (t) => fakeSpice(t, 'closes'), /hangs up at once/],
  ['something else answers at the SPICE port', (t) => fakeSpice(t, 'http'), /is no SPICE server/],
  [
    'the proxy is not there',
    () => ['--proxy', 'http://127.0.0.1:1'],
    /the proxy 127\.0\.0\.1:1 cannot be reached/,
  ],
  [
    'the proxy refuses',
    async (t) => ['--proxy', `http://127.0.0.1:${(await startHttpProxy(t, 403)).port}`],
    /gives no way to .*403/,
  ],
  [
    'the proxy wants a password',
    async (t) => ['--proxy', `http://127.0.0.1:${(await startHttpProxy(t, 407)).port}`],
    /gives no way to .*407/,
  ],
  [
    'the port wants TLS, and --ca is not given',
    (t) => fakeServer(t, { linkError: LINK_NEEDS_TLS }),
    /accepts only TLS/,
  ],
  [
    'the port does not speak TLS, and --ca is given',
    async (t) => [...(await fakeSpice(t, 'http')), '--ca', (await certificate('localhost')).file],
    /no TLS with/,
  ],
  [
    'the certificate is of another authority',
    async (t) => [
      ...(await fakeServer(t, { tls: await certificate('127.0.0.1') })),
      '--ca',
      (await certificate('127.0.0.1')).file,
    ],
    /no TLS with/,
  ],
  [
    'the certificate is for another name',
    async (t) => {
      const other = await certificate('other.example');
      return [...(await fakeServer(t, { tls: other })), '--ca', other.file];
    },
    /no TLS with/,
  ],
];

describe('a port that is no console is told before anything is changed', { concurrency: true }, () => {
  for (const [index, [situation, place, sentence]] of UNREACHED.entries()) {
    test(situation, async (t) => {
      const vm = await stage.vm(t, { name: `unreached-${index}` });
      const { resourceVersion } = await vm.secret();
      const ended = await stage.run([vm.name, '--file', '-', ...(await place(t))]);
      assert.deepEqual([ended.code, ended.stdout], [9, ''], ended.stderr);
      assert.match(ended.stderr, sentence);
      situations.saw(situation, ended, vm.name);
      assert.equal((await vm.secret()).resourceVersion, resourceVersion);
      const { status } = await stage.sandbox.waitFor(vm.name, () => true);
      assert.equal(status.consoleUser, undefined);
    });
  }
});

describe('the way through the API server', { concurrency: true }, () => {
  test('it is taken when the direct one fails, and that is told', async (t) => {
    const vm = await stage.vm(t, { name: 'tunnelled' });
    const viewer = await stage.viewer();
    const env = { VMOP_CONFIG: await stage.config(ELSEWHERE) };
    const console = stage.start([vm.name, '--viewer', viewer], { env });
    await console.shows('connected to vm-tunnelled');
    await closeWindow(viewer);
    const ended = await console.ended;
    assert.equal(ended.code, 0, ended.stderr);
    situations.saw('the port is not reached, and the API server is', ended, vm.name, /going through the API/);
    const file = await stage.run([vm.name, '--file', '-'], { env });
    assert.equal(file.code, 9);
    situations.saw('the port is not reached, and --file leads past vmop', file, vm.name);
  });

  test('RBAC forbids it', async (t) => {
    const vm = await stage.vm(t, { name: 'forbidden', spec: MAY });
    const viewer = await stage.viewer();
    const always = await stage.run([vm.name, '--viewer', viewer, '--tunnel', 'always'], { user: 'alice' });
    assert.equal(always.code, 4, always.stderr);
    situations.saw('--tunnel always, and RBAC forbids it', always, vm.name);
    const env = { VMOP_CONFIG: await stage.config(ELSEWHERE) };
    const auto = await stage.run([vm.name, '--viewer', viewer], { user: 'alice', env });
    assert.equal(auto.code, 9, auto.stderr);
    situations.saw('the port is not reached, and RBAC forbids the tunnel', auto, vm.name);
  });

  test('nobody listens at its end either', async (t) => {
    const vm = await stage.vm(t, { name: 'dead' });
    await vm.server.close();
    const viewer = await stage.viewer();
    const auto = await stage.run([vm.name, '--viewer', viewer]);
    assert.equal(auto.code, 9, auto.stderr);
    situations.saw('both ways fail', auto, vm.name);
    const always = await stage.run([vm.name, '--viewer', viewer, '--tunnel', 'always']);
    assert.equal(always.code, 9, always.stderr);
    situations.saw('--tunnel always, and nobody listens at its end', always, vm.name);
  });
});

describe('a VM whose pod is gone', { concurrency: true }, () => {
  let operator: ScriptedOperator;
  before(async () => {
    operator = await startScriptedOperator();
  });
  after(async () => await operator.close());

  const SPICE = { vm: { state: 'Running', display: { spice: { port: 5900 } } } };

  test('directly and through the API server', async () => {
    const vm = await operator.vm('vm-podless', SPICE);
    await vm.secret();
    await vm.hasRunForLong();
    const viewer = await stage.viewer();
    const run = (...args: string[]) =>
      startVmop(operator.folder, ['console', 'vm-podless', ...args], {
        kubeconfig: operator.kubeconfigFor('admin'),
        env: { DISPLAY: ':none', PATH: process.env['PATH'] },
      }).ended;
    const gone = await run('--viewer', viewer);
    assert.equal(gone.code, 8, gone.stderr);
    situations.saw('the VM’s pod is gone', gone, 'vm-podless');
    await vm.pod();
    const file = await run('--file', '-');
    assert.equal(file.code, 8, file.stderr);
    situations.saw('its pod has no address yet', file, 'vm-podless');
  });
});

test('docs/console.md tells these', () =>
  situations.assertDocumented('node --test test/commands/console/ways.test.ts'));
