import type { KubeObject, ObjectMeta } from '../cluster/types.ts';
import { accessDifferences } from './compare.ts';
import {
  ACCESS_RESOURCES,
  GRANTEE_ANNOTATION,
  NAMESPACE_LABEL,
  OWNED_LABELS,
  type AccessObject,
} from './types.ts';

type Kind = AccessObject['kind'];

/** An object that the cluster has, whoever owns it. */
export interface FoundObject {
  kind: Kind;
  object: KubeObject;
}

/** What is to be done to one object so that the API server enforces spec.permissions. */
export interface AccessStep {
  kind: AccessObject['kind'];
  /** Empty for a cluster-scoped object. */
  namespace: string;
  name: string;
  /** For whom a Role is: `user alice`. */
  grantee: string | undefined;
  /** `foreign`: somebody else's object has the name, and says something else. */
  state: 'missing' | 'different' | 'same' | 'unwanted' | 'foreign';
  /** Where it is different. */
  differences: string[];
  /** undefined: it is to go. */
  wanted: AccessObject | undefined;
}

export interface AccessScope {
  /** undefined: all namespaces. */
  namespace: string | undefined;
  /** Whether the admission policies are part of it. */
  policies: boolean;
  /** Prune only what is for these grantees; undefined: all that is not wanted. */
  grantees: ReadonlySet<string> | undefined;
}

const keyOf = (kind: Kind, namespace: string, name: string): string => `${kind}/${namespace}/${name}`;

/** What is to be done so that what the cluster has and vmop owns is what it should have. */
export function planAccess(
  wanted: readonly AccessObject[],
  found: readonly FoundObject[],
  scope: AccessScope,
): AccessStep[] {
  const there = new Map(
    found.map((one) => {
      const { name, namespace = '' } = one.object.metadata;
      return [keyOf(one.kind, namespace, name), one];
    }),
  );
  const steps = wanted.map((object): AccessStep => {
    const { name, namespace = '', annotations = {} } = object.metadata;
    const key = keyOf(object.kind, namespace, name);
    const actual = there.get(key)?.object;
    there.delete(key);
    const differences = actual === undefined ? [] : accessDifferences(object, actual);
    const state = stateOf(object.kind, actual, differences);
    const grantee = annotations[GRANTEE_ANNOTATION];
    return { kind: object.kind, namespace, name, grantee, state, differences, wanted: object };
  });
  const unwanted = [...there.values()].flatMap(({ kind, object: { metadata } }): AccessStep[] => {
    const { name, namespace = '', annotations = {} } = metadata;
    const grantee = annotations[GRANTEE_ANNOTATION];
    if (!isOwned(metadata) || !isInScope(kind, metadata, scope)) return [];
    return [{ kind, namespace, name, grantee, state: 'unwanted', differences: [], wanted: undefined }];
  });
  return [...steps, ...unwanted];
}

function isOwned({ labels = {} }: ObjectMeta): boolean {
  return Object.entries(OWNED_LABELS).every(([key, value]) => labels[key] === value);
}

/** What allows is not taken over where it allows something else; what limits can only limit more. */
function stateOf(kind: Kind, actual: KubeObject | undefined, differences: string[]): AccessStep['state'] {
  if (actual === undefined) return 'missing';
  if (differences.length === 0) return 'same';
  const saysElse = differences.some((one) => !one.startsWith('metadata.'));
  const foreign = ACCESS_RESOURCES[kind].namespaced && saysElse && !isOwned(actual.metadata);
  return foreign ? 'foreign' : 'different';
}

/** Whether the wanted objects would name this one, were it wanted. */
function isInScope(kind: Kind, { labels = {}, annotations = {} }: ObjectMeta, scope: AccessScope): boolean {
  if (scope.grantees !== undefined) return scope.grantees.has(annotations[GRANTEE_ANNOTATION] ?? '');
  if (scope.namespace === undefined || kind !== 'ValidatingAdmissionPolicyBinding') return true;
  // One that has lost its label may limit another namespace.
  return labels[NAMESPACE_LABEL] === scope.namespace;
}

/** `withdraw`: what allows goes. `limit`: what limits comes. `grant`: what allows comes. `release`: what limits goes. */
export type AccessPhase = 'withdraw' | 'limit' | 'grant' | 'release';

/** The steps of a phase: in groups, one after the other, each of which is done at once. */
export interface AccessBatch {
  phase: AccessPhase;
  groups: AccessStep[][];
}

/**
 * The steps that change something, in an order in which nobody ever has more than they should: what allows goes first and
 * comes last, and what allows is whole only with its RoleBinding, what limits only with its binding.
 */
export function batches(steps: readonly AccessStep[]): AccessBatch[] {
  const gone = (kind: Kind): AccessStep[] =>
    steps.filter((step) => step.kind === kind && step.state === 'unwanted');
  const made = (kind: Kind): AccessStep[] =>
    steps.filter(({ state, ...step }) => step.kind === kind && state !== 'same' && state !== 'unwanted');
  const phases: AccessBatch[] = [
    { phase: 'withdraw', groups: [gone('RoleBinding'), gone('Role')] },
    {
      phase: 'limit',
      groups: [made('ValidatingAdmissionPolicy'), made('ValidatingAdmissionPolicyBinding')],
    },
    { phase: 'grant', groups: [made('Role'), made('RoleBinding')] },
    {
      phase: 'release',
      groups: [gone('ValidatingAdmissionPolicyBinding'), gone('ValidatingAdmissionPolicy')],
    },
  ];
  return phases.flatMap(({ phase, groups }) => {
    const some = groups.filter((group) => group.length > 0);
    return some.length === 0 ? [] : [{ phase, groups: some }];
  });
}

/** Why a phase is left out after something failed, or was left out, in others; undefined: it goes on. */
export function reasonToLeave(phase: AccessPhase, failed: ReadonlySet<AccessPhase>): string | undefined {
  if (phase === 'grant' && failed.has('limit')) return 'what is to limit it failed';
  if (phase === 'release' && failed.size > 0) return 'something that it limits may still be there';
  return undefined;
}
