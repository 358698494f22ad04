import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionRequests } from '../../src/lib/vm/actions.ts';
import type { VmAction } from '../../src/lib/vm/action-requests.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { startApiProxy } from './api-proxy.ts';
import { commandSuite } from './suite.ts';

const suite = commandSuite({ vms: [{ name: 'desk' }] });

/** Who asks, which pool governs a VM, and what a person is told beside it, are no part of an action. */
const ASIDE = new Set([
  'selfsubjectreviews',
  'selfsubjectaccessreviews',
  'selfsubjectrulesreviews',
  'vmpools',
  'validatingadmissionpolicybindings',
]);

/** `vmop show` tells of the display password whom something else lets read it; nobody may because of that. */
const SHOWN_TO_SOME = 'get secrets';

/** `patch vms/status desk`, of `PATCH /apis/vmoperator.jdrupes.org/v1/namespaces/default/vms/desk/status`. */
function requestOf(line: string): string[] {
  const [method = '', target = ''] = line.split(' ');
  const { pathname, searchParams } = new URL(target, 'http://localhost');
  const words = pathname.split('/').slice(pathname.startsWith('/api/') ? 3 : 4);
  const [plural = '', name, subresource] = words[0] === 'namespaces' ? words.slice(2) : words;
  if (ASIDE.has(plural)) return [];
  const resource = subresource === undefined ? plural : `${plural}/${subresource}`;
  const selected = /^metadata\.name=(.*)$/.exec(searchParams.get('fieldSelector') ?? '')?.[1];
  const reads = name === undefined ? (searchParams.get('watch') === 'true' ? 'watch' : 'list') : 'get';
  const verb = method === 'GET' ? reads : method.toLowerCase();
  // By its labels where one may list Secrets, else by name: Roles give the name.
  if (resource === 'secrets' && verb === 'list') return ['get secrets'];
  return [
    [verb, resource, resource === 'secrets' || resource === 'events' ? '' : (name ?? selected ?? 'any')]
      .join(' ')
      .trim(),
  ];
}

/** In an order in which each finds the VM as it needs it. */
const LINES: [action: VmAction, line: string][] = [
  ['start', 'start desk'],
  ['show', 'show desk'],
  ['login', 'login desk --user alice'],
  ['secret', 'secret rotate desk'],
  ['reset', 'reset desk --yes'],
  ['restart', 'restart desk --force'],
  ['stop', 'stop desk --force'],
  ['permissions', 'permissions grant desk --user alice --may start'],
];

for (const [action, line] of LINES) {
  test(`vmop ${line} asks for no more than its table says, and for all that it needs`, async () => {
    const { sandbox, run } = suite;
    const proxy = await startApiProxy({ kubeconfig: sandbox.kubeconfig });
    const { code, stderr } = await run(`${line} --server ${proxy.url}`);
    await proxy.close();
    assert.equal(code, 0, stderr);
    const made = new Set(proxy.requests.flatMap(requestOf));
    const vm = await sandbox.admin.get(VMS, { namespace: 'default', name: 'desk' });
    const told = actionRequests(action, vm, '').map(({ needed, request }) => {
      const { verb, resource, subresource, name = '' } = request;
      const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
      return { needed, text: `${verb} ${whole} ${name}`.trim() };
    });
    const table = new Set(told.map(({ text }) => text));
    assert.deepEqual(
      [...made].filter((one) => !table.has(one) && !(action === 'show' && one === SHOWN_TO_SOME)),
      [],
      'not in the table',
    );
    const needed = new Set(told.flatMap(({ needed: isNeeded, text }) => (isNeeded ? [text] : [])));
    assert.deepEqual(
      [...needed].filter((one) => !made.has(one)),
      [],
      'needed by the table only',
    );
  });
}
