import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISPLAY_SECRETS } from '../../src/lib/console/secret/display-secret.ts';
import { startApiProxy } from './api-proxy.ts';
import { assertGolden } from './golden.ts';
import { commandSuite, field } from './suite.ts';

const suite = commandSuite(
  {
    users: { alice: ['staff'], bob: [] },
    pools: [{ name: 'desks', spec: { permissions: [{ role: 'staff', may: ['accessConsole', 'reset'] }] } }],
    vms: [
      {
        name: 'rich',
        spec: {
          pools: ['desks', 'spare'],
          permissions: [
            { user: 'alice', may: ['start', 'accessConsole'] },
            { role: 'staff', may: ['*'] },
            { user: 'nobody' },
          ],
          vm: {
            state: 'Running',
            display: {
              loggedInUser: 'alice',
              spice: { port: 5910, server: 'desk.example.org', proxyUrl: 'http://proxy.example.org:3128' },
            },
          },
        },
      },
      { name: 'plain', spec: { vm: { currentCpus: 1, maximumRam: 'lots' } } },
      { name: 'taken', spec: { pools: ['desks'] }, status: { assignment: { pool: 'desks', user: 'alice' } } },
    ],
  },
  async (sandbox) => {
    await sandbox.waitFor('rich', ({ status }) => status.loggedInUser === 'alice');
    await sandbox.patchStatus('rich', { consoleUser: 'alice' });
    sandbox.driver.machine('rich')?.connectConsole('10.0.0.7');
    await sandbox.waitFor('rich', ({ status }) => status.consoleClient !== undefined);
  },
);
const { run } = suite;

test('a running VM as text, JSON and YAML', async () => {
  assertGolden('show.txt', (await run('show rich')).stdout);
  assertGolden('show.json', (await run('show rich --json')).stdout);
  assertGolden('show.yaml', (await run('show rich -o yaml')).stdout);
  assert.equal((await run('show rich -o name')).stdout, 'rich\n');
  assert.equal(
    (await run(['show', 'rich', '-o', 'jsonpath={.console.user}@{.console.client}'])).stdout,
    'alice@10.0.0.7',
  );
});

test('a stopped VM that holds a mistake, seen by somebody who may nothing', async () => {
  const { code, stdout } = await run('show plain', { user: 'bob' });
  assert.equal(code, 0);
  assertGolden('show-plain.txt', stdout);
});

test('the end of the password is told as `secret show` tells it', async () => {
  const secret = { namespace: 'default', name: 'rich-display-secret' };
  for (const [expiry, json, text] of [
    ['4000000000', '2096-10-02T07:06:40Z', 'valid until 2096-10-02T07:06:40Z'],
    ['+60', '+60', 'valid for 1m from each start of the VM'],
    [
      '2096-10-02T07:06:40Z',
      '2096-10-02T07:06:40Z',
      'expired: "2096-10-02T07:06:40Z" is no expiry that QEMU knows',
    ],
  ]) {
    const data = { 'password-expiry': Buffer.from(expiry ?? '').toString('base64') };
    await suite.sandbox.admin.patch(DISPLAY_SECRETS, secret, { type: 'merge', body: { data } });
    const shown = await run('show rich --json');
    assert.equal(field(shown.json(), 'password', 'expiry'), json);
    assert.ok((await run('show rich')).stdout.includes(`Password:    in rich-display-secret, ${text}\n`));
    assert.ok((await run('secret show rich')).stdout.includes(`rich-display-secret, ${text}\n`));
  }
});

test('what keeps a VM from running is said', async () => {
  await run('start plain --no-wait');
  await run([
    'wait',
    'plain',
    '--for',
    'jsonpath={.status.conditions[?(@.type=="Running")].reason}=RunnerStarted',
  ]);
  const { stdout } = await run('show plain');
  assert.match(stdout, /^State: +starting, wanted: Running\nObstacle: +spec\.vm\.currentCpus is 1/m);
});

test('an assigned VM is governed by its pool', async () => {
  const { stdout } = await run('show taken --json', { user: 'alice' });
  assert.deepEqual(field(JSON.parse(stdout), 'may'), ['reset', 'accessConsole']);
  assert.match(
    (await run('show taken', { user: 'alice' })).stdout,
    /^Assigned: +to alice by pool desks\nYou may: +reset,console$/m,
  );
});

test('what may not be read is left out and named', async () => {
  const proxy = await startApiProxy({
    kubeconfig: suite.sandbox.kubeconfig,
    meet: (_method, path) =>
      /secrets|events/.test(path) ? { status: 403, body: { message: 'not for you' } } : undefined,
  });
  try {
    const { code, stdout, stderr } = await run(`show rich --server ${proxy.url}`);
    assert.equal(code, 0);
    assert.match(stdout, /^Password: +its Secret may not be read$/m);
    assert.doesNotMatch(stdout, /Events/);
    assert.equal(stderr, 'warning: its events may not be read: not for you\n');
    const json = await run(`show rich --json --server ${proxy.url}`);
    assert.equal(field(json.json(), 'password', 'unreadable'), 'not for you');
  } finally {
    await proxy.close();
  }
});

test('an unknown VM is 3, a second name 2', async () => {
  const unknown = await run('show nope --json');
  assert.equal(unknown.code, 3);
  assertGolden('show-unknown.json', unknown.stdout);
  assert.equal((await run('show rich plain')).code, 2);
});
