import { ADMINISTRATE } from '../../vm/access-denial.ts';
import { GROUP } from '../../vm/types.ts';
import type { AdmissionPolicy, NamedExpression, Validation } from '../types.ts';
import {
  changedKeys,
  changedMetadata,
  demand,
  isAsker,
  limitedOnly,
  matched,
  named,
  permissionVariables,
  text,
  type Need,
} from './cel.ts';
import type { PolicyOptions } from './options.ts';
import { ownersKept, ownersOfFieldKept, type ChangeableFields } from './owned.ts';

/** A runner that may do nothing but report, on whichever VM, reports: unless users were given all VMs, too. */
function statusForAll({ administratorVerb }: PolicyOptions): NamedExpression[] {
  if (administratorVerb !== 'patch') return [];
  const status = `authorizer.group(${text(GROUP)}).resource("vms").subresource("status").namespace(request.namespace)`;
  return [
    named('not-status-of-all', `request.subResource != "status" || !${status}.check("patch").allowed()`),
  ];
}

const CHANGEABLE: ChangeableFields = {
  spec: { vm: { state: true, display: { loggedInUser: true } } },
  status: { consoleUser: true },
};

/** Which fields of a VM and of its status may be changed, and from what to what. */
export function vmsSpec(options: PolicyOptions): AdmissionPolicy['spec'] {
  const parts = (name: string, path: string): NamedExpression[] => [
    named(name, `object.${path}.orValue({})`),
    named(`${name}Before`, `oldObject.${path}.orValue({})`),
  ];
  const changed = (name: string, prefix: string, but: readonly string[]): string =>
    `(${changedKeys(`variables.${name}`, `variables.${name}Before`, but)})\n  .map(key, "${prefix}." + key)`;
  const me = (name: string): string => isAsker(name, options);
  const need = (expression: string, permission: Need, what: string): Validation =>
    demand(expression, 'request.name', permission, what);
  const owning = (field: readonly string[], may: string, permission: Need): Validation =>
    need(`${may} || (${ownersOfFieldKept(field)})`, permission, `to change who owns ${field.join('.')}`);
  return {
    failurePolicy: 'Fail',
    matchConstraints: matched([
      { apiGroups: [GROUP], apiVersions: ['*'], operations: ['UPDATE'], resources: ['vms', 'vms/status'] },
    ]),
    matchConditions: [...limitedOnly(options), ...statusForAll(options)],
    variables: [
      ...permissionVariables('oldObject', options),
      ...parts('spec', '?spec'),
      ...parts('vm', '?spec.?vm'),
      ...parts('display', '?spec.?vm.?display'),
      ...parts('status', '?status'),
      named('state', 'variables.vm.?state.orValue("Stopped")'),
      named('stateBefore', 'variables.vmBefore.?state.orValue("Stopped")'),
      named('login', 'variables.display.?loggedInUser'),
      named('sameLogin', 'variables.login == variables.displayBefore.?loggedInUser'),
      named('consoleUser', 'variables.status.?consoleUser.orValue("")'),
      named('consoleUserBefore', 'variables.statusBefore.?consoleUser.orValue("")'),
      named(
        'others',
        [
          changedKeys('object', 'oldObject', ['apiVersion', 'kind', 'metadata', 'spec', 'status']),
          changedMetadata(),
          changed('spec', 'spec', ['vm']),
          changed('vm', 'spec.vm', ['state', 'display']),
          changed('display', 'spec.vm.display', ['loggedInUser']),
          changed('status', 'status', ['consoleUser']),
        ].join('\n  + '),
      ),
    ],
    validations: [
      demand(
        'size(variables.others) == 0',
        'request.name',
        ADMINISTRATE,
        'to change ',
        'variables.others.min()',
      ),
      need(ownersKept(CHANGEABLE), ADMINISTRATE, 'to change who owns its fields (metadata.managedFields)'),
      need(
        'variables.state == variables.stateBefore || variables.state != "Running" || variables.mayStart',
        'start',
        'to start it',
      ),
      need(
        'variables.state == variables.stateBefore || variables.state == "Running" || variables.mayStop',
        'stop',
        'to stop it',
      ),
      need(
        'variables.sameLogin || !variables.inUse || variables.mayTake',
        'takeConsole',
        'to log a user in or out while somebody else is connected',
      ),
      need('variables.sameLogin || variables.mayConsole', 'accessConsole', 'to log a user in or out'),
      // As vmop itself demands: the name goes unescaped into the guest's line protocol.
      need(
        'variables.sameLogin || !variables.login.hasValue()\n' +
          '  || (variables.login.value().matches("^[a-z_][a-z0-9_-]{0,31}$") && variables.login.value() != "root")',
        ADMINISTRATE,
        'to log in a user of such a name',
      ),
      need(
        'variables.consoleUser == variables.consoleUserBefore || variables.mayConsole',
        'accessConsole',
        'to become the user of its console',
      ),
      need(
        `variables.consoleUser == variables.consoleUserBefore || ${me('variables.consoleUser')}\n` +
          `  || (variables.consoleUser == "" && ${me('variables.consoleUserBefore')})`,
        ADMINISTRATE,
        'to say that somebody else uses its console',
      ),
      need(
        'variables.consoleUser == variables.consoleUserBefore || !variables.inUse || variables.mayTake',
        'takeConsole',
        'to take its console over from somebody who is connected',
      ),
      // Each permission is for its own fields, also where it only says whose they are.
      owning(['spec', 'vm', 'state'], '(variables.mayStart || variables.mayStop)', 'start'),
      owning(['spec', 'vm', 'display', 'loggedInUser'], 'variables.mayConsole', 'accessConsole'),
      owning(['status', 'consoleUser'], 'variables.mayConsole', 'accessConsole'),
    ],
  };
}
