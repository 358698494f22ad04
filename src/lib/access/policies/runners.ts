import { ADMINISTRATE } from '../../vm/access-denial.ts';
import { RUNNER_HEAD } from '../../vm/reset-counter.ts';
import { RUNNER_LABELS } from '../../vm/runner-objects.ts';
import { GROUP, VERSION } from '../../vm/types.ts';
import type { AdmissionPolicy, MatchedResources, Validation } from '../types.ts';
import {
  changedKeys,
  changedMetadata,
  demand,
  limitedOnly,
  matched,
  named,
  namespaceNamed,
  NOT_FREE_OF_NAMES,
  permissionVariables,
  text,
  type Need,
} from './cel.ts';
import type { PolicyOptions } from './options.ts';
import { ownersKept, type ChangeableFields } from './owned.ts';

const core = { apiGroups: [''], apiVersions: ['v1'] };

/** As YAML has it, and nothing that it would read otherwise: a blank, no leading zero, and small enough for a runner. */
const RESET_COUNTER = String.raw`resetCounter["']?: (0|[1-9][0-9]{0,8})\b`;
/** Several who reset it at once; far more than that would leave no room for others. */
const HIGHEST_STEP = 10;

const CHANGEABLE: Record<'secrets' | 'configmaps' | 'pods', ChangeableFields> = {
  secrets: { data: { 'display-password': true, 'password-expiry': true } },
  configmaps: { data: { 'config.yaml': true } },
  pods: { metadata: { annotations: { 'vmrunner.jdrupes.org/cmVersion': true } } },
};

const label = (key: string): string => `oldObject.metadata.?labels[?"app.kubernetes.io/${key}"].orValue("")`;

/**
 * What of a display Secret, of a runner's ConfigMap and of its pod may be changed at all. It asks for no permission:
 * these objects do not say what their VM permits, and RBAC names who may change them. Bound to the runners' labels, and
 * to the names that Roles give: what has such a name and not the labels is nobody's to change.
 */
export function runnerObjectsSpec(options: PolicyOptions): AdmissionPolicy['spec'] {
  const need = (resource: string, expression: string, what: string): Validation =>
    demand(
      `request.operation == "DELETE" || request.resource.resource != "${resource}" || (${expression})`,
      'variables.vm',
      ADMINISTRATE,
      what,
    );
  const same = (field: string): string => `object.?${field} == oldObject.?${field}`;
  const value = (counter: string): string => `int(variables.${counter}.split(": ")[1])`;
  const none = (keys: string): string => `size(${keys}) == 0`;
  return {
    failurePolicy: 'Fail',
    matchConstraints: matched([
      { ...core, operations: ['UPDATE'], resources: ['secrets', 'configmaps', 'pods'] },
      { ...core, operations: ['DELETE'], resources: ['pods'] },
    ]),
    matchConditions: [...limitedOnly(options), NOT_FREE_OF_NAMES],
    variables: [
      named(
        'isRunners',
        'request.resource.resource == "secrets"\n' +
          `  ? ${label('name')} == "vm-runner" && ${label('component')} == "display-secret"\n` +
          // Not by its owner: whether the VM permits it is asked of what has the label.
          `  : ${label('name')} == "vm-runner"`,
      ),
      named(
        'vm',
        `request.resource.resource == "secrets" && variables.isRunners ? ${label('instance')} : request.name`,
      ),
      named('data', 'object.?data.orValue({})'),
      named('dataBefore', 'oldObject.?data.orValue({})'),
      named('config', 'variables.data[?"config.yaml"].orValue("")'),
      named('configBefore', 'variables.dataBefore[?"config.yaml"].orValue("")'),
      named('counter', `variables.config.find(${text(RESET_COUNTER)})`),
      named('counterBefore', `variables.configBefore.find(${text(RESET_COUNTER)})`),
      named('head', `variables.configBefore.find(${text(RUNNER_HEAD)})`),
      named('notes', 'object.metadata.?annotations.orValue({})'),
      named('notesBefore', 'oldObject.metadata.?annotations.orValue({})'),
    ],
    validations: [
      // Of the name that VM-Operator would give it, but somebody else's.
      demand('variables.isRunners', 'variables.vm', ADMINISTRATE, 'to change what is not of its runner'),
      need(
        'secrets',
        [
          same('type'),
          same('immutable'),
          none(changedMetadata()),
          none(
            changedKeys('variables.data', 'variables.dataBefore', ['display-password', 'password-expiry']),
          ),
        ].join('\n  && '),
        'to change more of its display Secret than password and expiry',
      ),
      // Without it, or with an empty one, nobody gets in, or everybody.
      need(
        'secrets',
        'size(variables.data[?"display-password"].orValue("")) > 0 || !("display-password" in variables.dataBefore)',
        'to remove its display password',
      ),
      need(
        'configmaps',
        [
          same('binaryData'),
          same('immutable'),
          none(changedMetadata()),
          none(changedKeys('variables.data', 'variables.dataBefore', ['config.yaml'])),
          // To the letter the text of before, but for a higher number, or a first one where there was none.
          '(variables.config == variables.configBefore || (\n' +
            '    variables.counterBefore == "" && !variables.configBefore.contains("resetCounter") && variables.head != ""\n' +
            '    && variables.config == variables.configBefore.replace(\n' +
            '      variables.head, variables.head + "resetCounter: 1\\n" + variables.head.split("\\n")[1], 1)) || (\n' +
            '    variables.counter != "" && variables.counterBefore != ""\n' +
            '    && variables.counter.split(":")[0] == variables.counterBefore.split(":")[0]\n' +
            '    && variables.configBefore.replace(variables.counterBefore, variables.counter, 1) == variables.config\n' +
            `    && ${value('counter')} > ${value('counterBefore')}\n` +
            `    && ${value('counter')} <= ${value('counterBefore')} + ${HIGHEST_STEP}))`,
        ].join('\n  && '),
        'to change more of its configuration than to raise resetCounter',
      ),
      need(
        'pods',
        [
          same('spec'),
          none(changedMetadata(['annotations'])),
          none(changedKeys('variables.notes', 'variables.notesBefore', ['vmrunner.jdrupes.org/cmVersion'])),
        ].join('\n  && '),
        'to change more of its pod than the annotation cmVersion',
      ),
      ...Object.entries(CHANGEABLE).map(([resource, fields]) =>
        need(resource, ownersKept(fields), 'to change who owns its fields (metadata.managedFields)'),
      ),
    ],
  };
}

/**
 * Whether the VM, which is the policy's parameter, permits the change of its Secret, ConfigMap or pod now: Roles say
 * what it permitted when they were made. Each VM has a binding of its own: one for all of a namespace would look at
 * every VM for each change.
 */
export function runnerPermissionsSpec(options: PolicyOptions): AdmissionPolicy['spec'] {
  const need = (when: string, expression: string, permission: Need, what: string): Validation =>
    demand(`!(${when}) || ${expression}`, 'params.metadata.name', permission, what);
  const secret = 'request.resource.resource == "secrets"';
  const killed = 'request.operation == "DELETE"';
  const reset = `request.operation == "UPDATE" && !(${secret})`;
  return {
    failurePolicy: 'Fail',
    paramKind: { apiVersion: `${GROUP}/${VERSION}`, kind: 'VirtualMachine' },
    matchConstraints: matched(
      [
        { ...core, operations: ['UPDATE'], resources: ['secrets', 'configmaps', 'pods'] },
        { ...core, operations: ['DELETE'], resources: ['pods'] },
      ],
      // Before any binding is looked at, of which there are many.
      { objectSelector: { matchLabels: { ...RUNNER_LABELS } } },
    ),
    matchConditions: [...limitedOnly(options), NOT_FREE_OF_NAMES],
    variables: permissionVariables('params', options),
    validations: [
      need(secret, 'variables.mayConsole', 'accessConsole', 'to change its display password'),
      need(
        secret,
        '!variables.inUse || variables.mayTake',
        'takeConsole',
        'to change its display password while somebody else is connected',
      ),
      need(reset, 'variables.mayReset', 'reset', 'to reset it'),
      need(killed, 'variables.mayStop', 'stop', 'to end it by force'),
    ],
  };
}

/** The objects that are labelled as a runner's. */
export function labelledObjects(namespace: string): MatchedResources {
  return matched([], {
    namespaceSelector: namespaceNamed(namespace),
    objectSelector: { matchLabels: { ...RUNNER_LABELS } },
  });
}

/** The objects of VMs, by their names. */
export function namedObjects(namespace: string, vms: string[], secrets: string[]): MatchedResources {
  return matched(
    [
      { ...core, operations: ['UPDATE', 'DELETE'], resources: ['configmaps', 'pods'], resourceNames: vms },
      ...(secrets.length === 0
        ? []
        : [
            {
              ...core,
              operations: ['UPDATE' as const],
              resources: ['secrets'],
              resourceNames: secrets,
            },
          ]),
    ],
    { namespaceSelector: namespaceNamed(namespace) },
  );
}
