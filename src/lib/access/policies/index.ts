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
import { objectsOfVm, runnerObjectsSpec, runnerPermissionsSpec } from './runners.ts';
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

/** What holds for all VMs of a namespace. */
function namespaceBindings(namespace: string): AdmissionPolicyBinding[] {
  return [VMS_POLICY, RUNNER_OBJECTS].map((policyName) =>
    binding(stableName([policyName], namespace), namespace, {
      policyName,
      matchResources: matched([], { namespaceSelector: namespaceNamed(namespace) }),
    }),
  );
}

/** One for each VM that a Role names. */
function vmBindings(grants: readonly NamespaceGrants[]): AdmissionPolicyBinding[] {
  const vms = new Map(
    grants.flatMap(({ namespace, vms }) =>
      vms.map(({ vm, secrets }) => [`${namespace}/${vm}`, { namespace, vm, secrets }] as const),
    ),
  );
  return [...vms.keys()].toSorted().flatMap((key) => {
    const found = vms.get(key);
    if (found === undefined) return [];
    const { namespace, vm, secrets } = found;
    return binding(stableName(['vmop', 'vm'], key), namespace, {
      policyName: RUNNER_PERMISSIONS,
      // Without its VM a pod is left behind, which its operator must be able to tidy up.
      paramRef: { name: vm, namespace, parameterNotFoundAction: 'Allow' },
      matchResources: objectsOfVm(namespace, vm, secrets),
    });
  });
}
