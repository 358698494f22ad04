import type { KubeObject, Resource } from '../cluster/types.ts';

/** The objects that `vmop access` makes: as they stand in a manifest, with everything that the server would fill in. */

export const RBAC_GROUP = 'rbac.authorization.k8s.io';
const ADMISSION_GROUP = 'admissionregistration.k8s.io';

/** Whose fields these objects are, in server-side apply. */
export const FIELD_MANAGER = 'vmop-access';

/** On every object that vmop owns, and on none that it does not. */
export const OWNED_LABELS = {
  'app.kubernetes.io/managed-by': 'vmop',
  'app.kubernetes.io/component': 'access',
} as const;

/** On what is cluster-scoped and yet for the VMs of one namespace. */
export const NAMESPACE_LABEL = 'vmop/namespace';

/** For whom a Role is, as spec.permissions says it: `user alice`, `role staff`. */
export const GRANTEE_ANNOTATION = 'vmop/grantee';

interface Metadata {
  name: string;
  namespace?: string;
  labels: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface PolicyRule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

export interface Role {
  apiVersion: `${typeof RBAC_GROUP}/v1`;
  kind: 'Role';
  metadata: Metadata & { namespace: string };
  rules: PolicyRule[];
}

export interface RbacSubject {
  kind: 'User' | 'Group';
  name: string;
  apiGroup: typeof RBAC_GROUP;
}

export interface RoleBinding {
  apiVersion: `${typeof RBAC_GROUP}/v1`;
  kind: 'RoleBinding';
  metadata: Metadata & { namespace: string };
  roleRef: { apiGroup: typeof RBAC_GROUP; kind: 'Role'; name: string };
  subjects: RbacSubject[];
}

export interface NamedExpression {
  name: string;
  expression: string;
}

export interface Validation {
  expression: string;
  messageExpression: string;
  reason: 'Forbidden';
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
}

export interface MatchedResources {
  matchPolicy: 'Equivalent';
  namespaceSelector: LabelSelector;
  objectSelector: LabelSelector;
  /** Absent, never empty: the server does not keep an empty list, and a field that is not kept is a conflict later. */
  resourceRules?: {
    apiGroups: string[];
    apiVersions: string[];
    operations: ('UPDATE' | 'DELETE')[];
    resources: string[];
    resourceNames?: string[];
    scope: 'Namespaced';
  }[];
}

export interface AdmissionPolicy {
  apiVersion: `${typeof ADMISSION_GROUP}/v1`;
  kind: 'ValidatingAdmissionPolicy';
  metadata: Metadata;
  spec: {
    failurePolicy: 'Fail';
    paramKind?: { apiVersion: string; kind: string };
    matchConstraints: MatchedResources;
    matchConditions: NamedExpression[];
    variables: NamedExpression[];
    validations: Validation[];
  };
}

export interface AdmissionPolicyBinding {
  apiVersion: `${typeof ADMISSION_GROUP}/v1`;
  kind: 'ValidatingAdmissionPolicyBinding';
  metadata: Metadata;
  spec: {
    policyName: string;
    paramRef?: { name: string; namespace: string; parameterNotFoundAction: 'Allow' };
    matchResources?: MatchedResources;
    validationActions: ['Deny'];
  };
}

export type AccessObject = Role | RoleBinding | AdmissionPolicy | AdmissionPolicyBinding;

const whole = (object: KubeObject): KubeObject => object;

const rbac = { group: RBAC_GROUP, version: 'v1', namespaced: true, parse: whole };
const admission = { group: ADMISSION_GROUP, version: 'v1', namespaced: false, parse: whole };

/** In the order in which they are applied: what limits comes before what allows. */
export const ACCESS_RESOURCES: Record<AccessObject['kind'], Resource<KubeObject>> = {
  ValidatingAdmissionPolicy: {
    ...admission,
    plural: 'validatingadmissionpolicies',
    kind: 'ValidatingAdmissionPolicy',
  },
  ValidatingAdmissionPolicyBinding: {
    ...admission,
    plural: 'validatingadmissionpolicybindings',
    kind: 'ValidatingAdmissionPolicyBinding',
  },
  Role: { ...rbac, plural: 'roles', kind: 'Role' },
  RoleBinding: { ...rbac, plural: 'rolebindings', kind: 'RoleBinding' },
};

export const ACCESS_KINDS = [
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'Role',
  'RoleBinding',
] as const satisfies AccessObject['kind'][];
