import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { parseIdentity, isSameProcessRunning } from '../../../../src/lib/sandbox/process-identity.ts';
import type { ProcessIdentity } from '../../../../src/lib/sandbox/process-identity.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import { holds } from '../../../../src/lib/vm/state.ts';
import { eventually } from '../../../helpers/cli-process.ts';
import { findKubeBinaries, kubeEnvironment, noKubelet } from '../../../helpers/kube-apiserver.ts';
import { killProcess, TestLifecycle, waitForVm } from './sandbox.ts';

const execute = promisify(execFile);
const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;
const programs = 'reason' in binaries ? undefined : binaries;

const SERVERS = ['etcd', 'kube-apiserver', ...(noKubelet(binaries) === undefined ? ['kubelet'] : [])];
const RUNNING = { type: 'merge', body: { spec: { vm: { state: 'Running' } } } } as const;
const DESKTOP = { namespace: 'default', name: 'desktop-1' };

/** A sandbox that finds the programs where the tests have them. */
async function create(t: TestContext): Promise<TestLifecycle> {
  const sandbox = await TestLifecycle.create(t);
  Object.assign(sandbox.env, kubeEnvironment(binaries));
  return sandbox;
}

/** The processes that a running sandbox says it has started. */
async function servers(sandbox: TestLifecycle): Promise<ProcessIdentity[]> {
  const folder = path.join(sandbox.folder, 'api');
  const texts = await Promise.all(SERVERS.map((name) => readFile(path.join(folder, `${name}.pid`), 'utf8')));
  return texts.map((text) => {
    const identity = parseIdentity(text);
    assert.ok(identity);
    return identity;
  });
}

async function assertEnded(processes: readonly ProcessIdentity[]): Promise<void> {
  for (const one of processes) assert.equal(await isSameProcessRunning(one), false, `process ${one.pid}`);
}

function kubectl(sandbox: TestLifecycle, ...args: string[]): Promise<{ stdout: string }> {
  const env = { ...sandbox.env, KUBECONFIG: path.join(sandbox.folder, 'kubeconfig'), HOME: sandbox.folder };
  return execute(programs?.kubectl ?? '', args, { env, timeout: 60_000 });
}

describe('sandbox on kube-apiserver', { skip }, () => {
  test('runs its VMs; status; stop leaves nothing; VMs outlast it', async (t) => {
    const sandbox = await create(t);
    const started = await sandbox.start({ api: 'kube-apiserver' });
    assert.equal(started.api, 'kube-apiserver');
    assert.equal(started.machines?.length, 3);
    const cluster = sandbox.cluster(t);
    assert.ok((await cluster.self()).groups.includes('system:masters'));
    await cluster.patch(VMS, DESKTOP, RUNNING);
    await waitForVm(cluster, 'desktop-1', (vm) => holds(vm, 'Booted'));

    const running = await servers(sandbox);
    await sandbox.stop();
    await assertEnded(running);
    const left = await readdir(path.join(sandbox.folder, 'api'));
    assert.deepEqual(
      left.filter((name) => /pid|sock|:/.test(name)),
      [],
    );
    // Without a word on the API it is that of the last time.
    const again = await sandbox.start();
    assert.deepEqual([again.api, again.url], ['kube-apiserver', started.url]);
    await waitForVm(sandbox.cluster(t), 'desktop-1', (vm) => holds(vm, 'Booted'));
  });

  test('logs and port forwarding', { skip: noKubelet(binaries) }, async (t) => {
    const sandbox = await create(t);
    await sandbox.start({ api: 'kube-apiserver' });
    const cluster = sandbox.cluster(t);
    await cluster.patch(VMS, DESKTOP, RUNNING);
    await waitForVm(cluster, 'desktop-1', (vm) => holds(vm, 'Booted'));
    const { stdout } = await kubectl(sandbox, 'logs', 'desktop-1', '--tail', '2', '--timestamps');
    assert.match(stdout, /^(?:\d{4}-\S+Z .+\n){2}$/);
    assert.match((await kubectl(sandbox, 'get', 'nodes', '--no-headers')).stdout, /^sandbox +Ready/);
    await forwards(t, sandbox);
  });

  test('after kill -9 its processes end; what is left all the same is ended by a start, and by a stop', async (t) => {
    const sandbox = await create(t);
    const killed = await sandbox.start({ api: 'kube-apiserver' });
    const zeroth = await servers(sandbox);
    await killProcess(killed.pid ?? 0);
    await eventually('they have ended', () => assertEnded(zeroth));
    const { pid = 0, url } = await sandbox.start();
    assert.equal(url, killed.url);
    const first = await servers(sandbox);
    await killGuarded(pid);
    const again = await sandbox.start();
    assert.equal(again.url, url);
    assert.equal(again.machines?.length, 3);
    await assertEnded(first);
    const second = await servers(sandbox);
    await killGuarded(again.pid ?? 0);
    assert.equal((await sandbox.stop(true)).wasKilled, true);
    await assertEnded(second);
    await assert.rejects(readdir(sandbox.folder), { code: 'ENOENT' });
  });

  test('when one of its processes dies, the sandbox says so and ends', async (t) => {
    const sandbox = await create(t);
    let { pid } = await sandbox.start({ api: 'kube-apiserver' });
    await sandbox.cluster(t).patch(VMS, DESKTOP, RUNNING);
    for (const name of SERVERS) {
      await waitForVm(sandbox.cluster(t), 'desktop-1', (vm) => holds(vm, 'Running'));
      const all = await servers(sandbox);
      const victim = all[SERVERS.indexOf(name)];
      await killProcess(victim?.pid ?? 0);
      await eventually('the sandbox has ended', async () =>
        assert.equal((await sandbox.status()).running, false),
      );
      assert.match((await sandbox.status()).problem ?? '', new RegExp(`^${name} was ended by SIGKILL;`));
      await assertEnded(all);
      const again = await sandbox.start();
      assert.notEqual(again.pid, pid);
      ({ pid } = again);
    }
  });

  test('VMs of one API are not looked for in the other', async (t) => {
    const sandbox = await create(t);
    await sandbox.start({ api: 'embedded' });
    const other = { api: 'kube-apiserver', message: /in the API embedded, not kube-apiserver/ } as const;
    await assert.rejects(sandbox.start({ api: other.api }), { code: 'state', message: other.message });
    await sandbox.stop();
    await assert.rejects(sandbox.start({ api: other.api }), { code: 'state', message: other.message });
    await sandbox.stop(true);
    assert.equal((await sandbox.start({ api: other.api })).api, other.api);
  });
});

test('without the programs it says where they come from', async (t) => {
  const sandbox = await TestLifecycle.create(t);
  const env = { ...sandbox.env, KUBEBUILDER_ASSETS: sandbox.folder };
  await assert.rejects(sandbox.start({ api: 'kube-apiserver', env }), {
    code: 'failed',
    message: /no kube-apiserver and etcd in KUBEBUILDER_ASSETS/,
    hint: /setup-envtest/,
  });
});

/** Kills it after the shell that would clear up. */
async function killGuarded(pid: number): Promise<void> {
  const { stdout } = await execute('ps', ['-o', 'pid=,args=', '--ppid', String(pid)]);
  const guard = stdout.split('\n').find((line) => line.endsWith('vmop-guard'));
  await killProcess(Number.parseInt(guard ?? ''));
  await killProcess(pid);
}

/** kubectl forwards a port to one of this machine, as the pods use its network. */
async function forwards(t: TestContext, sandbox: TestLifecycle): Promise<void> {
  const server = createServer((socket) => socket.end('hello from the pod'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const env = { ...sandbox.env, KUBECONFIG: path.join(sandbox.folder, 'kubeconfig'), HOME: sandbox.folder };
  const child = spawn(programs?.kubectl ?? '', ['port-forward', 'desktop-1', `:${port}`], { env });
  t.after(() => child.kill());
  const [line] = await once(createInterface({ input: child.stdout }), 'line', {
    signal: AbortSignal.timeout(30_000),
  });
  const local = /127\.0\.0\.1:(\d+) ->/.exec(String(line))?.[1];
  const response = await execute(process.execPath, [
    '-e',
    `require('net').connect(${local}, '127.0.0.1').pipe(process.stdout)`,
  ]);
  assert.equal(response.stdout, 'hello from the pod');
  child.kill();
  await once(child, 'exit');
}
