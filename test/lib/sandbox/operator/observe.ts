import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import type { Cluster, JsonObject, KubeObject, Resource } from '../../../../src/lib/cluster/types.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import { condition } from '../../../../src/lib/vm/state.ts';
import type { ConditionType, Vm } from '../../../../src/lib/vm/types.ts';

const core = (plural: string, kind: string): Resource<KubeObject> => ({
  group: '',
  version: 'v1',
  plural,
  kind,
  namespaced: true,
  parse: (object) => object,
});

export const RAW_PODS = core('pods', 'Pod');
export const RAW_CONFIG_MAPS = core('configmaps', 'ConfigMap');
export const RAW_SECRETS = core('secrets', 'Secret');
export const RAW_EVENTS: Resource<KubeObject> = { ...core('events', 'Event'), group: 'events.k8s.io' };

const WAIT_MS = 10_000;
const PAUSE_MS = 5;

/** Resolves to the objects of a kind, by name, as soon as they satisfy; rejects after 10 s. */
export async function until(
  cluster: Cluster,
  resource: Resource<KubeObject>,
  satisfies: (objects: Map<string, KubeObject>) => boolean,
): Promise<Map<string, KubeObject>> {
  const objects = new Map<string, KubeObject>();
  const timeout = AbortSignal.timeout(WAIT_MS);
  for await (const change of cluster.watch(resource, { namespace: 'default', signal: timeout })) {
    if (change.type === 'synced') {
      objects.clear();
      for (const item of change.items) objects.set(item.metadata.name, item);
    } else if (change.type === 'deleted') objects.delete(change.item.metadata.name);
    else objects.set(change.item.metadata.name, change.item);
    if (satisfies(objects)) return objects;
  }
  throw new Error(`never came true for ${resource.plural}: ${[...objects.keys()].join(', ')}`);
}

/** Resolves to a runner's log as soon as it satisfies; rejects after 10 s. */
export async function logHas(
  cluster: Cluster,
  name: string,
  satisfies: (log: string) => boolean,
): Promise<string> {
  const timeout = AbortSignal.timeout(WAIT_MS);
  for (;;) {
    const log = await cluster.log({ namespace: 'default', name }, { signal: timeout });
    if (satisfies(log)) return log;
  }
}

/** Everything that a VM goes through from now on, until `stop` is called or the test ends. */
export function record(
  t: TestContext,
  cluster: Cluster,
  name: string,
): { states: Vm[]; saw: (satisfies: (vm: Vm) => boolean) => Promise<void>; stop: () => Promise<void> } {
  const states: Vm[] = [];
  const ended = new AbortController();
  const watching = (async () => {
    const options = { namespace: 'default', fieldSelector: `metadata.name=${name}`, signal: ended.signal };
    for await (const change of cluster.watch(VMS, options)) {
      if (change.type === 'synced') states.push(...change.items);
      else states.push(change.item);
    }
  })();
  const stop = async (): Promise<void> => {
    ended.abort();
    await watching;
  };
  t.after(stop);
  // Another watch may be quicker.
  const saw = async (satisfies: (vm: Vm) => boolean): Promise<void> => {
    for (let left = WAIT_MS; !states.some(satisfies) && left > 0; left -= PAUSE_MS) await pause(PAUSE_MS);
  };
  return { states, saw, stop };
}

/** What a condition went through, as `status/reason`, repetitions left out. */
export function course(states: readonly Vm[], type: ConditionType): string[] {
  const all = states.map((vm) => {
    const found = condition(vm, type);
    return `${found?.status}/${found?.reason}`;
  });
  return all.filter((text, index) => text !== all[index - 1]);
}

/** A Secret's value as text. */
export function secretText(secret: KubeObject | undefined, key: string): string | undefined {
  const value = asString(asObject(secret?.['data'])[key]);
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

export function secretData(values: Record<string, string>): JsonObject {
  const entries = Object.entries(values).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return { data: Object.fromEntries(entries) };
}
