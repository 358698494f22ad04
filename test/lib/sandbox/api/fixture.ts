import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import type { CallOptions, Reply, TestClient } from './client.ts';

export const GROUP = 'vmoperator.jdrupes.org';

/** A VM as it is sent for creation. */
export function vm(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'VirtualMachine',
    metadata: { name, ...metadata },
    spec: { vm: { maximumCpus: 2 }, ...spec },
  };
}

/** A namespace for a run of the contract, its client and its paths. */
export class Fixture {
  /** Differs from run to run, as a real API server keeps namespaces that are being deleted. */
  readonly namespace = `contract-${randomBytes(4).toString('hex')}`;
  readonly vms = `/apis/${GROUP}/v1/namespaces/${this.namespace}/vms`;
  readonly pools = `/apis/${GROUP}/v1/namespaces/${this.namespace}/vmpools`;
  readonly configMaps = `/api/v1/namespaces/${this.namespace}/configmaps`;
  readonly secrets = `/api/v1/namespaces/${this.namespace}/secrets`;
  readonly pods = `/api/v1/namespaces/${this.namespace}/pods`;
  readonly events = `/api/v1/namespaces/${this.namespace}/events`;
  readonly newEvents = `/apis/events.k8s.io/v1/namespaces/${this.namespace}/events`;
  #client: TestClient | undefined;

  get client(): TestClient {
    assert(this.#client, 'the fixture is not open');
    return this.#client;
  }

  async open(client: TestClient): Promise<void> {
    this.#client = client;
    const created = await client.post('/api/v1/namespaces', { metadata: { name: this.namespace } });
    assert.equal(created.status, 201, created.text);
  }

  async close(): Promise<void> {
    await this.#client?.delete(`/api/v1/namespaces/${this.namespace}`);
    this.#client?.close();
  }

  /** Creates, and insists. */
  async create(path: string, body: JsonObject): Promise<JsonObject> {
    return succeeded(await this.client.post(path, body), 201);
  }
}

/** The body of an answer that must be this one. */
export function succeeded(reply: Reply, status = 200): JsonObject {
  assert.equal(reply.status, status, reply.text);
  return reply.json;
}

/** Asserts a `Status` answer; returns it. */
export function refused(reply: Reply, code: number, reason: string): JsonObject {
  const { kind, status } = reply.json;
  assert.deepEqual(
    { code: reply.status, kind, status, reason: reply.json['reason'] },
    { code, kind: 'Status', status: 'Failure', reason },
    reply.text,
  );
  return reply.json;
}

/** Server-side apply as a manager; `''`: as none. */
export function applier({ client }: Fixture) {
  return (path: string, manager: string, body: JsonObject): Promise<Reply> => {
    const options: CallOptions = { body, contentType: 'application/apply-patch+yaml' };
    const query = manager === '' ? '' : `${path.includes('?') ? '&' : '?'}fieldManager=${manager}`;
    return client.call('PATCH', `${path}${query}`, options);
  };
}
