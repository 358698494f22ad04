import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import { parseExpiry } from '../../../src/lib/console/secret/password.ts';
import { startFakeSpice } from '../../e2e/fake-spice.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Clocks');
const { copes, run, start } = suite;

const FIVE_MINUTES = 300_000;

/** A VM that has run for long, with a SPICE server. */
async function runningVm(t: TestContext, name: string, hostAheadMs: number): Promise<ScriptedVm> {
  const machine = { state: 'Running', display: await display(t) };
  const vm = await suite.operator.vm(name, { vm: machine, hostAheadMs });
  await vm.secret();
  await vm.hasRunForLong();
  return vm;
}

async function display(t: TestContext): Promise<JsonObject> {
  const server = await startFakeSpice('accepts');
  t.after(() => server.close());
  return { spice: { server: '127.0.0.1', port: server.port } };
}

copes(
  'The API server’s clock is five minutes ahead of vmop’s or behind it',
  'expiries are written and judged by the API server’s Date header',
  async (t) => {
    for (const ahead of [FIVE_MINUTES, -FIVE_MINUTES]) {
      const name = ahead > 0 ? 'server-ahead' : 'server-behind';
      const vm = await runningVm(t, name, ahead);
      const { url } = await suite.proxy(t, { clockAheadMs: ahead });
      const server = Math.floor((Date.now() + ahead) / 1000);
      for (const line of ['secret rotate', 'secret expire --in 60s', 'secret set']) {
        const { code } = await run(
          `${line} ${name} --server ${url}${line.includes('expire') ? '' : ' --no-wait'}`,
          {
            input: `chosen for ${line}\n`,
          },
        );
        assert.equal(code, 0, line);
        const expiry = parseExpiry((await vm.secretNow()).expiry);
        assert.ok(expiry.kind === 'at');
        const seconds = expiry.date.getTime() / 1000 - server;
        assert.ok(seconds >= 58 && seconds <= 90, `${line}: ${seconds}`);
      }
      await vm.changeSecret({ expiry: 'now' });
      const console = start(`console ${name} --file - --server ${url}`);
      const { expiry } = await vm.secretAfter('chosen for secret set');
      await vm.passwordTold();
      const opened = await console.ended;
      assert.equal(opened.code, 0, opened.stderr);
      assert.doesNotMatch(opened.stderr, /warning/);
      const lasts = Number(expiry) - server;
      assert.ok(lasts >= 58 && lasts <= 90, `console: ${lasts}`);
      const shown = await run(`secret show ${name} --json --server ${url}`);
      assert.equal(field(shown.json(), 'valid'), true);
      // Over or valid for the server's clock alone.
      await vm.changeSecret({ expiry: String(server + 60) });
      assert.equal(field((await run(`secret show ${name} --json --server ${url}`)).json(), 'valid'), true);
      await vm.changeSecret({ expiry: String(server - 5) });
      assert.match((await run(`show ${name} --server ${url}`)).stdout, /^Password: .*expired at/m);
    }
  },
);

/** A VM on a host with this clock that has only just started, with a SPICE server. */
async function justStarted(t: TestContext, name: string, hostAheadMs: number): Promise<ScriptedVm> {
  const machine = { state: 'Running', display: await display(t) };
  const vm = await suite.operator.vm(name, { vm: machine, hostAheadMs });
  await vm.starts();
  return vm;
}

/** Seconds for which QEMU accepts the password, by its own clock. */
async function validOnHost(vm: ScriptedVm): Promise<number> {
  const expiry = parseExpiry((await vm.secretNow()).expiry);
  assert.ok(expiry.kind === 'at');
  return (expiry.date.getTime() - Date.now() - vm.hostAheadMs) / 1000;
}

copes(
  'The clock of QEMU’s host is five minutes ahead',
  'its conditions’ times tell: a password’s end is told by that clock, and a warning says so',
  async (t) => {
    const vm = await justStarted(t, 'host-ahead', FIVE_MINUTES);
    await vm.secret();
    const { url, until } = await suite.proxy(t, {});
    const rotation = start(`secret rotate host-ahead --server ${url}`);
    // As far as it can tell, the VM has only just started.
    await until((request) => request.includes('watch=true'));
    await vm.passwordTold();
    await vm.secretAfter('of-the-manager');
    await vm.passwordTold();
    const { code, stderr } = await rotation.ended;
    assert.equal(code, 0);
    assert.match(
      stderr,
      /^warning: the clock of host-ahead's host is (30\d|29\d) s ahead of the API server's: its password's end is told by the host's$/m,
    );
    const assertValid = async (what: string): Promise<void> => {
      const seconds = await validOnHost(vm);
      assert.ok(seconds > 50 && seconds <= 61, `${what}: ${seconds}`);
    };
    await assertValid('rotate');
    assert.equal(field((await run('secret show host-ahead --json')).json(), 'valid'), true);
    for (const line of ['secret expire host-ahead --in 60s', 'secret set host-ahead --no-wait']) {
      const { code, stderr } = await run(line, { input: 'chosen\n' });
      assert.equal(code, 0);
      assert.match(stderr, /^warning: the clock of host-ahead's host/m);
      await assertValid(line);
    }
    // Still valid for the API server, over for QEMU.
    await vm.changeSecret({ expiry: String(Math.floor(Date.now() / 1000) + 200) });
    assert.equal(field((await run('secret show host-ahead --json')).json(), 'valid'), false);
  },
);

copes(
  'So is it for a console, whose password QEMU would not take for a moment otherwise',
  'console writes one that lasts there, and does not take one for valid that has ended there',
  async (t) => {
    const vm = await justStarted(t, 'console-ahead', FIVE_MINUTES);
    await vm.secret({ expiry: String(Math.floor(Date.now() / 1000) + 200) });
    const { url, until } = await suite.proxy(t, {});
    const console = start(`console console-ahead --file - --server ${url}`);
    await until((request) => request.includes('/vms?') && request.includes('watch=true'));
    await vm.passwordTold();
    const { password } = await vm.secretAfter('of-the-manager');
    await vm.passwordTold();
    const { code, stdout, stderr } = await console.ended;
    assert.equal(code, 0, stderr);
    assert.ok(password !== undefined && stdout.includes(`password=${password}\n`));
    assert.match(stderr, /^warning: the clock of console-ahead's host is (30\d|29\d) s ahead/m);
    const seconds = await validOnHost(vm);
    assert.ok(seconds > 50 && seconds <= 61, String(seconds));
    // The next finds it valid, where it is.
    await vm.changeSecret({ expiry: String(Math.floor(Date.now() / 1000) + 300 + 3600) });
    assert.ok((await run('console console-ahead --file -')).stdout.includes(`password=${password}\n`));
  },
);

copes(
  'The clock of QEMU’s host is an hour ahead, or somebody wrote such a time into the status',
  'no password lives that much longer for it: a warning says that it ends early there',
  async (t) => {
    const vm = await justStarted(t, 'far-ahead', 12 * FIVE_MINUTES);
    await vm.secret();
    const { code, stderr } = await run('secret rotate far-ahead --no-wait');
    assert.equal(code, 0);
    assert.match(
      stderr,
      /^warning: the clock of far-ahead's host is .*: its password ends that much earlier there$/m,
    );
    assert.ok((await validOnHost(vm)) < 0);
  },
);

copes(
  'A start raises the serial after Running=True, also on a host whose clock is five minutes behind',
  'the API server’s time of that status counts: a rotation waits for the start’s bump all the same',
  async (t) => {
    const vm = await suite.operator.vm('behind-started', { vm: { state: 'Running' } });
    await vm.secret();
    // It has run before.
    for (let bump = 0; bump < 3; bump++) await vm.passwordTold();
    vm.hostAheadMs = -FIVE_MINUTES;
    await vm.runnerReports();
    await vm.machinePrepared();
    await vm.cpusAdded();
    await vm.machineRuns();
    const { url, until } = await suite.proxy(t, {});
    const rotation = start(`secret rotate behind-started --json --server ${url}`);
    await until((request) => request.includes('watch=true'));
    assert.equal((await vm.secretNow()).password, 'of-the-manager', 'nothing is written before the bump');
    await vm.passwordTold();
    await vm.secretAfter('of-the-manager');
    assert.equal((await vm.get()).status.displayPasswordSerial, 4);
    await vm.passwordTold();
    assert.equal(field((await rotation.ended).json(), 'confirmed'), true);
  },
);

copes(
  'The clock of QEMU’s host is five minutes behind',
  'nothing in the cluster tells; the password lasts that much longer there, and no warning can be given',
  async (t) => {
    const vm = await suite.operator.vm('host-behind', { vm: { state: 'Running' } });
    await vm.secret();
    vm.hostAheadMs = -FIVE_MINUTES;
    await vm.starts();
    const { url, until } = await suite.proxy(t, {});
    const rotation = start(`secret rotate host-behind --server ${url}`);
    await until((request) => request.includes('watch=true'));
    await vm.passwordTold();
    await vm.secretAfter('of-the-manager');
    await vm.passwordTold();
    const { code, stderr } = await rotation.ended;
    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /warning/);
  },
);

copes(
  'The API server’s clock differs from that of the host that wrote a condition, or from vmop’s',
  'ages are told by the API server’s clock, and are never negative',
  async () => {
    const vm = await suite.operator.vm('future', { vm: { state: 'Running' } });
    vm.hostAheadMs = FIVE_MINUTES;
    await vm.starts();
    await vm.consoleOpened('10.0.0.7');
    const { code, stdout } = await run('list -o wide', { now: new Date(Date.now() - FIVE_MINUTES) });
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /-\d+[smh]/);
    assert.match((await run('show future')).stdout, /^Created: .*\(\d+s ago\)$/m);
  },
);
