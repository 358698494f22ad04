import type { NamespaceGrants } from '../grants.ts';
import { stableName } from '../names.ts';
import {
  NAMESPACE_LABEL,
  OWNED_LABELS,
  type AdmissionPolicy,
  type AdmissionPolicyBinding,
} from '../types.ts';
import type { PolicyOptions } from './cel.ts';
import { objectsOfVm, runnerObjectsSpec, runnerPermissionsSpec } from './runners.ts';
import { vmsSpec } from './vms.ts';

export type { PolicyOptions } from './cel.ts';

const VMS = 'vmop-vms';
const RUNNER_OBJECTS = 'vmop-runner-objects';
const RUNNER_PERMISSIONS = 'vmop-runner-permissions';

/**
 * The policies that let those whom RBAC allows to change one VM by its name change only what their permissions are
 * for, and their bindings. All are cluster-scoped; only the bindings of the last one depend on the VMs. They need
 * Kubernetes 1.30.
 */
export function accessPolicies(
  grants: readonly NamespaceGrants[],
  options: PolicyOptions,
): (AdmissionPolicy | AdmissionPolicyBinding)[] {
  const specs: [string, AdmissionPolicy['spec']][] = [
    [VMS, vmsSpec(options)],
    [RUNNER_OBJECTS, runnerObjectsSpec(options)],
    [RUNNER_PERMISSIONS, runnerPermissionsSpec(options)],
  ];
  return [
    ...specs.map(([name, spec]) => policy(name, spec)),
    binding(VMS, { policyName: VMS }),
    binding(RUNNER_OBJECTS, { policyName: RUNNER_OBJECTS }),
    ...vmBindings(grants),
  ];
}

function policy(name: string, spec: AdmissionPolicy['spec']): AdmissionPolicy {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name, labels: { ...OWNED_LABELS } },
    spec,
  };
}

function binding(
  name: string,
  spec: Omit<AdmissionPolicyBinding['spec'], 'validationActions'>,
  labels: Record<string, string> = {},
): AdmissionPolicyBinding {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name, labels: { ...OWNED_LABELS, ...labels } },
    spec: { ...spec, validationActions: ['Deny'] },
  };
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
    return binding(
      stableName(['vmop', 'vm'], key),
      {
        policyName: RUNNER_PERMISSIONS,
        // Without its VM a pod is left behind, which its operator must be able to tidy up.
        paramRef: { name: vm, namespace, parameterNotFoundAction: 'Allow' },
        matchResources: objectsOfVm(namespace, vm, secrets),
      },
      { [NAMESPACE_LABEL]: namespace },
    );
  });
}
