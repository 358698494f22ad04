import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { asArray, asNumber, asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import type { ViewerPlan } from '../../../../src/lib/console/viewer/detect.ts';

const FIXTURES = path.join(import.meta.dirname, '..', 'fixtures');

/** What the fake viewer got. */
export interface ViewerReport {
  args: string[];
  text: string;
  /** Of its file and the folder around it. */
  modes: string[];
  pid: number;
  bus: string | undefined;
}

export interface FakeViewer {
  plan: ViewerPlan;
  /** Resolves when it has read its file. */
  report: Promise<ViewerReport>;
  /** Resolves when the process is gone. */
  gone: Promise<void>;
}

/** A viewer that plays `script`: the name of a recording, or lines as in one. */
export async function fakeViewer(
  t: TestContext,
  script: string,
  overrides: Partial<ViewerPlan> = {},
): Promise<FakeViewer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  let file = path.join(FIXTURES, `${script}.txt`);
  if (script.includes(' ') || script.includes('\n') || script === 'stay') {
    file = path.join(folder, 'script.txt');
    await writeFile(file, script);
  }
  const server = createServer();
  const connection = once(server, 'connection').then(([socket]: Socket[]) => {
    assert.ok(socket);
    socket.on('error', () => {});
    return socket;
  });
  const report = connection.then(async (socket) => {
    const chunks: Buffer[] = [];
    do {
      const [chunk]: Buffer[] = await once(socket, 'data');
      if (chunk) chunks.push(chunk);
    } while (!chunks.at(-1)?.includes('\n'));
    return parseReport(Buffer.concat(chunks).toString('utf8'));
  });
  const disconnected = async (): Promise<void> => {
    const socket = await connection;
    if (!socket.closed) await once(socket, 'close');
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  t.after(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });
  const plan: ViewerPlan = {
    name: 'fake-viewer',
    command: process.execPath,
    launcherArgs: [path.join(FIXTURES, 'fake-viewer.ts'), String(address.port), file],
    args: ['-'],
    input: 'stdin',
    pathStyle: 'native',
    output: 'remote-viewer',
    ...overrides,
  };
  return { plan, report, gone: disconnected() };
}

function parseReport(line: string): ViewerReport {
  const report = asObject(JSON.parse(line));
  const strings = (value: unknown): string[] => asArray(value).filter((item) => typeof item === 'string');
  return {
    args: strings(report['args']),
    text: asString(report['text']) ?? '',
    modes: strings(report['modes']),
    pid: asNumber(report['pid']) ?? 0,
    bus: asString(report['bus']),
  };
}
