import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { vmop, type VmopRun } from '../helpers/vmop.ts';
import { field } from './suite.ts';

let home: string;
before(async () => {
  home = await mkdtemp(path.join(os.tmpdir(), 'vmop-status-'));
});
after(() => rm(home, { recursive: true, force: true }));

const status = (folder: string): Promise<VmopRun> =>
  vmop(home, ['sandbox', 'status', '--json'], { env: { VMOP_SANDBOX_DIR: folder } });

test('status of a sandbox that was never started is no error', async () => {
  const { code, json } = await status(path.join(home, 'none'));
  assert.deepEqual([code, field(json(), 'running'), field(json(), 'problem')], [0, false, undefined]);
});

test('status of a sandbox that was killed says so and ends with 7', async () => {
  const folder = path.join(home, 'killed');
  await mkdir(folder);
  await writeFile(path.join(folder, 'daemon.json'), JSON.stringify({ pid: 1, started: 'another time' }));
  const { code, json, stderr } = await status(folder);
  assert.equal(code, 7, stderr);
  assert.equal(field(json(), 'running'), false);
  assert.match(String(field(json(), 'problem')), /its process was killed; vmop sandbox start takes over/);
});
