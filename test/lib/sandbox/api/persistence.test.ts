import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { asObject, asString, parseJson } from '../../../../src/lib/cluster/parse.ts';
import { startApi, type ApiOptions, type RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { pick, TestClient, versionOf } from './client.ts';
import { GROUP, refused, succeeded, vm } from './fixture.ts';

const VMS = `/apis/${GROUP}/v1/namespaces/default/vms`;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

describe('persistence', () => {
  let folder: string;
  let directory: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmop-api-'));
    directory = join(folder, 'api');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Runs an API on the directory for as long as `work` takes. */
  const session = async <T>(
    work: (client: TestClient, api: RunningApi) => Promise<T>,
    options: Partial<ApiOptions> = {},
  ): Promise<T> => {
    const tokens = { token: { username: 'admin', groups: ['system:masters'] } };
    const api = await startApi({ directory, tokens, ...options });
    const client = new TestClient({ ...api, token: 'token' });
    try {
      return await work(client, api);
    } finally {
      client.close();
      await api.close();
    }
  };

  test('keeps objects, versions, certificate and port over a restart', async () => {
    const before = await session(async (client, { port, caPem }) => {
      succeeded(await client.post(VMS, vm('kept')), 201);
      const kept = succeeded(await client.merge(`${VMS}/kept`, { spec: { x: 1 } }));
      succeeded(await client.post(VMS, vm('gone')), 201);
      succeeded(await client.delete(`${VMS}/gone`));
      return { kept, port, caPem, version: versionOf(succeeded(await client.get(VMS))) };
    });
    await session(
      async (client, { port, caPem }) => {
        assert.deepEqual([port, caPem], [before.port, before.caPem]);
        const list = succeeded(await client.get(VMS));
        assert.deepEqual([list['items'], versionOf(list)], [[before.kept], before.version]);
        // Whoever saw the last change goes on from there; whoever did not lists again.
        const watch = await client.watch(`${VMS}?resourceVersion=${before.version}`);
        const changed = succeeded(await client.merge(`${VMS}/kept`, { spec: { x: 2 } }));
        assert.deepEqual((await watch.next()).object, changed);
        watch.close();
        assert(Number(versionOf(changed)) > Number(before.version));
        const [late] = await (await client.watch(`${VMS}?resourceVersion=${versionOf(before.kept)}`)).rest();
        assert.equal(late?.object['code'], 410);
      },
      { port: before.port },
    );
  });

  test('keeps everything to its owner', async () => {
    await session(async (client) => {
      succeeded(await client.get('/version'));
    });
    const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
    assert.equal(await mode(directory), 0o700);
    for (const file of ['objects.jsonl', 'server.pem'])
      assert.equal(await mode(join(directory, file)), 0o600, file);
  });

  test('drops history and a torn last line when it starts', async () => {
    const file = join(directory, 'objects.jsonl');
    await session(async (client) => {
      succeeded(await client.post(CONFIG_MAPS, { metadata: { name: 'often' } }), 201);
      for (let step = 0; step < 50; step++) {
        succeeded(await client.merge(`${CONFIG_MAPS}/often`, { data: { step: String(step) } }));
      }
    });
    const { size } = await stat(file);
    await appendFile(file, '{"collection":"configmaps","version":9999,"object":{"metada');
    await session(async (client) => {
      const often = succeeded(await client.get(`${CONFIG_MAPS}/often`));
      assert.equal(pick(often, 'data.step'), '49');
      assert((await stat(file)).size < size / 10);
      succeeded(await client.merge(`${CONFIG_MAPS}/often`, { data: { step: 'next' } }));
    });
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    assert(lines.every((line) => parseJson(line) !== undefined));
    await session(async (client) => {
      assert.equal(pick(succeeded(await client.get(`${CONFIG_MAPS}/often`)), 'data.step'), 'next');
    });
  });

  test('loses nothing that was answered when it is killed in the middle of writes', async (t) => {
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'api-process.ts'), directory], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.after(() => child.kill('SIGKILL'));
      const [line] = await once(createInterface({ input: child.stdout }), 'line');
      const { url, caPem } = asObject(parseJson(String(line)));
      const client = new TestClient({
        url: asString(url) ?? '',
        caPem: asString(caPem) ?? '',
        token: 'token',
      });
      /** The last step of each writer that was answered. */
      const answered = new Map<string, { step: number; version: number }>();
      let answers = 0;
      const write = async (name: string): Promise<void> => {
        for (let step = 0; ; step++) {
          const data = { step: String(step) };
          const reply = await (step === 0
            ? client.post(CONFIG_MAPS, { metadata: { name }, data })
            : client.merge(`${CONFIG_MAPS}/${name}`, { data }));
          assert(reply.status < 300, reply.text);
          answered.set(name, { step, version: Number(versionOf(reply.json)) });
          answers += 1;
          if (answers === 60) child.kill('SIGKILL');
        }
      };
      const names = [0, 1, 2, 3].map((writer) => `round-${round}-${writer}`);
      const results = await Promise.allSettled(names.map(write));
      assert(results.every(({ status }) => status === 'rejected'));
      if (child.signalCode === null) await once(child, 'exit');
      client.close();
      await session(async (reader) => {
        const list = succeeded(await reader.get(CONFIG_MAPS));
        for (const [name, { step, version }] of answered) {
          const stored = succeeded(await reader.get(`${CONFIG_MAPS}/${name}`));
          // One more may have been written whose answer did not arrive.
          assert([step, step + 1].includes(Number(pick(stored, 'data.step'))), name);
          assert(Number(versionOf(list)) >= version);
        }
      });
    }
  });

  test('makes another certificate where the old one is broken, and says when it cannot work there', async () => {
    await session(async () => {});
    const file = join(directory, 'server.pem');
    const broken = (await readFile(file, 'utf8')).replace(/(?<=CERTIFICATE-----\n).*/, 'AAAA');
    await writeFile(file, broken);
    await session(async (client) => {
      succeeded(await client.get('/version'));
    });
    await assert.rejects(
      startApi({ tokens: {}, directory: join(file, 'below') }),
      /cannot keep its state in .*below/,
    );
  });

  test('starts empty without a directory', async () => {
    const memory = await startApi({ tokens: { token: { username: 'admin', groups: ['system:masters'] } } });
    const client = new TestClient({ ...memory, token: 'token' });
    refused(await client.get(`${VMS}/kept`), 404, 'NotFound');
    client.close();
    await memory.close();
  });
});
