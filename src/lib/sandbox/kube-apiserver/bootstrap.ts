import { asObject, asString } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { PolicyRule } from '../api/index.ts';
import { customResourceDefinitions } from '../api/crd.ts';
import { NODE_NAME } from '../operator/objects.ts';
import { KINDS } from '../api/kinds.ts';
import { OPERATOR_ACCOUNT, RUNNER_ACCOUNT } from '../rules.ts';
import type { Admin } from './admin.ts';
import { accessReview, MANAGED, RBAC, rbacObjects } from './rbac.ts';

export interface ClusterContents {
  rules: readonly PolicyRule[];
  /** Undefined: there is no kubelet, and no node. */
  kubeletPort: number | undefined;
}

/** Makes of an empty API server the cluster that the sandbox needs. */
export async function fillCluster(
  admin: Admin,
  { rules, kubeletPort }: ClusterContents,
  signal: AbortSignal,
): Promise<void> {
  const node = `/api/v1/nodes/${NODE_NAME}`;
  // kube-apiserver makes this namespace by itself, a little later.
  await admin.apply('/api/v1/namespaces/default', namespace('default'));
  const access = rbacObjects(rules);
  const kept = new Set(access.map((object) => asString(asObject(object['metadata'])['name']) ?? ''));
  // An earlier start may have given more.
  for (const plural of ['clusterrolebindings', 'clusterroles']) {
    await admin.prune(`/apis/${RBAC}/v1/${plural}`, MANAGED, kept);
  }
  await Promise.all([
    ...[...customResourceDefinitions(), ...access].map((object) => admin.apply(pathOf(object), object)),
    ...['default', OPERATOR_ACCOUNT, RUNNER_ACCOUNT].map((name) =>
      admin.apply(`/api/v1/namespaces/default/serviceaccounts/${name}`, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name },
      }),
    ),
    ...(kubeletPort === undefined ? [] : [admin.apply(node, nodeObject())]),
  ]);
  if (kubeletPort !== undefined) await admin.apply(`${node}/status`, nodeStatus(kubeletPort));
  // Kinds are served a moment after their definition; kubectl looks at their schema, which comes last.
  const served = KINDS.filter(({ custom }) => custom).flatMap(({ group, version, plural }) => [
    `/apis/${group}/${version}/${plural}`,
    `/openapi/v3/apis/${group}/${version}`,
  ]);
  await Promise.all([
    ...[...new Set(served)].map((path) => admin.waitFor(path, signal)),
    // The authorizer follows a moment later.
    ...rules.map((rule) => admin.waitUntilAllowed(accessReview(rule), signal)),
  ]);
}

function namespace(name: string): JsonObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

/** Where an object is that belongs to a group, as all do that are made from ours. */
function pathOf(object: JsonObject): string {
  const metadata = asObject(object['metadata']);
  const namespace = asString(metadata['namespace']);
  const plural = `${(asString(object['kind']) ?? '').toLowerCase()}s`;
  const place = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `/apis/${asString(object['apiVersion']) ?? ''}${place}/${plural}/${asString(metadata['name']) ?? ''}`;
}

function nodeObject(): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: NODE_NAME, labels: { 'kubernetes.io/hostname': NODE_NAME } },
  };
}

function nodeStatus(port: number): JsonObject {
  return {
    ...nodeObject(),
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'SandboxReady',
          message: 'The sandbox runs its machines here',
        },
      ],
    },
  };
}
