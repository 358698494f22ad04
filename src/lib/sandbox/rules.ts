import { GROUP } from '../vm/types.ts';
import type { PolicyRule } from './api/index.ts';

const SUBJECTS = { groups: ['system:authenticated'] };
const READ = ['get', 'list', 'watch'];
const ALL = [...READ, 'create', 'patch', 'delete'];

const account = (name: string): string => `system:serviceaccount:default:${name}`;
/** The service accounts of the operator and of its runners' pods; they need no namespace of their own. */
export const OPERATOR_ACCOUNT = 'vm-operator';
export const RUNNER_ACCOUNT = 'vm-runner';
/** As the API server names them. */
export const OPERATOR_USER = account(OPERATOR_ACCOUNT);
export const RUNNER_USER = account(RUNNER_ACCOUNT);

/** What VM-Operator's own Roles give to its two service accounts, and to the operator what a kubelet may do. */
export function accountRules(): PolicyRule[] {
  const operator = { users: [OPERATOR_USER] };
  const runner = { users: [RUNNER_USER] };
  return [
    { subjects: operator, verbs: ALL, apiGroups: [GROUP], resources: ['vms', 'vms/status', 'vmpools'] },
    { subjects: operator, verbs: ALL, apiGroups: [''], resources: ['pods', 'configmaps', 'secrets'] },
    // There is no other kubelet that would report on the pods.
    { subjects: operator, verbs: ['patch'], apiGroups: [''], resources: ['pods/status'] },
    { subjects: runner, verbs: ['get', 'list', 'patch'], apiGroups: [GROUP], resources: ['vms'] },
    { subjects: runner, verbs: ['patch'], apiGroups: [GROUP], resources: ['vms/status'] },
    { subjects: runner, verbs: ['create'], apiGroups: ['events.k8s.io'], resources: ['events'] },
  ];
}

/**
 * For an API server without admission policies. What users who are no administrators may do, so that vmop works for them: see everything, and change these VMs. They
 * are named one by one, because whoever may change any VM is taken for an administrator.
 */
export function userRules(vmNames: readonly string[]): PolicyRule[] {
  const resourceNames = [...vmNames];
  return [
    { subjects: SUBJECTS, verbs: READ, apiGroups: [GROUP], resources: ['vms', 'vmpools'] },
    { subjects: SUBJECTS, verbs: READ, apiGroups: [''], resources: ['namespaces', 'pods', 'configmaps'] },
    { subjects: SUBJECTS, verbs: READ, apiGroups: ['', 'events.k8s.io'], resources: ['events'] },
    { subjects: SUBJECTS, verbs: ['get'], apiGroups: [''], resources: ['pods/log'] },
    // Display Secrets are found by their labels.
    { subjects: SUBJECTS, verbs: [...READ, 'patch'], apiGroups: [''], resources: ['secrets'] },
    {
      subjects: SUBJECTS,
      verbs: ['patch'],
      apiGroups: [GROUP],
      resources: ['vms', 'vms/status'],
      resourceNames,
    },
    { subjects: SUBJECTS, verbs: ['patch'], apiGroups: [''], resources: ['configmaps'], resourceNames },
    { subjects: SUBJECTS, verbs: ['patch', 'delete'], apiGroups: [''], resources: ['pods'], resourceNames },
    // Over WebSocket both verbs are asked for.
    {
      subjects: SUBJECTS,
      verbs: ['get', 'create'],
      apiGroups: [''],
      resources: ['pods/portforward'],
      resourceNames,
    },
  ];
}
