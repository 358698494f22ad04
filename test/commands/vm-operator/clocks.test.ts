import assert from 'node:assert/strict';
import { parseExpiry } from '../../../src/lib/console/secret/password.ts';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Clocks');
const { copes, run, start } = suite;

const FIVE_MINUTES = 300_000;

async function runningVm(
  name: string,
  secret: Parameters<ScriptedVm['secret']>[0] = {},
): Promise<ScriptedVm> {
  const vm = await suite.operator.vm(name, { vm: { state: 'Running' } });
  await vm.secret(secret);
  await vm.hasRunForLong();
  return vm;
}

copes(
  'The API server’s clock is five minutes ahead of vmop’s or behind it',
  'expiries are written and judged by the API server’s Date header',
  async (t) => {
    for (const ahead of [FIVE_MINUTES, -FIVE_MINUTES]) {
      const name = ahead > 0 ? 'server-ahead' : 'server-behind';
      const vm = await runningVm(name);
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

copes(
  'The clock of QEMU’s host is five minutes ahead',
  'its conditions’ times tell: a warning says that the password ends too early there, by how much',
  async (t) => {
    const vm = await suite.operator.vm('host-ahead', { vm: { state: 'Running' } });
    await vm.secret();
    vm.hostAheadMs = FIVE_MINUTES;
    await vm.starts();
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
      /^warning: the clock of host-ahead's host is (30\d|29\d) s ahead of the API server's: its password ends that much earlier there$/m,
    );
  },
);

copes(
  'The clock of QEMU’s host is five minutes behind',
  'nothing in the cluster tells; the password lasts that much longer there, and no warning can be given',
  async () => {
    const vm = await suite.operator.vm('host-behind', { vm: { state: 'Running' } });
    await vm.secret();
    vm.hostAheadMs = -FIVE_MINUTES;
    await vm.starts();
    const rotation = start('secret rotate host-behind');
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
