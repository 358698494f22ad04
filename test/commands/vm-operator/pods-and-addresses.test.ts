import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startFakeSpice, type FakeSpice } from '../../e2e/fake-spice.ts';
import { startConnectProxy, type ConnectProxy } from '../../helpers/connect-proxy.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Consoles, pods and addresses', { changeable: ['gated'] });
const { copes, run, start } = suite;

let spice: FakeSpice;
let proxy: ConnectProxy;
before(async () => {
  spice = await startFakeSpice('accepts');
  proxy = await startConnectProxy(spice.port);
});
after(async () => {
  await proxy.close();
  await spice.close();
});

/** A running VM whose console is found behind the proxy; its password lasts. */
async function runningVm(name: string, display: { server?: string } = {}): Promise<ScriptedVm> {
  const spiceSpec = { proxyUrl: proxy.url, ...display };
  const vm = await suite.operator.vm(name, { vm: { state: 'Running', display: { spice: spiceSpec } } });
  await vm.secret({ expiry: 'never' });
  await vm.hasRunForLong();
  return vm;
}

/** The host of the connection file, and what the proxy was asked for. */
async function hostOf(name: string): Promise<[host: string | undefined, target: string | undefined]> {
  const { code, stdout, stderr } = await run(`console ${name} --file -`);
  assert.equal(code, 0, stderr);
  return [/^host=(.*)$/m.exec(stdout)?.[1], proxy.targets.at(-1)];
}

copes(
  'There may be no pod, or one without an address yet',
  'console is 8 and says to try again',
  async () => {
    const vm = await runningVm('podless');
    for (const prepare of [async () => {}, () => vm.pod()]) {
      await prepare();
      const { code, stdout, stderr } = await run('console podless --file -');
      assert.deepEqual([code, stdout], [8, '']);
      assert.match(
        stderr,
        /^error: podless has no address yet\n {2}its runner has no pod with an address: try again/m,
      );
    }
  },
);

copes('spec.vm.display.spice.server names the host', 'no pod is asked for', async () => {
  await runningVm('served', { server: 'desk.example' });
  assert.deepEqual(await hostOf('served'), ['desk.example', 'desk.example:5900']);
});

copes(
  'A pod may have IPv6 addresses only',
  'they are written with brackets, to the proxy and in the file',
  async () => {
    const vm = await runningVm('six');
    await vm.pod('fd00::7');
    assert.deepEqual(await hostOf('six'), ['[fd00::7]', '[fd00::7]:5900']);
    await runningVm('six-served', { server: 'fd00::8' });
    assert.deepEqual(await hostOf('six-served'), ['[fd00::8]', '[fd00::8]:5900']);
  },
);

copes(
  'A pod of a dual-stack cluster has several addresses',
  'the first IPv4 address is taken, in whatever place',
  async () => {
    const cases: [string, string[], string][] = [
      ['four-first', ['10.0.0.4', 'fd00::4'], '10.0.0.4'],
      ['six-first', ['fd00::5', '10.0.0.5'], '10.0.0.5'],
      ['several', ['10.0.0.6', '10.9.9.9'], '10.0.0.6'],
    ];
    for (const [name, addresses, host] of cases) {
      const vm = await runningVm(name);
      await vm.pod(...addresses);
      assert.deepEqual(await hostOf(name), [host, `${host}:5900`]);
    }
  },
);

copes('An address may be none, as the object is anybody’s', 'console is 9 and writes nothing', async () => {
  const vm = await runningVm('odd');
  await vm.pod('10.0.0.1\npassword=x');
  const { code, stdout } = await run('console odd --file -');
  assert.deepEqual([code, stdout], [9, '']);
});

copes(
  'Nobody may have written the Secret, or its password has ended',
  'console writes a new one, waits for the serial, and hands over what was confirmed',
  async () => {
    const vm = await runningVm('locked');
    await vm.pod('10.0.0.1');
    await vm.changeSecret({ expiry: 'now' });
    const console = start('console locked --file -');
    const { password } = await vm.secretAfter('of-the-manager');
    await vm.passwordTold();
    const { code, stdout } = await console.ended;
    assert.equal(code, 0);
    assert.ok(password !== undefined && stdout.includes(`password=${password}\n`));
    assert.equal((await vm.get()).status.consoleUser, 'admin');
  },
);

copes(
  'A display without protection has no password, whatever its Secret says',
  'the connection file has none',
  async () => {
    const vm = await runningVm('unprotected');
    await vm.pod('10.0.0.1');
    await vm.noPasswordTold();
    const { stdout } = await run('console unprotected --file -');
    assert.doesNotMatch(stdout, /^password=/m);
  },
);

copes(
  'A VM with a protected display may have lost its Secret',
  'console goes on and warns that a viewer will be refused',
  async () => {
    const vm = await suite.operator.vm('lost', {
      vm: { state: 'Running', display: { spice: { proxyUrl: proxy.url } } },
    });
    await vm.hasRunForLong();
    await vm.pod('10.0.0.1');
    const { code, stdout, stderr } = await run('console lost --file -');
    assert.equal(code, 0);
    assert.match(stderr, /lost has no display Secret, but its display asks for a password/);
    assert.doesNotMatch(stdout, /^password=/m);
  },
);

copes(
  'A stale consoleUser stands in the status',
  'console is not in use, and takes the name over',
  async () => {
    const vm = await runningVm('stale');
    await vm.pod('10.0.0.1');
    await vm.status({ consoleUser: 'bob', consoleClient: '10.0.0.9' });
    assert.equal((await run('console stale --file -')).code, 0);
    assert.equal((await vm.get()).status.consoleUser, 'admin');
  },
);

copes(
  'A console is connected, for a user or for nobody known',
  'console is 5 and names who, and from where',
  async () => {
    const vm = await runningVm('used');
    await vm.pod('10.0.0.1');
    await vm.consoleOpened('10.0.0.9');
    const anonymous = await run('console used --file -');
    assert.equal(anonymous.code, 5);
    assert.match(anonymous.stderr, /somebody is connected to used from 10\.0\.0\.9/);
    await vm.status({ consoleUser: 'bob' });
    assert.match((await run('console used --file -')).stderr, /bob is connected to used from 10\.0\.0\.9/);
  },
);

copes(
  'UserLoggedIn decides who may have the console; versions that log nobody in have no such condition',
  'NotRequested and no condition at all let every holder of accessConsole in; a log-in under way does not',
  async () => {
    const permissions = [{ user: 'alice', may: ['accessConsole'] }];
    const vm = await suite.operator.vm('gated', {
      spec: { permissions },
      vm: { state: 'Running', display: { spice: { proxyUrl: proxy.url, server: 'desk' } } },
    });
    await vm.secret({ expiry: 'never' });
    await vm.hasRunForLong();
    const open = async (): Promise<number> => (await run('console gated --file -', { user: 'alice' })).code;
    assert.equal(await open(), 0, 'NotRequested');
    await vm.loginProcessing();
    assert.equal(await open(), 8, 'Processing');
    await vm.loginAnnounced();
    assert.equal(await open(), 8, 'True, and nobody is named');
    await vm.loginDone('bob');
    assert.equal(await open(), 8, 'somebody else');
    await vm.loginDone('alice');
    assert.equal(await open(), 0, 'myself');
    const { conditions } = (await vm.get()).status;
    const old = conditions.filter(({ type }) => type === 'Running');
    await vm.status({ conditions: old, loggedInUser: null });
    assert.equal(await open(), 0, 'no condition');
  },
);
