import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { listenForViewer } from '../../../../src/lib/console/bridge/listener.ts';
import { connectionFile } from '../../../../src/lib/console/connection-file.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { patience } from './setup.ts';

async function temporary(t: TestContext, prefix: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), prefix));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  return folder;
}

const greet = { accept: (viewer: Duplex) => void viewer.on('error', () => {}).end('hello') };

for (const unix of [true, false]) {
  test(`a door ${unix ? 'of files' : 'of loopback'} lets in until it closes`, async (t) => {
    const folder = await temporary(t, 'vmop-test-');
    const listener = await listenForViewer(greet, { unix });
    const { socket, host, port } = listener;
    const viewer = socket === undefined ? connect(port ?? 0, host) : connect(socket);
    assert.equal(String(await readExactly(viewer, 5, patience())), 'hello');
    const file = connectionFile({ endpoint: listener.endpoint, password: 'ticket' });
    if (unix) {
      assert.equal((await stat(listener.folder ?? '')).mode & 0o777, 0o700);
      assert.match(file, new RegExp(`^unix-path=${folder}/vmop-\\w{6}/s$`, 'm'));
      assert.doesNotMatch(file, /^(host|port)=/m);
    } else {
      assert.match(file, new RegExp(`^host=127\\.0\\.0\\.1\nport=${port}$`, 'm'));
      assert.doesNotMatch(file, /^unix-path=/m);
    }
    await listener.close();
    await listener.close();
    assert.deepEqual(await readdir(folder), []);
    const late = socket === undefined ? connect(port ?? 0, host) : connect(socket);
    await assert.rejects(once(late, 'connect'), /ECONNREFUSED|ENOENT/);
    viewer.destroy();
  });
}

test('a temporary folder with a long name is not where a socket can be', async (t) => {
  await temporary(t, `vmop-${'long'.repeat(25)}-`);
  const listener = await listenForViewer(greet, { unix: true });
  assert.match(listener.socket ?? '', /^\/tmp\/vmop-\w{6}\/s$/);
  await listener.close();
});

test('nor is one that is missing', async (t) => {
  const folder = await temporary(t, 'vmop-test-');
  process.env['TMPDIR'] = path.join(folder, 'missing');
  const listener = await listenForViewer(greet, { unix: true });
  assert.match(listener.socket ?? '', /^\/tmp\/vmop-\w{6}\/s$/);
  await listener.close();
});

const LISTENER = new URL('../../../../src/lib/console/bridge/listener.ts', import.meta.url).href;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} takes the door away`, async (t) => {
    const folder = await temporary(t, 'vmop-test-');
    const script = `
      const { listenForViewer } = await import(${JSON.stringify(LISTENER)});
      const { socket } = await listenForViewer({ accept: () => {} }, { unix: true });
      process.stdout.write(socket);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TMPDIR: folder },
    });
    const ended = once(child, 'exit');
    const [socket] = await once(child.stdout, 'data', { signal: patience() });
    assert.ok((await stat(String(socket))).isSocket());
    child.kill(signal);
    assert.deepEqual(await ended, [null, signal]);
    assert.deepEqual(await readdir(folder), []);
  });
}
