import type { NamespaceGrants } from '../grants.ts';
import { stableName } from '../names.ts';
import {
  NAMESPACE_LABEL,
  OWNED_LABELS,
  type AdmissionPolicy,
  type AdmissionPolicyBinding,
} from '../types.ts';
import { OPTIONS_ANNOTATION, policyOptionsText, type PolicyOptions } from './options.ts';
import { matched, namespaceNamed } from './cel.ts';
import { labelledObjects, namedObjects, runnerObjectsSpec, runnerPermissionsSpec } from './runners.ts';
import { vmsSpec } from './vms.ts';

export const VMS_POLICY = 'vmop-vms';
const RUNNER_OBJECTS = 'vmop-runner-objects';
const RUNNER_PERMISSIONS = 'vmop-runner-permissions';

/**
 * The policies that let those whom RBAC allows to change one VM by its name change only what their permissions are
 * for, and their bindings. All are cluster-scoped; they limit nobody outside of the namespaces. They need Kubernetes
 * 1.30.
 */
export function accessPolicies(
  grants: readonly NamespaceGrants[],
  namespaces: readonly string[],
  options: PolicyOptions,
): (AdmissionPolicy | AdmissionPolicyBinding)[] {
  const specs: [string, AdmissionPolicy['spec']][] = [
    [VMS_POLICY, vmsSpec(options)],
    [RUNNER_OBJECTS, runnerObjectsSpec(options)],
    [RUNNER_PERMISSIONS, runnerPermissionsSpec(options)],
  ];
  return [
    ...specs.map(([name, spec]) => policy(name, spec, options)),
    ...namespaces.flatMap(namespaceBindings),
    ...namesBindings(grants),
    ...vmBindings(grants),
  ];
}

function policy(name: string, spec: AdmissionPolicy['spec'], options: PolicyOptions): AdmissionPolicy {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: {
      name,
      labels: { ...OWNED_LABELS },
      annotations: { [OPTIONS_ANNOTATION]: policyOptionsText(options) },
    },
    spec,
  };
}

function binding(
  name: string,
  namespace: string,
  spec: Omit<AdmissionPolicyBinding['spec'], 'validationActions'>,
): AdmissionPolicyBinding {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name, labels: { ...OWNED_LABELS, [NAMESPACE_LABEL]: namespace } },
    spec: { ...spec, validationActions: ['Deny'] },
  };
}

/** Of the binding that is in each namespace in which access was applied. */
export function namespaceBindingName(namespace: string): string {
  return stableName([VMS_POLICY], namespace);
}

/** What holds for all VMs of a namespace. */
function namespaceBindings(namespace: string): AdmissionPolicyBinding[] {
  const whole = matched([], { namespaceSelector: namespaceNamed(namespace) });
  return [
    binding(namespaceBindingName(namespace), namespace, {
      policyName: VMS_POLICY,
      matchResources: whole,
    }),
    binding(stableName([RUNNER_OBJECTS], namespace), namespace, {
      policyName: RUNNER_OBJECTS,
      matchResources: labelledObjects(namespace),
    }),
  ];
}

/** An object of the API server holds 1.5 MB at most, and each VM has two names in it. */
const VMS_PER_BINDING = 1000;

/** For what Roles name, whether it is labelled or not: few of them, since each costs every write in the namespace. */
function namesBindings(grants: readonly NamespaceGrants[]): AdmissionPolicyBinding[] {
  const byNamespace = Map.groupBy(grantedVms(grants), ({ namespace }) => namespace);
  return [...byNamespace].flatMap(([namespace, vms]) =>
    Array.from({ length: Math.ceil(vms.length / VMS_PER_BINDING) }, (_, part) => {
      const some = vms.slice(part * VMS_PER_BINDING, (part + 1) * VMS_PER_BINDING);
      const name = stableName(['vmop-runner-names'], namespace, part === 0 ? '' : String(part + 1));
      return binding(name, namespace, {
        policyName: RUNNER_OBJECTS,
        matchResources: namedObjects(
          namespace,
          some.map(({ vm }) => vm),
          [...new Set(some.flatMap(({ secrets }) => secrets))],
        ),
      });
    }),
  );
}

/** One for each VM that a Role names. */
function vmBindings(grants: readonly NamespaceGrants[]): AdmissionPolicyBinding[] {
  return grantedVms(grants).map(({ namespace, vm, secrets }) =>
    binding(stableName(['vmop', 'vm'], `${namespace}/${vm}`), namespace, {
      policyName: RUNNER_PERMISSIONS,
      // Without its VM a pod is left behind, which its operator must be able to tidy up.
      paramRef: { name: vm, namespace, parameterNotFoundAction: 'Allow' },
      matchResources: namedObjects(namespace, [vm], secrets),
    }),
  );
}

/** The VMs that Roles name, in an order that only their names decide. */
function grantedVms(
  grants: readonly NamespaceGrants[],
): { namespace: string; vm: string; secrets: string[] }[] {
  const vms = new Map(
    grants.flatMap(({ namespace, vms: granted }) =>
      granted.map(({ vm, secrets }) => [`${namespace}/${vm}`, { namespace, vm, secrets }] as const),
    ),
  );
  return [...vms].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, vm]) => vm);
}
