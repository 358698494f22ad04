import { GROUP } from './types.ts';

/** What vmop can do with a VM, as `vmop can-i` names it. */
export const VM_ACTIONS = [
  'show',
  'start',
  'stop',
  'restart',
  'reset',
  'console',
  'take',
  'login',
  'secret',
  'permissions',
] as const;

export type VmAction = (typeof VM_ACTIONS)[number];

/** Requests that actions make of the API server about one VM. */
export interface ActionRequest {
  verbs: readonly string[];
  group: string;
  resource: 'vms' | 'pods' | 'configmaps' | 'secrets' | 'events';
  subresource?: 'status' | 'log' | 'portforward';
  /** Without which these actions fail. */
  needed: readonly VmAction[];
  /** Without which these actions do less, and say so where it matters. */
  helpful: readonly VmAction[];
}

const CONSOLE = ['console', 'take'] as const;

/**
 * All of them: what Roles give and `vmop can-i` asks for is made from this. A Secret is the VM's display Secret, events
 * are all of the namespace, anything else has the VM's name.
 */
export const ACTION_REQUESTS: readonly ActionRequest[] = [
  { verbs: ['get'], group: GROUP, resource: 'vms', needed: VM_ACTIONS, helpful: [] },
  // To follow what becomes of it, by its name.
  { verbs: ['list', 'watch'], group: GROUP, resource: 'vms', needed: [], helpful: VM_ACTIONS },
  {
    verbs: ['patch'],
    group: GROUP,
    resource: 'vms',
    needed: ['start', 'stop', 'restart', 'login', 'permissions'],
    helpful: CONSOLE,
  },
  // Whoever uses kubectl reads it first.
  {
    verbs: ['get', 'patch'],
    group: GROUP,
    resource: 'vms',
    subresource: 'status',
    needed: [],
    helpful: CONSOLE,
  },
  {
    verbs: ['get', 'patch'],
    group: '',
    resource: 'secrets',
    needed: [...CONSOLE, 'secret'],
    helpful: [],
  },
  // Where the display is, and whether a runner is still there.
  {
    verbs: ['get'],
    group: '',
    resource: 'pods',
    needed: [],
    helpful: ['show', 'stop', 'restart', ...CONSOLE],
  },
  // It may hold passwords.
  { verbs: ['get'], group: '', resource: 'pods', subresource: 'log', needed: [], helpful: ['login'] },
  {
    verbs: ['create', 'get'],
    group: '',
    resource: 'pods',
    subresource: 'portforward',
    needed: [],
    helpful: CONSOLE,
  },
  { verbs: ['get', 'patch'], group: '', resource: 'configmaps', needed: ['reset'], helpful: [] },
  { verbs: ['patch'], group: '', resource: 'pods', needed: ['reset'], helpful: [] },
  // By force.
  { verbs: ['delete'], group: '', resource: 'pods', needed: [], helpful: ['stop', 'restart'] },
  { verbs: ['get', 'list', 'watch'], group: '', resource: 'events', needed: [], helpful: ['show'] },
];
