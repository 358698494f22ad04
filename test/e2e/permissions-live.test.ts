import assert from 'node:assert/strict';
import { suite, test, before, after } from 'node:test';
import type { SimulatedDriver } from '../../src/lib/sandbox/drivers/simulated.ts';
import { namesOf, field } from '../commands/suite.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';
import { startTestSandbox, type TestSandbox } from '../helpers/sandbox.ts';
import { vmop, type VmopRun } from '../helpers/vmop.ts';

const api = (await sandboxApis()).find(({ name }) => name === 'kube-apiserver');
assert.ok(api);
const { startApi, skip } = api;

suite('work of restricted users, with an operator at work, on a real API server', { skip }, () => {
  let sandbox: TestSandbox<SimulatedDriver>;
  const as = (user: string, line: string): Promise<VmopRun> =>
    vmop(sandbox.folder, line.split(' '), { kubeconfig: sandbox.kubeconfigFor(user) });
  const works = async (user: string, line: string): Promise<VmopRun> => {
    const run = await as(user, line);
    assert.equal(run.code, 0, `${user}: vmop ${line}: ${run.stdout}${run.stderr}`);
    return run;
  };

  before(async () => {
    const spec = (user: string): { permissions: object[] } => ({
      permissions: [{ user, may: ['start', 'stop', 'reset', 'accessConsole'] }],
    });
    sandbox = await startTestSandbox({
      startApi,
      // Nothing but what access apply gives.
      rules: [],
      users: { alice: [], bob: [], carol: [] },
      pools: [{ name: 'desks', spec: { permissions: [{ user: 'carol', may: ['*'] }] } }],
      vms: [
        { name: 'desk', spec: spec('alice') },
        { name: 'other', spec: spec('bob') },
        {
          name: 'pooled',
          spec: { pools: ['desks'] },
          status: { assignment: { pool: 'desks', user: 'carol' } },
        },
      ],
    });
    await works('admin', 'access apply');
  });

  after(async () => {
    const { troubles } = sandbox;
    await sandbox.close();
    assert.deepEqual(troubles, []);
  });

  for (const [user, vm] of [
    ['alice', 'desk'],
    ['carol', 'pooled'],
  ] as const) {
    test(`a day of ${user} with ${vm}`, async () => {
      assert.deepEqual(namesOf((await works(user, 'list --json')).json()), [vm]);
      await works(user, `start ${vm}`);
      await works(user, `login ${vm} --user ${user}`);
      const rotated = await works(user, `secret rotate ${vm} --json`);
      assert.deepEqual(
        [field(rotated.json(), 'changed'), field(rotated.json(), 'confirmed')],
        [true, true],
        rotated.stdout,
      );
      await works(user, `reset ${vm} --yes`);
      await works(user, `show ${vm}`);
      await works(user, `logout ${vm}`);
      await works(user, `restart ${vm}`);
      await works(user, `stop ${vm} --force`);
      await works(user, `start ${vm}`);
      await works(user, `stop ${vm}`);
    });
  }

  test('what is somebody else’s stays so', async () => {
    for (const line of [
      'start other',
      'stop other',
      'show other',
      'login other --user alice',
      'secret rotate other',
    ]) {
      const { code, stderr } = await as('alice', line);
      assert.equal(code, 4, `${line}: ${stderr}`);
    }
  });

  test('a change of permissions says what access apply still has to do', async () => {
    const change = async (line: string): Promise<string> => (await works('admin', line)).stderr;
    assert.match(
      await change('permissions revoke other --user bob --may reset'),
      /^changing is over; reading \(VM, display password, log, port-forward\) goes on until it is applied: vmop access apply$/m,
    );
    assert.match(
      await change('permissions grant other --user bob --may reset'),
      /lets nobody use what is new until it is applied: vmop access apply$/m,
    );
    assert.match(
      await change('permissions revoke --pool desks --user carol --may reset'),
      /goes on with what the pool permitted until it is applied/,
    );
    assert.doesNotMatch(await change('permissions grant other --user bob --may reset'), /access apply/);
    assert.doesNotMatch(
      await change('permissions grant other --user eve --may stop --dry-run'),
      /access apply/,
    );
    await works('admin', 'permissions grant --pool desks --user carol --may *');
    await works('admin', 'access apply');
  });

  test('nobody’s change of what VM-Operator does itself is in its way', async () => {
    assert.equal((await as('admin', 'access check')).code, 0);
  });
});
