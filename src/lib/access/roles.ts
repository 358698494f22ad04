import { ACTION_REQUESTS, type ActionRequest } from '../vm/action-requests.ts';
import { ACTION_PERMISSIONS } from '../vm/actions.ts';
import { GROUP, PERMISSIONS, type Permission } from '../vm/types.ts';
import type { Grantee, NamespaceGrants } from './grants.ts';
import { stableName } from './names.ts';
import type { PolicyOptions } from './policies/options.ts';
import {
  GRANTEE_ANNOTATION,
  OWNED_LABELS,
  RBAC_GROUP,
  type AccessObject,
  type PolicyRule,
  type RbacSubject,
  type Role,
  type RoleBinding,
} from './types.ts';

export interface RoleOptions extends Pick<PolicyOptions, 'userPrefix' | 'groupRoles'> {
  /** With the events of the namespace, those of others among them. */
  events: boolean;
  /** With port-forward to the runner. */
  tunnel: boolean;
}

/** An object of the API server holds 1.5 MB at most, and each name stands in several rules. */
const VMS_PER_ROLE = 1000;

/** The Roles and RoleBindings of one grantee in one namespace; one of each unless there are very many VMs. */
export function rolesFor(grants: NamespaceGrants, options: RoleOptions): (Role | RoleBinding)[] {
  const parts = Math.max(1, Math.ceil(grants.vms.length / VMS_PER_ROLE));
  return Array.from({ length: parts }, (_, part) => {
    const vms = grants.vms.slice(part * VMS_PER_ROLE, (part + 1) * VMS_PER_ROLE);
    // What is not about single VMs stands in the first.
    const rules = rulesFor({ ...grants, vms, pools: part === 0 ? grants.pools : [] }, options);
    return roleAndBinding(grants, roleName(grants.grantee, part), rules, options);
  }).flat();
}

function roleAndBinding(
  { namespace, grantee }: NamespaceGrants,
  name: string,
  rules: PolicyRule[],
  options: RoleOptions,
): [Role, RoleBinding] {
  const metadata = {
    name,
    namespace,
    labels: { ...OWNED_LABELS },
    annotations: { [GRANTEE_ANNOTATION]: granteeText(grantee) },
  };
  const apiVersion = `${RBAC_GROUP}/v1` as const;
  return [
    { apiVersion, kind: 'Role', metadata, rules },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name },
      subjects: subjectsOf(grantee, options),
    },
  ];
}

export function granteeText({ kind, name }: Grantee): string {
  return `${kind} ${name}`;
}

function roleName({ kind, name }: Grantee, part: number): string {
  return stableName(['vmop', kind], name, part === 0 ? '' : String(part + 1));
}

/** A role is every group that stands for it, and the group of its own name unless that stands for another role. */
function subjectsOf({ kind, name }: Grantee, { userPrefix, groupRoles }: RoleOptions): RbacSubject[] {
  const subject = (rbacKind: RbacSubject['kind'], subjectName: string): RbacSubject => ({
    kind: rbacKind,
    name: subjectName,
    apiGroup: RBAC_GROUP,
  });
  if (kind === 'user') return [subject('User', `${userPrefix}${name}`)];
  const groups = Object.keys(groupRoles).filter((group) => groupRoles[group] === name);
  if (!Object.hasOwn(groupRoles, name)) groups.push(name);
  return groups.toSorted().map((group) => subject('Group', group));
}

/** Whom Roles among the objects let forward ports of runners: `user alice`. */
export function granteesWithTunnel(objects: readonly AccessObject[]): string[] {
  const grantees = objects.flatMap((object) =>
    object.kind === 'Role' && object.rules.some(({ resources }) => resources.includes('pods/portforward'))
      ? [object.metadata.annotations?.[GRANTEE_ANNOTATION] ?? object.metadata.name]
      : [],
  );
  return [...new Set(grantees)];
}

/**
 * What RBAC must let through for the permissions; which fields of an object may then be changed, and from what to
 * what, is for the admission policies.
 */
function rulesFor({ vms, pools }: NamespaceGrants, { events, tunnel }: RoleOptions): PolicyRule[] {
  const rule = (
    { group, resource, subresource, verbs }: Omit<ActionRequest, 'needed' | 'helpful'>,
    resourceNames: string[],
  ): PolicyRule[] => {
    const resources = [subresource === undefined ? resource : `${resource}/${subresource}`];
    return resourceNames.length === 0
      ? []
      : [{ apiGroups: [group], resources, resourceNames, verbs: [...verbs] }];
  };
  const requests = ACTION_REQUESTS.filter(({ subresource }) => tunnel || subresource !== 'portforward');
  return [
    ...requests.flatMap((request) => {
      const concerned = vms.filter((vm) => isPartOf(request, vm.permissions));
      if (request.resource === 'events') return events && concerned.length > 0 ? [EVENTS_RULE] : [];
      const secrets = [...new Set(concerned.flatMap((vm) => vm.secrets))].toSorted();
      return rule(request, request.resource === 'secrets' ? secrets : concerned.map(({ vm }) => vm));
    }),
    // The verbs are the permissions: a policy that cannot read the pool asks for them.
    ...pools.map(({ pool, permissions }) => ({
      apiGroups: [GROUP],
      resources: ['vmpools'],
      resourceNames: [pool],
      verbs: ['get', ...PERMISSIONS.filter((one) => permissions.has(one))],
    })),
  ];
}

/** Whether a request is made by an action that the permissions are enough for. */
function isPartOf({ needed, helpful }: ActionRequest, permissions: ReadonlySet<Permission>): boolean {
  return [...needed, ...helpful].some((action) => {
    const choices = ACTION_PERMISSIONS[action];
    return choices.length > 0 && choices.every((choice) => choice.some((one) => permissions.has(one)));
  });
}

/** RBAC cannot tell one object's events from another's. */
const EVENTS_RULE: PolicyRule = {
  apiGroups: ['', 'events.k8s.io'],
  resources: ['events'],
  verbs: ['get', 'list', 'watch'],
};
