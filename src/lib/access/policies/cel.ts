import { type ADMINISTRATE, DENIAL_PREFIX } from '../../vm/access-denial.ts';
import { GROUP, type Permission } from '../../vm/types.ts';
import type { LabelSelector, MatchedResources, NamedExpression, Validation } from '../types.ts';
import type { PolicyOptions } from './options.ts';

/** What a change needs: a permission, or to be an administrator. */
export type Need = Permission | typeof ADMINISTRATE;

/** A JSON string is a string of CEL. */
export const text = (value: string): string => JSON.stringify(value);
export const list = (values: readonly string[]): string => `[${values.map(text).join(', ')}]`;
export const named = (name: string, expression: string): NamedExpression => ({ name, expression });

/** Whether a name of VM-Operator's is the one who asks. */
export function isAsker(name: string, { userPrefix }: PolicyOptions): string {
  return `${userPrefix === '' ? '' : `${text(userPrefix)} + `}${name} == request.userInfo.username`;
}

/** A refusal that `parseAccessDenial` understands. `vm` is a CEL expression for the VM's name, `more` one for an end. */
export function demand(expression: string, vm: string, need: Need, what: string, more = ''): Validation {
  const end = more === '' ? '' : ` + ${more}`;
  return {
    expression,
    messageExpression: `${text(`${DENIAL_PREFIX}${need} on VM `)} + ${vm} + ${text(` ${what}`)}${end}`,
    reason: 'Forbidden',
  };
}

export function matched(
  resourceRules: Omit<NonNullable<MatchedResources['resourceRules']>[number], 'scope'>[],
  selectors: Partial<Pick<MatchedResources, 'namespaceSelector' | 'objectSelector'>> = {},
): MatchedResources {
  return {
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    ...selectors,
    ...(resourceRules.length > 0 && {
      resourceRules: resourceRules.map((rule) => ({ ...rule, scope: 'Namespaced' as const })),
    }),
  };
}

export function namespaceNamed(namespace: string): LabelSelector {
  return { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
}

/** Kubelets end the pods of their nodes. */
const NODES = 'system:nodes';

/** Nobody is limited who may do it to all VMs anyway: RBAC has let such a user in without any Role of ours. */
export function limitedOnly(options: PolicyOptions): NamedExpression[] {
  const { exemptUsers, exemptGroups, administratorVerb: verb } = options;
  const groups = list([NODES, ...exemptGroups]);
  return [
    ...(exemptUsers.length === 0
      ? []
      : [named('not-exempt-user', `!(request.userInfo.username in ${list(exemptUsers)})`)]),
    named('not-exempt-group', `!request.userInfo.?groups.orValue([]).exists(group, group in ${groups})`),
    named(
      'not-administrator',
      `!authorizer.group(${text(GROUP)}).resource("vms").namespace(request.namespace).check(${text(verb)}).allowed()`,
    ),
  ];
}

/** Nor who may do it to all objects of the kind. */
export const NOT_FREE_OF_NAMES = named(
  'not-free-of-names',
  '!authorizer.group("").resource(request.resource.resource).namespace(request.namespace)\n' +
    '  .check(request.operation == "DELETE" ? "delete" : "patch").allowed()',
);

/**
 * Who asks, and what the VM's permissions give them. `vm` is the VM as it stands: what somebody wants it to become
 * must not decide what they may do.
 */
export function permissionVariables(vm: string, options: PolicyOptions): NamedExpression[] {
  const { groupRoles } = options;
  const granted = (...permissions: Permission[]): string =>
    `variables.grants.exists(grant, grant.may.exists(one, one in ${list(['*', ...permissions])}))`;
  const given = (verb: Permission): string =>
    `authorizer.group(${text(GROUP)}).resource("vmpools").namespace(request.namespace)\n` +
    `    .name(variables.pool).check(${text(verb)}).allowed()`;
  const holds = (permission: Permission, ...implying: Permission[]): string =>
    `variables.pool == ""\n  ? ${granted(permission, ...implying)}\n  : ${given(permission)}`;
  return [
    named(
      'roles',
      Object.keys(groupRoles).length === 0
        ? 'request.userInfo.?groups.orValue([])'
        : `request.userInfo.?groups.orValue([]).map(group,\n  ${JSON.stringify(groupRoles)}[?group].orValue(group))`,
    ),
    named(
      'pool',
      `${vm}.?status.?assignment.?user.hasValue() ? ${vm}.?status.?assignment.?pool.orValue("") : ""`,
    ),
    named(
      'grants',
      `${vm}.?spec.?permissions.orValue([])\n` +
        '  .filter(grant, has(grant.may) && has(grant.user) != has(grant.role) && (has(grant.user)\n' +
        `    ? ${isAsker('grant.user', options)}\n` +
        '    : grant.role in variables.roles))',
    ),
    named('mayStart', holds('start')),
    named('mayStop', holds('stop')),
    named('mayReset', holds('reset')),
    named('mayConsole', holds('accessConsole', 'takeConsole')),
    named('mayTake', holds('takeConsole')),
    named('conditions', `${vm}.?status.?conditions.orValue([])`),
    // As isRunning has it: who was connected when a machine was killed stays so in its status.
    named(
      'running',
      'variables.conditions.exists(one, one.type == "Running" && one.status == "True"\n' +
        `  && (one.?reason.orValue("") != "VmTerminating" || ${vm}.?status.?runnerVersion.hasValue()))`,
    ),
    named(
      'inUse',
      'variables.running\n' +
        '  && variables.conditions.exists(one, one.type == "ConsoleConnected" && one.status == "True")\n' +
        `  && !(${isAsker(`${vm}.?status.?consoleUser.orValue("")`, options)})`,
    ),
  ];
}

/** The keys by which two maps differ, as a list of CEL. */
export function changedKeys(now: string, before: string, but: readonly string[]): string {
  return (
    `${now}.map(key, key).filter(key, !(key in ${list(but)}) && (!(key in ${before}) || ${now}[key] != ${before}[key]))\n` +
    `  + ${before}.map(key, key).filter(key, !(key in ${list(but)}) && !(key in ${now}))`
  );
}

/** The fields of the metadata that differ, as a list of CEL; what the API server keeps by itself is left out. */
export function changedMetadata(but: readonly string[] = []): string {
  return ['labels', 'annotations', 'finalizers', 'ownerReferences']
    .filter((field) => !but.includes(field))
    .map(
      (field) => `(object.metadata.?${field} == oldObject.metadata.?${field} ? [] : ["metadata.${field}"])`,
    )
    .join('\n  + ');
}
