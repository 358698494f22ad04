import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { DaemonLog, followLog } from '../../../../src/lib/sandbox/daemon-log.ts';
import { RunnerLog } from '../../../../src/lib/sandbox/operator/runner-log.ts';
import { followPodLog, podLogText } from '../../../../src/lib/sandbox/pod-log.ts';

const { signal } = new AbortController();

async function fileIn(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-log-'));
  t.after(() => rm(folder, { recursive: true }));
  return path.join(folder, 'daemon.log');
}

async function all(lines: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const line of lines) found.push(line);
  return found;
}

test('the last lines are read; a log that is not there has none', async (t) => {
  const file = await fileIn(t);
  const options = { tailLines: 2, follow: false, signal };
  assert.deepEqual(await all(followLog(file, options)), []);
  await writeFile(file, 'one\ntwo\nthree\n');
  assert.deepEqual(await all(followLog(file, options)), ['two', 'three']);
  assert.deepEqual(await all(followLog(file, { ...options, tailLines: 0 })), []);
});

test('following goes on over a log that is put aside, until it is told to end', async (t) => {
  const file = await fileIn(t);
  await writeFile(file, 'one\ntw');
  const end = new AbortController();
  const seen: string[] = [];
  for await (const line of followLog(file, { tailLines: 10, follow: true, signal: end.signal })) {
    seen.push(line);
    if (line === 'one') await appendFile(file, 'o\n');
    if (line === 'two') {
      await rename(file, `${file}.1`);
      await writeFile(file, 'new\n');
    }
    if (line === 'new') end.abort();
  }
  assert.deepEqual(seen, ['one', 'two', 'new']);
});

test('a log does not grow without end, and its lines stay lines', async (t) => {
  const file = await fileIn(t);
  await writeFile(file, 'x'.repeat(1024 * 1024 + 1));
  const log = new DaemonLog(file);
  log.write('a\nb\u001b[31m');
  assert.deepEqual(await readdir(path.dirname(file)), ['daemon.log', 'daemon.log.1']);
  const [line = ''] = await all(followLog(file, { tailLines: 10, follow: false, signal }));
  assert.match(line, /^\d{4}-\S+Z a b \[31m$/);
});

test('a runner’s log keeps its latest lines, shows control characters, and no two times are the same', () => {
  const log = new RunnerLog();
  const now = new Date(1000);
  for (let number = 0; number < 2001; number++) log.append(`line ${number}`, now);
  log.append('\u001b]0;x', now);
  const lines = log.lines();
  assert.equal(lines.length, 2000);
  assert.equal(lines.at(-1)?.text, '\\x1b]0;x');
  assert.equal(new Set(lines.map(({ at }) => at.getTime())).size, 2000);
});

test('a pod’s log is cut by number and age, with times where they are asked for', () => {
  const lines = [1000, 2000, 3000].map((at) => ({ at: new Date(at), text: `t${at}` }));
  const now = new Date(3500);
  assert.equal(podLogText(lines, {}, now), 't1000\nt2000\nt3000\n');
  assert.equal(podLogText(lines, { tailLines: 1 }, now), 't3000\n');
  assert.equal(podLogText(lines, { tailLines: 0 }, now), '');
  assert.equal(podLogText(lines, { sinceSeconds: 2 }, now), 't2000\nt3000\n');
  const stamped = podLogText(lines, { tailLines: 1, timestamps: true }, now);
  assert.equal(stamped, '1970-01-01T00:00:03.000000000Z t3000\n');
});

test('a followed pod log goes on until its runner ends, or nobody reads it any more', async () => {
  const log = new RunnerLog();
  log.append('one', new Date(1000));
  log.append('two', new Date(2000));
  const followed = followPodLog(log, { tailLines: 1 }, new Date(3000));
  const left = followPodLog(log, {}, new Date(3000));
  left.destroy();
  log.append('three', new Date(3000));
  log.end();
  assert.equal(await text(followed), 'two\nthree\n');
  assert.equal(await text(followPodLog(log, {}, new Date(4000))), 'one\ntwo\nthree\n');
});
