import type { Identity } from '../../../../src/lib/cluster/types.ts';
import type { PolicyRule } from '../../../../src/lib/sandbox/api/index.ts';
import { GROUP } from './fixture.ts';

/** Users that the contract needs beside the administrator, by their tokens. */
export const CONTRACT_TOKENS: Record<string, Identity> = {
  'token-of-alice': { username: 'alice', groups: ['staff'] },
  'token-of-helpdesk': { username: 'helpdesk', groups: [] },
  'token-of-operator': { username: 'operator', groups: [] },
};

export const USER_TOKENS = Object.fromEntries(
  Object.entries(CONTRACT_TOKENS).map(([token, { username }]) => [username, token]),
);

/** What they may do: alice a few things with one VM, her group all pools, the help desk to act as alice, an operator also with one uid and one scope. */
export const CONTRACT_RULES: PolicyRule[] = [
  {
    subjects: { users: ['alice'] },
    verbs: ['get', 'list', 'watch', 'patch'],
    apiGroups: [GROUP],
    resources: ['vms', 'vms/status'],
    resourceNames: ['hers'],
  },
  { subjects: { groups: ['staff'] }, verbs: ['*'], apiGroups: [GROUP], resources: ['vmpools'] },
  {
    subjects: { groups: ['staff'] },
    verbs: ['list'],
    apiGroups: [''],
    resources: ['configmaps'],
    namespaces: ['default'],
  },
  {
    subjects: { users: ['helpdesk'] },
    verbs: ['impersonate'],
    apiGroups: [''],
    resources: ['users'],
    resourceNames: ['alice'],
  },
  {
    subjects: { users: ['operator'] },
    verbs: ['impersonate'],
    apiGroups: [''],
    resources: ['users'],
    resourceNames: ['alice'],
  },
  {
    subjects: { users: ['operator'] },
    verbs: ['impersonate'],
    apiGroups: ['authentication.k8s.io'],
    resources: ['uids', 'userextras/scopes'],
    resourceNames: ['u-1', 'view'],
  },
];
