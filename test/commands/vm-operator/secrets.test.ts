import assert from 'node:assert/strict';
import { parseExpiry } from '../../../src/lib/console/secret/password.ts';
import { startFakeSpice } from '../../e2e/fake-spice.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Display Secrets');
const { copes, run, start } = suite;

/** A VM that has run for long, with a Secret. */
async function runningVm(
  name: string,
  secret: Parameters<ScriptedVm['secret']>[0] = {},
): Promise<ScriptedVm> {
  const vm = await suite.operator.vm(name, { vm: { state: 'Running', display: { spice: {} } } });
  await vm.secret(secret);
  await vm.hasRunForLong();
  return vm;
}

const inSeconds = (seconds: number): string => String(Math.floor(Date.now() / 1000) + seconds);

copes('The display Secret may have any name', 'it is found by its labels', async () => {
  const vm = await runningVm('renamed', { name: 'made-by-somebody', expiry: 'never' });
  const shown = await run('secret show renamed --reveal --json');
  assert.deepEqual(
    [field(shown.json(), 'secret'), field(shown.json(), 'password')],
    ['made-by-somebody', 'of-the-manager'],
  );
  const rotation = start('secret rotate renamed --json');
  await vm.secretAfter('of-the-manager');
  await vm.passwordTold();
  assert.equal(field((await rotation.ended).json(), 'secret'), 'made-by-somebody');
  assert.match((await run('show renamed')).stdout, /^Password: +in made-by-somebody, valid until /m);
});

copes(
  'There may be no display Secret',
  'show says so; what would change it is 3 and names the labels',
  async () => {
    const vm = await suite.operator.vm('bare', { vm: { state: 'Running', display: { spice: {} } } });
    await vm.hasRunForLong();
    assert.equal((await run('secret show bare')).stdout, 'bare: no display Secret\n');
    assert.match((await run('show bare')).stdout, /^Password: +there is no Secret$/m);
    for (const verb of ['rotate', 'expire', 'set']) {
      const { code, stderr } = await run(`secret ${verb} bare`, { input: 'a password\n' });
      assert.equal(code, 3);
      assert.match(stderr, /bare has no display Secret\n.*app\.kubernetes\.io\/component=display-secret/);
    }
  },
);

copes(
  'An absent expiry or never means a password without end, an epoch ends it, now, +n and anything else need a new one',
  'rotate --keep keeps just those that last; secret show tells each',
  async () => {
    const cases: [expiry: string | null, kept: boolean, shown: RegExp][] = [
      [null, true, /, valid without end\n/],
      ['never', true, /, valid without end\n/],
      [inSeconds(3600), true, /, valid until \S+Z\n/],
      [inSeconds(20), false, /, valid until \S+Z\n/],
      [inSeconds(-20), false, /, expired at \S+Z\n/],
      ['now', false, /, expired\n/],
      ['+30', false, /, valid for 30s from each start of the VM\n/],
      ['tomorrow', false, /, expired: "tomorrow" is no expiry that QEMU knows\n/],
      ['', false, /, expired: "" is no expiry that QEMU knows\n/],
    ];
    for (const [index, [expiry, kept, shown]] of cases.entries()) {
      const name = `expiry-${index}`;
      const vm = await runningVm(name, { expiry });
      assert.match((await run(`secret show ${name}`)).stdout, shown);
      const rotation = start(`secret rotate ${name} --keep --json`);
      if (!kept) {
        await vm.secretAfter('of-the-manager');
        await vm.passwordTold();
      }
      const { code, json } = await rotation.ended;
      assert.deepEqual([expiry, code, field(json(), 'changed')], [expiry, 0, !kept]);
    }
  },
);

copes(
  'A password with the expiry +n becomes valid again at each start of the VM',
  'secret show says so before and after a start, nothing takes it for one that lasts, and vmop writes no such expiry',
  async () => {
    const vm = await runningVm('again', { expiry: '+3600' });
    const SHOWN = /, valid for 1h from each start of the VM\n/;
    assert.match((await run('secret show again')).stdout, SHOWN);
    await vm.stops();
    await vm.starts();
    assert.match((await run('secret show again')).stdout, SHOWN);
    const rotation = start('secret rotate again --keep --json');
    await vm.secretAfter('of-the-manager');
    await vm.passwordTold();
    assert.equal(field((await rotation.ended).json(), 'changed'), true);
    for (const line of ['secret rotate again --no-wait', 'secret expire again --in 1h', 'secret set again']) {
      assert.equal((await run(line, { input: 'chosen\n' })).code, 0);
      assert.match((await vm.secretNow()).expiry ?? '', /^\d+$/, line);
    }
  },
);

copes(
  'A display without protection has the serial −1',
  'list, show and secret show say it asks for no password; rotate is 8',
  async () => {
    const vm = await suite.operator.vm('open', {
      vm: { state: 'Running', display: { spice: { generateSecret: false } } },
    });
    await vm.starts();
    await vm.noPasswordTold();
    await vm.secret();
    assert.match((await run('show open')).stdout, /^Password: +the display asks for none$/m);
    assert.equal(field((await run('secret show open --json')).json(), 'protected'), false);
    assert.match((await run('secret show open')).stdout, /not used: the display asks for no password/);
    const { code, stderr } = await run('secret rotate open');
    assert.equal(code, 8);
    assert.match(stderr, /asks for no password, so there is none to change\n {2}.*generateSecret/);
  },
);

copes(
  'A start raises the serial by itself, after Running=True',
  'a rotation right after a start waits for that bump before it writes, and takes only the next for its own',
  async (t) => {
    for (const before of [0, 4]) {
      const name = `just-started-${before}`;
      const vm = await suite.operator.vm(name, { vm: { state: 'Running', display: { spice: {} } } });
      await vm.secret();
      // Stopped and started before.
      for (let bump = 0; bump < before; bump++) await vm.passwordTold();
      await vm.runnerReports();
      await vm.machinePrepared();
      await vm.cpusAdded();
      await vm.machineRuns();
      const { url, until } = await suite.proxy(t, {});
      const rotation = start(`secret rotate ${name} --json --server ${url}`);
      await until((request) => request.includes('watch=true'));
      assert.equal((await vm.secretNow()).password, 'of-the-manager', 'nothing is written before the bump');
      await vm.passwordTold();
      await vm.secretAfter('of-the-manager');
      await vm.passwordTold();
      const { json } = await rotation.ended;
      assert.equal(field(json(), 'confirmed'), true);
    }
  },
);

copes(
  'The serial of a rotation comes late or never',
  'rotate ends with 0 and says that it is not confirmed',
  async () => {
    await runningVm('mute');
    const { code, stdout } = await run('secret rotate mute --timeout 200ms');
    assert.equal(code, 0);
    assert.match(stdout, /not confirmed: mute: its runner has not reported the new password after 0\.2 s\n$/);
  },
);

copes(
  'The serial rises also when QEMU refused the password',
  'rotate says only that the runner has handed it to QEMU',
  async () => {
    const vm = await runningVm('refused');
    const rotation = start('secret rotate refused');
    await vm.secretAfter('of-the-manager');
    vm.log('monitor(in): {"error":{"class":"GenericError","desc":"Could not set password"}}');
    await vm.passwordTold();
    const { code, stdout } = await rotation.ended;
    assert.equal(code, 0);
    assert.match(stdout, /, handed to QEMU by the runner, which does not tell whether QEMU took it\n$/);
  },
);

copes(
  'An unchanged password never raises the serial, nor does an expiry alone',
  'set of the same password and expire do not wait for a confirmation',
  async () => {
    await runningVm('same');
    const { code, stdout } = await run('secret set same --timeout 1h', { input: 'of-the-manager\n' });
    assert.equal(code, 0);
    assert.match(stdout, /not confirmed: it is the password of before, and the runner never confirms/);
    const expired = await run('secret expire same --in 1m --json');
    assert.equal(field(expired.json(), 'confirmed'), undefined);
  },
);

copes(
  'A rotation while the bump of an earlier one is still to come',
  'the earlier bump is not taken for the later’s',
  async (t) => {
    const vm = await runningVm('twice');
    assert.equal((await run('secret rotate twice --no-wait')).code, 0);
    const { password } = await vm.secretNow();
    const soon = new Date(Date.now() + 60_000).toISOString();
    // Written just now, however long vmop took to begin.
    const { url, until } = await suite.proxy(t, {
      rewrite: (path, text) =>
        path.includes('/secrets?') ? text.replaceAll(/"time":"[^"]*"/g, `"time":"${soon}"`) : text,
    });
    const second = start(`secret rotate twice --json --server ${url}`);
    await until((request) => request.includes('watch=true'));
    assert.equal((await vm.secretNow()).password, password, 'nothing is written before the bump');
    await vm.passwordTold();
    await vm.secretAfter(password);
    await vm.passwordTold();
    assert.equal(field((await second.ended).json(), 'confirmed'), true);
  },
);

copes(
  'The validity has a granularity of one second, and begins when the Secret is written',
  'parts of a second are a usage error; what is written is the server’s time plus the validity',
  async () => {
    const vm = await runningVm('granular');
    for (const validity of ['500ms', '1.5s', '0', '25h']) {
      const { code, stderr } = await run(`secret rotate granular --validity ${validity}`);
      assert.equal(code, 2, validity);
      assert.match(stderr, /^error: a validity of .* makes no sense\n {2}whole seconds from 1s to 24h/);
    }
    const earliest = Number(inSeconds(90));
    await run('secret rotate granular --validity 1m30s --no-wait');
    const expiry = parseExpiry((await vm.secretNow()).expiry);
    assert.ok(expiry.kind === 'at' && Math.abs(expiry.date.getTime() / 1000 - earliest) <= 2);
  },
);

copes(
  'Each write to the Secret makes the agent log out where nobody is wanted, and the stock agent then ends any session',
  'a warning says so before the write; with a user wanted and logged in there is none',
  async () => {
    const vm = await runningVm('desk');
    await vm.guestBooted();
    await vm.agentGreets();
    const MANUAL = /^warning: a change of the display password makes the agent of desk log out/m;
    assert.match((await run('secret rotate desk --no-wait')).stderr, MANUAL);
    await vm.spec({ vm: { display: { loggedInUser: 'alice' } } });
    await vm.loginDone('alice');
    assert.doesNotMatch((await run('secret rotate desk --no-wait')).stderr, /warning/);
  },
);

copes(
  'A Secret that is deleted while its VM runs comes back, locked, with the next change of the VM',
  'until then rotate is 3 and says so, and console goes without; then it is rotated as any other',
  async (t) => {
    const server = await startFakeSpice('accepts');
    t.after(() => server.close());
    const display = { spice: { server: '127.0.0.1', port: server.port } };
    const vm = await suite.operator.vm('dropped', { vm: { state: 'Running', display } });
    await vm.secret();
    await vm.hasRunForLong();
    await vm.deleteSecret();
    const without = await run('console dropped --file -');
    assert.equal(without.code, 0, without.stderr);
    assert.match(without.stderr, /dropped has no display Secret, but its display asks for a password/);
    assert.doesNotMatch(without.stdout, /^password=/m);
    const { code, stderr } = await run('secret rotate dropped');
    assert.equal(code, 3);
    assert.match(stderr, /VM-Operator makes one when the VM starts or is changed/);
    // A change of the spec: the manager makes another one, and the runner applies it.
    await vm.spec({ vm: { currentCpus: 3 } });
    await vm.secret({ password: 'made-anew' });
    const { displayPasswordSerial: serial } = (await vm.get()).status;
    await vm.passwordTold();
    assert.equal((await vm.get()).status.displayPasswordSerial, (serial ?? 0) + 1);
    assert.match((await run('secret show dropped')).stdout, /, expired\n/);
    const rotation = start('secret rotate dropped --json');
    await vm.secretAfter('made-anew');
    await vm.passwordTold();
    assert.equal(field((await rotation.ended).json(), 'confirmed'), true);
  },
);
