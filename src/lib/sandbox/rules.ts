import { GROUP } from '../vm/types.ts';
import type { PolicyRule } from './api/index.ts';

const SUBJECTS = { groups: ['system:authenticated'] };
const READ = ['get', 'list', 'watch'];

/**
 * What users who are no administrators may do, so that vmop works for them: see everything, and change these VMs. They
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
