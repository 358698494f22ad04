import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {
  loadKubeconfig,
  openCluster,
  type Cluster,
  type JsonObject,
  type Kubeconfig,
} from '../../../src/lib/cluster/index.ts';
import { asObject, asString, asStrings } from '../../../src/lib/cluster/parse.ts';

/** The few answers of a Kubernetes API that the console layer needs, over HTTP on loopback. */
export interface FakeApi {
  cluster: Cluster;
  /** Adds or replaces an object, and tells the watches. */
  put(plural: string, object: JsonObject): void;
  remove(plural: string, name: string): void;
  get(plural: string, name: string): JsonObject | undefined;
  /** Every PATCH that arrived, also those that were refused. */
  patches: { plural: string; name: string; body: JsonObject; dryRun: boolean }[];
  /** Called before a PATCH is carried out: a chance to change the object first. */
  beforePatch: ((plural: string) => void) | undefined;
  afterPatch: ((plural: string, object: JsonObject) => void) | undefined;
  /** Called when a watch has been opened. */
  onWatch: ((plural: string) => void) | undefined;
  close(): Promise<void>;
}

const PATH = /\/namespaces\/ns\/(?<plural>[a-z]+)(?:\/(?<name>[^/]+))?$/;

async function fakeKubeconfig(server: string): Promise<Kubeconfig> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-fake-'));
  const file = path.join(folder, 'config');
  const context = { cluster: 'fake', namespace: 'ns' };
  // JSON is YAML.
  const config = {
    clusters: [{ name: 'fake', cluster: { server } }],
    contexts: [{ name: 'fake', context }],
    'current-context': 'fake',
  };
  await writeFile(file, JSON.stringify(config));
  const kubeconfig = loadKubeconfig({ env: {}, file });
  await rm(folder, { recursive: true });
  return kubeconfig;
}

export async function fakeApi(): Promise<FakeApi> {
  const objects = new Map<string, JsonObject>();
  const watches = new Set<{ plural: string; response: ServerResponse }>();
  let version = 100;
  const metadata = (object: JsonObject): JsonObject => asObject(object['metadata']);
  const key = (plural: string, name: string): string => `${plural}/${name}`;
  const tell = (plural: string, type: string, object: JsonObject): void => {
    for (const watch of watches)
      if (watch.plural === plural) watch.response.write(`${JSON.stringify({ type, object })}\n`);
  };
  const put = (plural: string, object: JsonObject): void => {
    const name = asString(metadata(object)['name']) ?? '';
    const known = objects.has(key(plural, name));
    const stored = {
      ...object,
      metadata: { namespace: 'ns', ...metadata(object), resourceVersion: String(++version) },
    };
    objects.set(key(plural, name), stored);
    tell(plural, known ? 'MODIFIED' : 'ADDED', stored);
  };
  const answer = (response: ServerResponse, status: number, body: JsonObject): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const failure = (response: ServerResponse, code: number, message: string): void =>
    answer(response, code, { kind: 'Status', code, reason: '', message });

  const list = (response: ServerResponse, plural: string, url: URL): void => {
    const labels = new URLSearchParams(
      (url.searchParams.get('labelSelector') ?? '').replaceAll('+', '%2B').replaceAll(',', '&'),
    );
    const items = [...objects]
      .filter(([stored]) => stored.startsWith(`${plural}/`))
      .map(([, object]) => object)
      .filter((object) => {
        const own = asStrings(metadata(object)['labels']);
        return [...labels].every(([label, value]) => own[label] === value);
      });
    answer(response, 200, { metadata: { resourceVersion: String(version) }, items });
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const { plural = '', name } = PATH.exec(url.pathname)?.groups ?? {};
    if (plural === '') return answer(response, 200, {});
    if (name === undefined && url.searchParams.get('watch') === 'true') {
      const watch = { plural, response };
      watches.add(watch);
      response.on('close', () => watches.delete(watch));
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      // What changed between the listing and this watch.
      const since = Number(url.searchParams.get('resourceVersion'));
      for (const [stored, object] of objects) {
        const newer = Number(metadata(object)['resourceVersion']) > since;
        if (newer && stored.startsWith(`${plural}/`))
          response.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
      }
      api.onWatch?.(plural);
      return;
    }
    if (name === undefined) return list(response, plural, url);
    if (request.method === 'PATCH') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(Buffer.from(chunk));
      const body = asObject(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      const dryRun = url.searchParams.get('dryRun') === 'All';
      api.patches.push({ plural, name, body, dryRun });
      api.beforePatch?.(plural);
      const stored = objects.get(key(plural, name));
      if (stored === undefined) return failure(response, 404, 'not found');
      if (asObject(body['metadata'])['resourceVersion'] !== metadata(stored)['resourceVersion'])
        return failure(response, 409, 'the object has been modified');
      const changed = { ...stored, data: { ...asObject(stored['data']), ...asObject(body['data']) } };
      if (dryRun) return answer(response, 200, changed);
      put(plural, changed);
      answer(response, 200, objects.get(key(plural, name)) ?? {});
      api.afterPatch?.(plural, changed);
      return;
    }
    const object = objects.get(key(plural, name));
    return object === undefined ? failure(response, 404, 'not found') : answer(response, 200, object);
  };

  const server = createServer((request, response) => {
    void handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const { port } =
    (typeof address === 'string' ? undefined : address) ?? ({ port: 0 } satisfies Partial<AddressInfo>);
  const cluster = openCluster(await fakeKubeconfig(`http://127.0.0.1:${port}`), {
    userAgent: 'test',
    timeoutMs: 10_000,
  });
  const api: FakeApi = {
    cluster,
    put,
    remove: (plural, name) => {
      const object = objects.get(key(plural, name));
      objects.delete(key(plural, name));
      if (object) tell(plural, 'DELETED', object);
    },
    get: (plural, name) => objects.get(key(plural, name)),
    patches: [],
    beforePatch: undefined,
    afterPatch: undefined,
    onWatch: undefined,
    close: async () => {
      cluster.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return api;
}
