import assert from 'node:assert/strict';
import { PERMISSIONS } from '../../../src/lib/vm/types.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Permissions', {
  users: { alice: ['staff'], bob: [] },
  changeable: [
    'mine',
    'star',
    'taker',
    'leased',
    'pool-take',
    'pool-default',
    'orphaned',
    'elsewhere',
    'empty',
  ],
});
const { copes, run } = suite;

/** What a user may do with a VM; undefined: it is not listed. */
async function may(user: string, vm: string, options = ''): Promise<unknown> {
  const rows = (await run(`list --json${options}`, { user })).json();
  assert.ok(Array.isArray(rows));
  const row: unknown = rows.find((one) => field(one, 'name') === vm);
  return row === undefined ? undefined : field(row, 'may');
}

copes(
  'A grant names a user or a role, and * means everything',
  'list tells what each user holds, and only VMs on which there is something',
  async () => {
    await suite.operator.vm('mine', {
      spec: {
        permissions: [
          { user: 'alice', may: ['start'] },
          { role: 'staff', may: ['stop'] },
          { user: 'bob', may: [] },
        ],
      },
    });
    await suite.operator.vm('star', { spec: { permissions: [{ role: 'staff', may: ['*'] }] } });
    assert.deepEqual(await may('alice', 'mine'), ['start', 'stop']);
    assert.deepEqual(await may('alice', 'star'), [...PERMISSIONS]);
    assert.equal(await may('bob', 'mine'), undefined);
    assert.equal(await may('bob', 'star'), undefined);
    const { code, stderr } = await run('start mine', { user: 'bob' });
    assert.equal(code, 4);
    assert.match(
      stderr,
      /bob does not hold the permission start on mine\n {2}spec\.permissions of VM mine gives it to alice/,
    );
  },
);

copes('A VM’s grant of takeConsole implies accessConsole', 'who may take may rotate and log in', async () => {
  await suite.operator.vm('taker', { spec: { permissions: [{ user: 'alice', may: ['takeConsole'] }] } });
  assert.deepEqual(await may('alice', 'taker'), ['accessConsole', 'takeConsole']);
  assert.equal((await run('login taker -u alice --no-wait', { user: 'alice' })).code, 0);
});

copes(
  'An assigned VM is governed by its pool’s permissions alone',
  'its own grants count for nothing until it is released',
  async () => {
    await suite.operator.pool('desks', { permissions: [{ user: 'bob', may: ['start', 'accessConsole'] }] });
    const vm = await suite.operator.vm('leased', {
      spec: { pools: ['desks'], permissions: [{ user: 'alice', may: ['*'] }] },
    });
    assert.deepEqual(
      [await may('alice', 'leased'), await may('bob', 'leased')],
      [[...PERMISSIONS], undefined],
    );
    await vm.status({ assignment: { pool: 'desks', user: 'bob' } });
    assert.deepEqual(
      [await may('alice', 'leased'), await may('bob', 'leased')],
      [undefined, ['start', 'accessConsole']],
    );
    const { code, stderr } = await run('start leased', { user: 'alice' });
    assert.equal(code, 4);
    assert.match(stderr, /spec\.permissions of pool desks gives it to bob/);
    await vm.status({ assignment: { pool: null, user: null } });
    assert.deepEqual(
      [await may('alice', 'leased'), await may('bob', 'leased')],
      [[...PERMISSIONS], undefined],
    );
  },
);

copes(
  'A pool knows no takeConsole but through *, and gives accessConsole where may is absent',
  'so does vmop',
  async (t) => {
    await suite.operator.pool('star', { permissions: [{ user: 'alice', may: ['*'] }] });
    await suite.operator.pool('default', { permissions: [{ user: 'alice' }] });
    const star = await suite.operator.vm('pool-take');
    await star.status({ assignment: { pool: 'star', user: 'alice' } });
    assert.deepEqual(await may('alice', 'pool-take'), [...PERMISSIONS]);
    const taking = { permissions: [{ user: 'alice', may: ['takeConsole', 'stop'] }] };
    await assert.rejects(suite.operator.pool('takers', taking), /may\[0\]: Unsupported value: "takeConsole"/);
    // A pool of an API server that let it through.
    const rewrite = (path: string, text: string): string =>
      path.includes('/vmpools') ? text.replaceAll('"may":["*"]', '"may":["takeConsole","stop"]') : text;
    const { url } = await suite.proxy(t, { user: 'alice', rewrite });
    assert.deepEqual(await may('alice', 'pool-take', ` --server ${url}`), ['stop']);
    const byDefault = await suite.operator.vm('pool-default');
    await byDefault.status({ assignment: { pool: 'default', user: 'alice' } });
    assert.deepEqual(await may('alice', 'pool-default'), ['accessConsole']);
  },
);

copes(
  'The pool of an assignment may be gone, and the VM’s lists empty',
  'nobody holds anything, and nothing fails',
  async () => {
    const vm = await suite.operator.vm('orphaned', {
      spec: { permissions: [{ user: 'alice', may: ['*'] }] },
    });
    await vm.status({ assignment: { pool: 'no-such-pool', user: 'alice' } });
    await suite.operator.vm('empty', { spec: { permissions: [], pools: [] } });
    for (const name of ['orphaned', 'empty']) {
      assert.equal(await may('alice', name), undefined);
      assert.equal((await run(`start ${name}`, { user: 'alice' })).code, 4);
      assert.equal((await run(`show ${name}`)).code, 0);
    }
  },
);

copes(
  'A permission on the console is not one on the power, nor the other way round',
  'each command asks for its own',
  async () => {
    await suite.operator.vm('elsewhere', {
      spec: {
        permissions: [
          { user: 'alice', may: ['accessConsole'] },
          { user: 'bob', may: ['start', 'stop', 'reset'] },
        ],
      },
    });
    const cases: [line: string, user: string, missing: string][] = [
      ['start elsewhere', 'alice', 'start'],
      ['stop elsewhere', 'alice', 'stop'],
      ['restart elsewhere', 'alice', 'stop'],
      ['reset elsewhere', 'alice', 'reset'],
      ['login elsewhere -u bob --no-wait', 'bob', 'accessConsole'],
      ['logout elsewhere --no-wait', 'bob', 'accessConsole'],
      ['secret rotate elsewhere', 'bob', 'accessConsole'],
    ];
    for (const [line, user, missing] of cases) {
      const { code, stderr } = await run(line, { user });
      assert.equal(code, 4, line);
      assert.match(stderr, new RegExp(`${user} does not hold the permission ${missing} on elsewhere`));
    }
  },
);
