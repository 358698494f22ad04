import { setTimeout as pause } from 'node:timers/promises';
import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, JsonObject, KubeObject } from '../cluster/types.ts';
import { VmopError } from '../errors.ts';
import { inParallel } from '../parallel.ts';
import { accessDifferences } from './compare.ts';
import { explainAccessError } from './explain.ts';
import { batches, reasonToLeave, type AccessPhase, type AccessStep } from './plan.ts';
import { ACCESS_RESOURCES, FIELD_MANAGER, type AccessObject } from './types.ts';

/** How long the API server takes to obey a new policy, as measured, and some more. */
const POLICY_LATENCY_MS = 1500;
const CONCURRENCY = 8;

/**
 * Carries out the steps in the order of `batches`. One failure stops none of the others, but for those that would then
 * allow too much. Resolves to the errors of the steps that failed or were left out.
 */
export async function applySteps(
  cluster: Cluster,
  steps: readonly AccessStep[],
  { dryRun, signal }: { dryRun: boolean; signal: AbortSignal },
): Promise<Map<AccessStep, VmopError>> {
  const failures = new Map<AccessStep, VmopError>();
  const failed = new Set<AccessPhase>();
  for (const { phase, groups } of batches(steps)) {
    const fail = (step: AccessStep, error: VmopError): void => {
      failures.set(step, error);
      failed.add(phase);
    };
    const why = reasonToLeave(phase, failed);
    if (why !== undefined) {
      for (const step of groups.flat()) fail(step, new VmopError('failed', `left as it is: ${why}`));
      continue;
    }
    for (const group of groups) {
      await inParallel(group, CONCURRENCY, async (step) => {
        signal.throwIfAborted();
        try {
          await applyStep(cluster, step, dryRun);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof VmopError)) throw error;
          fail(step, error);
        }
      });
    }
    // Whether anything is to be granted or not: who applied expects to be obeyed.
    if (phase === 'limit' && !dryRun && !failed.has('limit'))
      await pause(POLICY_LATENCY_MS, undefined, { signal });
  }
  return failures;
}

/** Error: `conflict` where the object is somebody else's; what the API server answers; `failed` where it stays different. */
async function applyStep(cluster: Cluster, step: AccessStep, dryRun: boolean): Promise<void> {
  const { kind, namespace, name, wanted, state, differences } = step;
  const resource = ACCESS_RESOURCES[kind];
  const ref = { namespace, name };
  if (state === 'foreign') {
    throw new VmopError('conflict', 'it is not vmop’s: it has not its labels, and says something else', {
      hint: `see what it is for, then delete it: kubectl delete ${resource.plural} ${name} -n ${namespace}`,
    });
  }
  try {
    if (wanted === undefined) {
      await cluster.delete(resource, ref, { dryRun });
    } else if (kind === 'RoleBinding' && differences.some((one) => one.startsWith('roleRef'))) {
      // The API server lets nobody change it.
      await cluster.delete(resource, ref, { dryRun });
      if (!dryRun) await cluster.create(resource, namespace, bodyOf(wanted));
    } else {
      await put(cluster, wanted, step, dryRun);
    }
  } catch (error) {
    if (wanted === undefined && isStatus(error, 404)) return;
    throw explainAccessError(cluster, kind, error);
  }
}

/**
 * What vmop owns it owns whole: somebody's change of it is drift. Server-side apply takes over fields, and yet leaves
 * what others added to a list, such as a match condition that is never true: then the whole object is replaced.
 */
async function put(
  cluster: Cluster,
  wanted: AccessObject,
  { namespace, name, state }: AccessStep,
  dryRun: boolean,
): Promise<void> {
  const resource = ACCESS_RESOURCES[wanted.kind];
  const ref = { namespace, name };
  const patch = {
    type: 'apply',
    object: bodyOf(wanted),
    fieldManager: FIELD_MANAGER,
    force: true,
  } as const;
  let actual: KubeObject;
  try {
    actual = await cluster.patch(resource, ref, patch, { dryRun });
  } catch (error) {
    // Together with what others added it may be nothing that the server takes.
    if (state === 'missing' || !isStatus(error, 422)) throw error;
    actual = await cluster.get(resource, ref);
  }
  if (accessDifferences(wanted, actual).length === 0) return;
  actual = await cluster.replace(resource, ref, replacement(wanted, actual), { dryRun });
  const left = accessDifferences(wanted, actual);
  if (left.length > 0) throw new VmopError('failed', `it stays different: ${left.join('; ')}`);
}

function bodyOf(wanted: AccessObject): JsonObject {
  return { ...wanted };
}

/** Labels and annotations of others stay. */
function replacement(wanted: AccessObject, { metadata }: KubeObject): JsonObject {
  const { labels, annotations, ...rest } = wanted.metadata;
  const { resourceVersion } = metadata;
  return {
    ...wanted,
    metadata: {
      ...rest,
      resourceVersion,
      labels: { ...metadata.labels, ...labels },
      annotations: { ...metadata.annotations, ...annotations },
    },
  };
}
