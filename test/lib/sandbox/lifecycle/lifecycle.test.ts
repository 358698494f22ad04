import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { VmopError } from '../../../../src/lib/errors.ts';
import { identifyProcess } from '../../../../src/lib/sandbox/process-identity.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import { holds } from '../../../../src/lib/vm/state.ts';
import { killProcess, TestLifecycle, waitForVm } from './sandbox.ts';

async function listens(url: string | undefined): Promise<boolean> {
  const { port } = new URL(url ?? '');
  return await new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function mode(file: string): Promise<number> {
  return (await stat(file)).mode & 0o777;
}

describe('sandbox as processes', { concurrency: 2 }, () => {
  test('start, status, stop', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    assert.equal((await sandbox.status()).running, false);
    const started = await sandbox.start();
    assert.equal(started.alreadyRunning, false);
    assert.equal(started.driver?.name, 'simulated');
    assert.equal(started.context, 'vmop-sandbox');
    assert.deepEqual(
      started.machines?.map(({ name, state }) => `${name} ${state}`),
      ['desktop-1 stopped', 'desktop-2 stopped', 'desktop-3 stopped'],
    );
    assert.equal(new Set(started.machines?.map(({ spicePort }) => spicePort)).size, 3);
    assert.ok(sandbox.progress.length > 0);

    assert.equal(await mode(sandbox.folder), 0o700);
    for (const name of await readdir(sandbox.folder)) {
      assert.equal((await mode(path.join(sandbox.folder, name))) & 0o077, 0, name);
    }
    const { username, groups } = await sandbox.cluster(t).self();
    assert.equal(username, os.userInfo().username);
    assert.ok(groups.includes('system:masters'));

    const process_ = await identifyProcess(started.pid ?? 0);
    assert.ok(process_);
    const { folder } = sandbox;
    assert.deepEqual(await sandbox.stop(), { wasRunning: true, wasKilled: false, purged: false, folder });
    assert.equal(await identifyProcess(process_.pid), undefined);
    assert.equal(await listens(started.url), false);
    assert.equal((await sandbox.status()).running, false);
    assert.equal((await sandbox.stop()).wasRunning, false);
  });

  test('starting it twice finds it running; with another driver that is an error', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const first = await sandbox.start();
    for (const driver of ['simulated', 'auto'] as const) {
      const again = await sandbox.start({ driver });
      assert.equal(again.alreadyRunning, true);
      assert.equal(again.pid, first.pid);
    }
    await assert.rejects(sandbox.start({ driver: 'qemu' }), {
      code: 'state',
      message: /runs with the driver simulated/,
    });
  });

  test('two starts at the same time make one sandbox', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const [one, other] = await Promise.all([sandbox.start(), sandbox.start()]);
    assert.equal(one.pid, other.pid);
    assert.notEqual(one.alreadyRunning, other.alreadyRunning);
  });

  test('its objects, port and token outlast a stop; what was deleted stays so', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    await sandbox.start();
    await sandbox.cluster(t).delete(VMS, { namespace: 'default', name: 'desktop-2' });
    const kubeconfig = await readFile(path.join(sandbox.folder, 'kubeconfig'), 'utf8');
    await sandbox.stop();
    const { machines } = await sandbox.start();
    assert.deepEqual(
      machines?.map(({ name }) => name),
      ['desktop-1', 'desktop-3'],
    );
    assert.equal(await readFile(path.join(sandbox.folder, 'kubeconfig'), 'utf8'), kubeconfig);
  });

  test('a VM that ran when the sandbox stopped runs again when it starts', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    await sandbox.start();
    const ref = { namespace: 'default', name: 'desktop-1' };
    const cluster = sandbox.cluster(t);
    await cluster.patch(VMS, ref, { type: 'merge', body: { spec: { vm: { state: 'Running' } } } });
    await waitForVm(cluster, 'desktop-1', (vm) => holds(vm, 'Booted'));
    await sandbox.stop();
    await sandbox.start();
    await waitForVm(sandbox.cluster(t), 'desktop-1', (vm) => holds(vm, 'Booted'));
  });

  test('after kill -9 it says so, starts again with its state, and its VMs run again', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const { pid = 0 } = await sandbox.start();
    const cluster = sandbox.cluster(t);
    const ref = { namespace: 'default', name: 'desktop-1' };
    await cluster.patch(VMS, ref, { type: 'merge', body: { spec: { vm: { state: 'Running' } } } });
    await waitForVm(cluster, 'desktop-1', (vm) => holds(vm, 'Booted'));
    await killProcess(pid);
    const status = await sandbox.status();
    assert.equal(status.running, false);
    assert.match(status.problem ?? '', /killed/);
    const again = await sandbox.start();
    assert.equal(again.alreadyRunning, false);
    assert.notEqual(again.pid, pid);
    const states: string[] = [];
    await waitForVm(sandbox.cluster(t), 'desktop-1', (vm) => {
      const reason = vm.status.conditions.find(({ type }) => type === 'Running')?.reason ?? '';
      states.push(reason);
      return reason === 'VmBooted' && states.length > 1;
    });
  });

  test('stop after kill -9 ends the machines that are left', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const { pid = 0 } = await sandbox.start();
    const machine = await pretendMachine(t, path.join(sandbox.folder, 'm', 'abc'));
    await killProcess(pid);
    const { wasRunning, wasKilled } = await sandbox.stop();
    assert.deepEqual({ wasRunning, wasKilled }, { wasRunning: false, wasKilled: true });
    assert.equal(await identifyProcess(machine), undefined);
    assert.equal((await sandbox.status()).problem, undefined);
  });

  test('a start after kill -9 ends machines that nobody wants any more', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const { pid = 0 } = await sandbox.start();
    const machine = await pretendMachine(t, path.join(sandbox.folder, 'm', 'abc'));
    await killProcess(pid);
    await sandbox.start();
    assert.equal(await identifyProcess(machine), undefined);
  });

  test('its number having gone to another process harms nobody', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    await mkdir(sandbox.folder);
    const file = path.join(sandbox.folder, 'daemon.json');
    await writeFile(file, JSON.stringify({ pid: process.pid, started: 'long ago' }));
    assert.equal((await sandbox.status()).running, false);
    assert.equal((await sandbox.stop()).wasRunning, false);
  });

  test('when its port is taken it uses another one', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const { url } = await sandbox.start();
    await sandbox.stop();
    const other = createServer();
    other.listen(Number(new URL(url ?? '').port), '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const again = await sandbox.start();
    assert.notEqual(again.url, url);
    assert.equal((await sandbox.cluster(t).list(VMS, { namespace: undefined })).items.length, 3);
  });

  test('what it cannot do it says at once, and leaves nothing running', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const env = { ...sandbox.env, PATH: '' };
    await assert.rejects(sandbox.start({ driver: 'qemu', env }), (error) => {
      assert.ok(error instanceof VmopError);
      assert.match(error.message, /qemu-system-x86_64 is not installed/);
      assert.match(error.hint ?? '', /simulated/);
      return true;
    });
    assert.equal((await sandbox.status()).running, false);
    // Without asking for QEMU the machines are simulated, and the status says why.
    const { driver } = await sandbox.start({ driver: 'auto', env });
    assert.equal(driver?.name, 'simulated');
    assert.match(driver.reason ?? '', /not installed/);
  });

  test('a daemon that does not become ready is ended', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const script = path.join(path.dirname(sandbox.folder), 'hang.js');
    const note = path.join(path.dirname(sandbox.folder), 'pid');
    await writeFile(
      script,
      `require('fs').writeFileSync(${JSON.stringify(note)}, String(process.pid)); setInterval(() => {}, 1000);`,
    );
    await assert.rejects(sandbox.start({ entry: [script], timeoutMs: 2000 }), { code: 'timeout' });
    const pid = Number(await readFile(note, 'utf8'));
    assert.equal(await identifyProcess(pid), undefined);
  });

  test('one that dies before it is ready is an error that names its log', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    await assert.rejects(sandbox.start({ entry: ['-e', 'process.exit(3)'] }), {
      code: 'failed',
      hint: /daemon\.log$/,
    });
  });

  test('an interrupted start leaves nothing running', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const interrupt = new AbortController();
    const onProgress = () => interrupt.abort(new Error('interrupted'));
    await assert.rejects(sandbox.start({ signal: interrupt.signal, onProgress }), /interrupted/);
    assert.equal((await sandbox.status()).running, false);
  });

  test('purge removes its own state and nothing else', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    await sandbox.start();
    await writeFile(path.join(sandbox.folder, 'mine.txt'), '');
    assert.equal((await sandbox.stop(true)).purged, true);
    assert.deepEqual(await readdir(sandbox.folder), ['mine.txt']);
    const { machines } = await sandbox.start();
    assert.equal(machines?.length, 3);
  });

  test('a folder that is too deep for sockets has its machines elsewhere, and purge removes that', async (t) => {
    const sandbox = await TestLifecycle.create(t);
    const env = { ...sandbox.env, VMOP_SANDBOX_DIR: path.join(sandbox.folder, 'x'.repeat(80)) };
    sandbox.env['VMOP_SANDBOX_DIR'] = env.VMOP_SANDBOX_DIR;
    await sandbox.start();
    const settings: unknown = JSON.parse(
      await readFile(path.join(env.VMOP_SANDBOX_DIR, 'settings.json'), 'utf8'),
    );
    assert.ok(typeof settings === 'object' && settings !== null && 'machinesFolder' in settings);
    const folder = String(settings.machinesFolder);
    assert.ok(Buffer.byteLength(folder) < 70);
    assert.equal(await mode(folder), 0o700);
    await sandbox.stop(true);
    await assert.rejects(stat(folder), { code: 'ENOENT' });
  });
});

/** A process that looks like the QEMU of a machine's folder; returns its number. */
async function pretendMachine(t: { after: (work: () => void) => void }, folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  const pidFile = path.join(folder, 'qemu.pid');
  const args = ['-e', 'setInterval(() => {}, 1000)', '--', '-pidfile', pidFile];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  await writeFile(pidFile, `${child.pid}`);
  return child.pid ?? 0;
}
