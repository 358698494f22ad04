import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectGrants, takenSecrets, type AccessInput } from '../../../src/lib/access/grants.ts';
import { inputOf, OPTIONS, poolNamed, vmOf } from './objects.ts';

/** `user alice: a(start stop), pool desks(start)`, one line per grantee. */
function told(input: AccessInput, options: Partial<typeof OPTIONS> = {}): string[] {
  return collectGrants(input, { ...OPTIONS, ...options }).map(({ grantee, vms, pools }) => {
    const parts = [
      ...vms.map(({ vm, permissions }) => `${vm}(${[...permissions].join(' ')})`),
      ...pools.map(({ pool, permissions }) => `pool ${pool}(${[...permissions].join(' ')})`),
    ];
    return `${grantee.kind} ${grantee.name}: ${parts.join(', ')}`;
  });
}

const alice = (...may: string[]): unknown => ({ user: 'alice', may });
const staff = (...may: string[]): unknown => ({ role: 'staff', may });

test('who may do what, in an order that the objects do not decide', () => {
  const vms = [
    vmOf('b', [staff('stop'), alice('start'), alice('stop', 'start')]),
    vmOf('a', [alice('takeConsole'), { user: 'bob', may: [] }]),
    vmOf('c', [
      { user: 'Zoe', may: ['*'] },
      { user: 'x', role: 'y', may: ['*'] },
    ]),
  ];
  const expected = [
    'user Zoe: c(start stop reset accessConsole takeConsole)',
    'user alice: a(accessConsole takeConsole), b(start stop)',
    'role staff: b(stop)',
  ];
  assert.deepEqual(told(inputOf(vms)), expected);
  assert.deepEqual(told(inputOf(vms.toReversed())), expected);
});

test('a user and a role of the same name are two', () => {
  assert.deepEqual(
    told(
      inputOf([
        vmOf('a', [
          { user: 'x', may: ['start'] },
          { role: 'x', may: ['stop'] },
        ]),
      ]),
    ),
    ['user x: a(start)', 'role x: a(stop)'],
  );
});

test('--users and --roles narrow', () => {
  const input = inputOf([vmOf('a', [alice('start'), staff('stop'), { user: 'bob', may: ['stop'] }])]);
  assert.deepEqual(told(input, { users: ['alice'] }), ['user alice: a(start)']);
  assert.deepEqual(told(input, { roles: ['staff'] }), ['role staff: a(stop)']);
  assert.deepEqual(told(input, { users: ['bob'], roles: ['staff'] }), [
    'user bob: a(stop)',
    'role staff: a(stop)',
  ]);
  assert.deepEqual(told(input, { users: [] }), []);
});

test('an assigned VM is its pool’s, where takeConsole implies nothing and is given by * only', () => {
  const desks = poolNamed('desks', [
    alice('takeConsole', 'stop'),
    { role: 'staff' },
    { user: 'bob', may: ['*'] },
  ]);
  const assigned = { status: { assignment: { pool: 'desks', user: 'x' } } };
  const vm = vmOf('a', [{ user: 'carol', may: ['*'] }], assigned);
  assert.deepEqual(told(inputOf([vm], [desks])), [
    'user alice: a(stop), pool desks(stop)',
    'user bob: a(start stop reset accessConsole takeConsole), pool desks(start stop reset accessConsole takeConsole)',
    'role staff: a(accessConsole), pool desks(accessConsole)',
  ]);
  assert.deepEqual(told(inputOf([vm], [])), []);
});

test('an assignment of {} is none', () => {
  assert.deepEqual(told(inputOf([vmOf('a', [alice('start')], { status: { assignment: {} } })])), [
    'user alice: a(start)',
  ]);
});

test('--pool-members: what holds now, and what may hold after the next assignment or release', () => {
  const pools = [poolNamed('desks', [alice('stop')]), poolNamed('others', [{ user: 'bob', may: ['stop'] }])];
  const spec = { pools: ['desks'] };
  const free = vmOf('free', [staff('start')], { spec });
  const taken = vmOf('taken', [staff('start')], {
    spec,
    status: { assignment: { pool: 'desks', user: 'x' } },
  });
  assert.deepEqual(told(inputOf([free, taken], pools)), [
    'user alice: taken(stop), pool desks(stop)',
    'user bob: pool others(stop)',
    'role staff: free(start)',
  ]);
  assert.deepEqual(told(inputOf([free, taken], pools), { poolMembers: true }), [
    'user alice: free(stop), taken(stop), pool desks(stop)',
    'user bob: pool others(stop)',
    'role staff: free(start), taken(start)',
  ]);
});

test('display Secrets are those that carry the labels; their name is only guessed where there is none', () => {
  const secretsOf = (vm: ReturnType<typeof vmOf>, names: string[]): string[] | undefined => {
    const secrets = names.map((name) => ({ namespace: 'desks', name, vm: 'a' }));
    const elsewhere = { namespace: 'other', name: 'z', vm: 'a' };
    const [grants] = collectGrants(inputOf([vm], [], [...secrets, elsewhere]), OPTIONS);
    return grants?.vms[0]?.secrets;
  };
  const vm = vmOf('a', [alice('*')]);
  assert.deepEqual(secretsOf(vm, ['two', 'one']), ['one', 'two']);
  assert.deepEqual(secretsOf(vm, []), ['a-display-secret']);
  const display = { spice: { generateSecret: false } };
  assert.deepEqual(secretsOf(vmOf('a', [alice('*')], { spec: { vm: { display } } }), []), []);
});

test('a name that VM-Operator would give is left out where the Secret is labelled as another VM’s, and told', () => {
  const vms = [vmOf('a.b', [alice('*')]), vmOf('desktops', [staff('*')]), vmOf('served', [alice('*')])];
  const secret = (name: string, vm: string, namespace = 'desks'): AccessInput['secrets'][number] => ({
    namespace,
    name,
    vm,
  });
  const cases: [secrets: AccessInput['secrets'], named: Record<string, string[]>, taken: string[]][] = [
    [
      [secret('a.b-display-secret', 'desktops')],
      { 'a.b': [], desktops: ['a.b-display-secret'], served: ['served-display-secret'] },
      ['a.b'],
    ],
    [
      [secret('a.b-display-secret', '')],
      { 'a.b': [], desktops: ['desktops-display-secret'], served: ['served-display-secret'] },
      ['a.b'],
    ],
    [
      [secret('a.b-display-secret', 'desktops'), secret('own', 'a.b')],
      { 'a.b': ['own'], desktops: ['a.b-display-secret'], served: ['served-display-secret'] },
      [],
    ],
    [
      [secret('a.b-display-secret', 'desktops', 'other')],
      {
        'a.b': ['a.b-display-secret'],
        desktops: ['desktops-display-secret'],
        served: ['served-display-secret'],
      },
      [],
    ],
  ];
  for (const [secrets, named, taken] of cases) {
    const input = inputOf(vms, [], secrets);
    const granted = collectGrants(input, OPTIONS).flatMap((one) => one.vms);
    assert.deepEqual(Object.fromEntries(granted.map((one) => [one.vm, one.secrets])), named);
    assert.deepEqual(
      takenSecrets(input).map(({ vm }) => vm.name),
      taken,
    );
  }
});
