import type { JsonObject } from '../../cluster/types.ts';
import type { PolicyRule } from '../api/index.ts';

export const RBAC = 'rbac.authorization.k8s.io';
/** Labels of what the sandbox makes. */
export const MANAGED = { 'app.kubernetes.io/managed-by': 'vmop-sandbox' };

/** The rules as roles and their bindings: for the whole cluster, or in each namespace that a rule names. */
export function rbacObjects(rules: readonly PolicyRule[]): JsonObject[] {
  return rules.flatMap((rule, index) => {
    const name = `vmop-sandbox-${index + 1}`;
    const { namespaces } = rule;
    if (namespaces === undefined || namespaces.includes('*')) return pair('ClusterRole', { name }, rule);
    return namespaces.flatMap((namespace) => pair('Role', { name, namespace }, rule));
  });
}

/** Asks for something that the rule gives. */
export function accessReview(rule: PolicyRule): JsonObject {
  const [user] = rule.subjects.users ?? [];
  const [resource = '', subresource] = (rule.resources[0] ?? '').split('/');
  const resourceAttributes = {
    group: rule.apiGroups[0],
    resource,
    subresource,
    verb: rule.verbs[0],
    name: rule.resourceNames?.[0],
    namespace: rule.namespaces?.[0],
  };
  // One who has no name is a member of the group.
  const spec = { user, groups: user === undefined ? rule.subjects.groups : undefined, resourceAttributes };
  return { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
}

function pair(
  kind: 'Role' | 'ClusterRole',
  at: { name: string; namespace?: string },
  { subjects, verbs, apiGroups, resources, resourceNames }: PolicyRule,
): JsonObject[] {
  const apiVersion = `${RBAC}/v1`;
  const metadata = { ...at, labels: MANAGED };
  const rules = [{ verbs, apiGroups, resources, ...(resourceNames ? { resourceNames } : {}) }];
  const subject = (type: 'User' | 'Group') => (name: string) => ({ apiGroup: RBAC, kind: type, name });
  return [
    { apiVersion, kind, metadata, rules },
    {
      apiVersion,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: RBAC, kind, name: at.name },
      subjects: [
        ...(subjects.users ?? []).map(subject('User')),
        ...(subjects.groups ?? []).map(subject('Group')),
      ],
    },
  ];
}
