import { ADMINISTRATE, DENIAL_PREFIX } from '../vm/access-denial.ts';
import { GROUP, VERSION, type Permission } from '../vm/types.ts';
import {
  OWNED_LABELS,
  type AdmissionPolicy,
  type AdmissionPolicyBinding,
  type MatchedResources,
  type Validation,
} from './types.ts';

export interface PolicyOptions {
  userPrefix: string;
  groupRoles: Readonly<Record<string, string>>;
  /** Users and groups whom no policy limits, beside the administrators. */
  exemptUsers: readonly string[];
  exemptGroups: readonly string[];
  /** Who is allowed this verb on every VM of the namespace is its administrator. */
  administratorVerb: string;
}

const VMS_POLICY = 'vmop-vms';
const RUNNERS_POLICY = 'vmop-runners';

type Variable = AdmissionPolicy['spec']['variables'][number];

const text = (value: string): string => JSON.stringify(value);
const list = (values: readonly string[]): string => `[${values.map(text).join(', ')}]`;
const variable = (name: string, expression: string): Variable => ({ name, expression });

/** `vm`: a CEL expression for the VM's name. */
function denial(vm: string, permission: Permission | typeof ADMINISTRATE, what: string): string {
  return `${text(`${DENIAL_PREFIX}${permission} on VM `)} + ${vm} + ${text(` ${what}`)}`;
}

/**
 * The policies that let those whom RBAC allows to change one VM by its name change only what their permissions are
 * for; cluster-scoped, and the same whatever the VMs. They need Kubernetes 1.30.
 */
export function accessPolicies(options: PolicyOptions): (AdmissionPolicy | AdmissionPolicyBinding)[] {
  return [
    policy(VMS_POLICY, vmsSpec(options)),
    policy(RUNNERS_POLICY, runnersSpec(options)),
    binding(VMS_POLICY),
    binding(RUNNERS_POLICY, { selector: {}, parameterNotFoundAction: 'Allow' }),
  ];
}

function policy(name: string, spec: AdmissionPolicy['spec']): AdmissionPolicy {
  const metadata = { name, labels: { ...OWNED_LABELS } };
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata,
    spec,
  };
}

function binding(
  name: string,
  paramRef?: AdmissionPolicyBinding['spec']['paramRef'],
): AdmissionPolicyBinding {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name, labels: { ...OWNED_LABELS } },
    spec: { policyName: name, ...(paramRef && { paramRef }), validationActions: ['Deny'] },
  };
}

function matched(
  resourceRules: Omit<MatchedResources['resourceRules'][number], 'scope'>[],
): MatchedResources {
  return {
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    resourceRules: resourceRules.map((rule) => ({ ...rule, scope: 'Namespaced' })),
  };
}

/** Kubelets end the pods of their nodes. */
const NODES = 'system:nodes';

/** Nobody is limited who may do it to all VMs anyway: RBAC has let such a user in without any Role of ours. */
function limitedOnly(options: PolicyOptions): Variable[] {
  const { exemptUsers, exemptGroups, administratorVerb: verb } = options;
  const groups = list([NODES, ...exemptGroups]);
  return [
    ...(exemptUsers.length === 0
      ? []
      : [variable('not-exempt-user', `!(request.userInfo.username in ${list(exemptUsers)})`)]),
    variable('not-exempt-group', `!request.userInfo.?groups.orValue([]).exists(group, group in ${groups})`),
    variable(
      'not-administrator',
      `!authorizer.group(${text(GROUP)}).resource("vms").namespace(request.namespace).check(${text(verb)}).allowed()`,
    ),
  ];
}

/**
 * Who asks, and what the VM's permissions give them. `vm` is the VM as it stands: what somebody wants it to become
 * must not decide what they may do.
 */
function permissionVariables(vm: string, { userPrefix, groupRoles }: PolicyOptions): Variable[] {
  const roles = Object.fromEntries(Object.entries(groupRoles).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const granted = (...permissions: Permission[]): string =>
    `variables.grants.exists(grant, grant.may.exists(one, one in ${list(['*', ...permissions])}))`;
  const given = (verb: Permission): string =>
    `authorizer.group(${text(GROUP)}).resource("vmpools").namespace(request.namespace)\n` +
    `    .name(variables.pool).check(${text(verb)}).allowed()`;
  const holds = (permission: Permission, ...implying: Permission[]): string =>
    `variables.pool == ""\n  ? ${granted(permission, ...implying)}\n  : ${given(permission)}`;
  return [
    variable(
      'roles',
      Object.keys(roles).length === 0
        ? 'request.userInfo.?groups.orValue([])'
        : `request.userInfo.?groups.orValue([]).map(group,\n  ${JSON.stringify(roles)}[?group].orValue(group))`,
    ),
    variable(
      'pool',
      `${vm}.?status.?assignment.?user.hasValue() ? ${vm}.?status.?assignment.?pool.orValue("") : ""`,
    ),
    variable(
      'grants',
      `${vm}.?spec.?permissions.orValue([])\n` +
        '  .filter(grant, has(grant.may) && has(grant.user) != has(grant.role) && (has(grant.user)\n' +
        `    ? ${text(userPrefix)} + grant.user == request.userInfo.username\n` +
        '    : grant.role in variables.roles))',
    ),
    variable('mayStart', holds('start')),
    variable('mayStop', holds('stop')),
    variable('mayReset', holds('reset')),
    variable('mayConsole', holds('accessConsole', 'takeConsole')),
    variable('mayTake', holds('takeConsole')),
    variable(
      'inUse',
      `${vm}.?status.?conditions.orValue([]).exists(one,\n` +
        '    one.type == "ConsoleConnected" && one.status == "True")\n' +
        `  && ${text(userPrefix)} + ${vm}.?status.?consoleUser.orValue("") != request.userInfo.username`,
    ),
  ];
}

/** The keys by which two maps differ, as CEL. */
function changedKeys(now: string, before: string, but: readonly string[]): string {
  return (
    `${now}.map(key, key).filter(key, !(key in ${list(but)}) && (!(key in ${before}) || ${now}[key] != ${before}[key]))\n` +
    `  + ${before}.map(key, key).filter(key, !(key in ${list(but)}) && !(key in ${now}))`
  );
}

const AGREED_METADATA = ['labels', 'annotations', 'finalizers', 'ownerReferences'];

function changedMetadata(fields: readonly string[]): string {
  return fields
    .map(
      (field) => `(object.metadata.?${field} == oldObject.metadata.?${field} ? [] : ["metadata.${field}"])`,
    )
    .join('\n  + ');
}

function vmsSpec(options: PolicyOptions): AdmissionPolicy['spec'] {
  const parts = (name: string, path: string): Variable[] => [
    variable(name, `object.${path}.orValue({})`),
    variable(`${name}Before`, `oldObject.${path}.orValue({})`),
  ];
  const changed = (name: string, prefix: string, but: readonly string[]): string =>
    `(${changedKeys(`variables.${name}`, `variables.${name}Before`, but)})\n  .map(key, "${prefix}." + key)`;
  const me = (name: string): string => `${text(options.userPrefix)} + ${name} == request.userInfo.username`;
  const need = (
    expression: string,
    permission: Permission | typeof ADMINISTRATE,
    what: string,
  ): Validation => ({
    expression,
    messageExpression: denial('request.name', permission, what),
    reason: 'Forbidden',
  });
  return {
    failurePolicy: 'Fail',
    matchConstraints: matched([
      { apiGroups: [GROUP], apiVersions: ['*'], operations: ['UPDATE'], resources: ['vms', 'vms/status'] },
    ]),
    matchConditions: limitedOnly(options),
    variables: [
      ...permissionVariables('oldObject', options),
      ...parts('spec', '?spec'),
      ...parts('vm', '?spec.?vm'),
      ...parts('display', '?spec.?vm.?display'),
      ...parts('status', '?status'),
      variable('state', 'variables.vm.?state.orValue("Stopped")'),
      variable('stateBefore', 'variables.vmBefore.?state.orValue("Stopped")'),
      variable('login', 'variables.display.?loggedInUser.orValue("")'),
      variable('loginBefore', 'variables.displayBefore.?loggedInUser.orValue("")'),
      variable('consoleUser', 'variables.status.?consoleUser.orValue("")'),
      variable('consoleUserBefore', 'variables.statusBefore.?consoleUser.orValue("")'),
      variable(
        'others',
        [
          changedMetadata(AGREED_METADATA),
          changed('spec', 'spec', ['vm']),
          changed('vm', 'spec.vm', ['state', 'display']),
          changed('display', 'spec.vm.display', ['loggedInUser']),
          changed('status', 'status', ['consoleUser']),
        ].join('\n  + '),
      ),
    ],
    validations: [
      {
        expression: 'size(variables.others) == 0',
        messageExpression: `${denial('request.name', ADMINISTRATE, 'to change ')} + variables.others.min()`,
        reason: 'Forbidden',
      },
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
        'variables.login == variables.loginBefore || variables.mayConsole',
        'accessConsole',
        'to log a user in or out',
      ),
      // As vmop itself demands: the name goes unescaped into the guest's line protocol.
      need(
        'variables.login == variables.loginBefore || variables.login == ""\n' +
          '  || (variables.login.matches("^[a-z_][a-z0-9_-]{0,31}$") && variables.login != "root")',
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
    ],
  };
}

const RESET_COUNTER = String.raw`resetCounter["']?[ ]*:[ ]*[0-9]{1,15}`;

/**
 * The display Secret, the runner's ConfigMap and its pod. They do not say what their VM permits, so the VMs of the
 * namespace are the policy's parameters, and the one that the object belongs to decides.
 */
function runnersSpec(options: PolicyOptions): AdmissionPolicy['spec'] {
  const on = (resource: string, expression: string): string => `!variables.${resource} || ${expression}`;
  const need = (
    expression: string,
    permission: Permission | typeof ADMINISTRATE,
    what: string,
  ): Validation => ({
    expression,
    messageExpression: denial('params.metadata.name', permission, what),
    reason: 'Forbidden',
  });
  return {
    failurePolicy: 'Fail',
    paramKind: { apiVersion: `${GROUP}/${VERSION}`, kind: 'VirtualMachine' },
    matchConstraints: matched([
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['UPDATE'],
        resources: ['secrets', 'configmaps', 'pods'],
      },
      { apiGroups: [''], apiVersions: ['v1'], operations: ['DELETE'], resources: ['pods'] },
      { apiGroups: [''], apiVersions: ['v1'], operations: ['CONNECT'], resources: ['pods/portforward'] },
    ]),
    matchConditions: [
      variable(
        'of-this-vm',
        'params.metadata.name == (request.resource.resource == "secrets"\n' +
          '  ? (oldObject.metadata.?labels[?"app.kubernetes.io/component"].orValue("") == "display-secret"\n' +
          '    ? oldObject.metadata.?labels[?"app.kubernetes.io/instance"].orValue("") : "")\n' +
          '  : request.name)',
      ),
      ...limitedOnly(options),
      variable(
        'not-free-of-names',
        '!authorizer.group("").resource(request.resource.resource).subresource(request.?subResource.orValue(""))\n' +
          '  .namespace(request.namespace).check(request.operation == "UPDATE" ? "patch"\n' +
          '    : request.operation == "DELETE" ? "delete" : "create").allowed()',
      ),
    ],
    variables: [
      ...permissionVariables('params', options),
      variable('secret', 'request.resource.resource == "secrets"'),
      variable('configMap', 'request.resource.resource == "configmaps"'),
      variable('pod', 'request.resource.resource == "pods" && request.operation == "UPDATE"'),
      variable('kill', 'request.resource.resource == "pods" && request.operation == "DELETE"'),
      variable('tunnel', 'request.operation == "CONNECT"'),
      variable('data', 'variables.kill || variables.tunnel ? {} : object.?data.orValue({})'),
      variable('dataBefore', 'variables.kill || variables.tunnel ? {} : oldObject.?data.orValue({})'),
      variable('config', 'variables.configMap ? variables.data[?"config.yaml"].orValue("") : ""'),
      variable('configBefore', 'variables.configMap ? variables.dataBefore[?"config.yaml"].orValue("") : ""'),
      variable('counter', `variables.config.find(${text(RESET_COUNTER)})`),
      variable('counterBefore', `variables.configBefore.find(${text(RESET_COUNTER)})`),
      variable('notes', 'variables.pod ? object.metadata.?annotations.orValue({}) : {}'),
      variable('notesBefore', 'variables.pod ? oldObject.metadata.?annotations.orValue({}) : {}'),
    ],
    validations: [
      need(on('secret', 'variables.mayConsole'), 'accessConsole', 'to change its display password'),
      need(
        on('secret', '!variables.inUse || variables.mayTake'),
        'takeConsole',
        'to change its display password while somebody else is connected',
      ),
      need(
        on(
          'secret',
          `(object.?type == oldObject.?type && object.?immutable == oldObject.?immutable\n` +
            `  && size(${changedMetadata(AGREED_METADATA)}) == 0\n` +
            `  && size(${changedKeys('variables.data', 'variables.dataBefore', ['display-password', 'password-expiry'])}) == 0)`,
        ),
        ADMINISTRATE,
        'to change more of its display Secret than password and expiry',
      ),
      need(on('configMap', 'variables.mayReset'), 'reset', 'to reset it'),
      need(
        on(
          'configMap',
          `(object.?binaryData == oldObject.?binaryData && object.?immutable == oldObject.?immutable\n` +
            `  && size(${changedMetadata(AGREED_METADATA)}) == 0\n` +
            `  && size(${changedKeys('variables.data', 'variables.dataBefore', ['config.yaml'])}) == 0\n` +
            '  && (variables.config == variables.configBefore || (\n' +
            '    variables.counter != "" && variables.counterBefore != ""\n' +
            '    && variables.counter.split(":")[0] == variables.counterBefore.split(":")[0]\n' +
            '    && variables.configBefore.replace(variables.counterBefore, variables.counter, 1) == variables.config\n' +
            '    && int(variables.counter.split(":")[1].trim()) > int(variables.counterBefore.split(":")[1].trim()))))',
        ),
        ADMINISTRATE,
        'to change more of its configuration than to raise resetCounter',
      ),
      need(on('pod', 'variables.mayReset'), 'reset', 'to reset it'),
      need(
        on(
          'pod',
          `(object.spec == oldObject.spec\n` +
            `  && size(${changedMetadata(AGREED_METADATA.filter((field) => field !== 'annotations'))}) == 0\n` +
            `  && size(${changedKeys('variables.notes', 'variables.notesBefore', ['vmrunner.jdrupes.org/cmVersion'])}) == 0)`,
        ),
        ADMINISTRATE,
        'to change more of its pod than the annotation cmVersion',
      ),
      need(on('kill', 'variables.mayStop'), 'stop', 'to end it by force'),
      need(on('tunnel', 'variables.mayConsole'), 'accessConsole', 'to open a tunnel to its console'),
      need(
        on('tunnel', '!variables.inUse || variables.mayTake'),
        'takeConsole',
        'to open a tunnel to its console while somebody else is connected',
      ),
    ],
  };
}
