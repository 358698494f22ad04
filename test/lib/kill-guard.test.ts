import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

const GUARD = path.join(import.meta.dirname, '../../src/lib/kill-guard.ts');

/** A process that guards a viewer and a folder, and then runs `then`. All of them hold a pipe of ours open. */
async function guarded(t: TestContext, then: string) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-guard * of $(false) '));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const source = `
    import { spawn, spawnSync } from 'node:child_process';
    import { startKillGuard } from ${JSON.stringify(GUARD)};
    const guard = startKillGuard(['/bin/sh', '-c', 'echo "$1" > "$0"', ${JSON.stringify(`${folder}.touched`)}]);
    const viewer = spawn('/bin/sh', ['-c', 'sleep 600 & wait'], { detached: true, stdio: ['ignore', 3, 'ignore', 3] });
    guard.watchProcess(viewer.pid);
    guard.watchFolder(${JSON.stringify(folder)});
    setImmediate(() => process.stdout.write('ready'));
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  t.after(() => rm(`${folder}.touched`, { force: true }));
  const held = child.stdio[3];
  assert.ok(held && 'resume' in held);
  assert.ok(child.stdout);
  const [said]: unknown[] = await once(child.stdout, 'data');
  return { said: String(said), child, folder, everythingGone: once(held.resume(), 'close') };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, what);
    await setTimeout(20);
  }
}

const guards = (): string => spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).stdout;

test('after kill -9 the viewer with all that it started, the folder, and then the command', async (t) => {
  const { child, folder, everythingGone } = await guarded(
    t,
    `guard.session('10.0.0.1 7'); setInterval(() => {}, 1000);`,
  );
  child.kill('SIGKILL');
  await everythingGone;
  await until(
    () => existsSync(`${folder}.touched`) && readFileSync(`${folder}.touched`, 'utf8') === '10.0.0.1 7\n',
    'the command was run with the session',
  );
  assert.equal(existsSync(folder), false);
});

test('without a session there is nothing to do after it', async (t) => {
  const { child, folder, everythingGone } = await guarded(t, 'setInterval(() => {}, 1000);');
  child.kill('SIGKILL');
  await everythingGone;
  await until(() => !existsSync(folder) && !guards().includes(folder), 'the guard has ended');
  assert.equal(existsSync(`${folder}.touched`), false);
});

test('dismissed, it does nothing', async (t) => {
  const end =
    "guard.dismiss(); process.kill(-viewer.pid, 'SIGTERM'); viewer.on('exit', () => process.exit(0));";
  const { folder, everythingGone } = await guarded(t, `setImmediate(() => { ${end} });`);
  await everythingGone;
  await until(() => !guards().includes(`${folder}.touched`), 'the guard has ended');
  assert.equal(existsSync(folder), true);
  assert.equal(existsSync(`${folder}.touched`), false);
});

test('what does not heed TERM is ended by KILL after it', async (t) => {
  const { child, folder, everythingGone } = await guarded(
    t,
    `const deaf = spawn('/bin/sh', ['-c', 'trap "" TERM; sleep 600 & wait; wait'], {
       detached: true,
       stdio: ['ignore', 3, 'ignore', 3],
     });
     guard.watchProcess(deaf.pid);
     guard.session('at last');
     setInterval(() => {}, 1000);`,
  );
  child.kill('SIGKILL');
  await everythingGone;
  await until(() => existsSync(`${folder}.touched`), 'the command was run all the same');
});

test('what needs no time to tidy up is ended by KILL at once', async (t) => {
  const { child, everythingGone } = await guarded(
    t,
    `const other = spawn('/bin/sh', ['-c', 'trap "" TERM; sleep 600 & wait; wait'], {
       detached: true,
       stdio: ['ignore', 3, 'ignore', 3],
     });
     guard.watchProcess(other.pid, 'KILL');
     setInterval(() => {}, 1000);`,
  );
  child.kill('SIGKILL');
  await everythingGone;
});

test('a viewer that has ended is not ended again: its number may be another process’s', async (t) => {
  const { said, folder, child, everythingGone } = await guarded(
    t,
    `const other = spawn('/bin/sh', ['-c', 'sleep 600'], { detached: true, stdio: 'ignore' });
     guard.watchProcess(other.pid)();
     process.stdout.write(other.pid + ';');
     setInterval(() => {}, 1000);`,
  );
  const other = Number.parseInt(said);
  t.after(() => process.kill(-other, 'SIGTERM'));
  child.kill('SIGKILL');
  await everythingGone;
  await until(() => !guards().includes(`${folder}.touched`), 'the guard has ended');
  assert.ok(process.kill(other, 0), 'it is still there');
});
