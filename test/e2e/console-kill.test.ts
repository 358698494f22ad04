import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import { consoleStage, type StagedVm } from '../commands/console/stage.ts';
import { CliHome, eventually, type CliProcess } from '../helpers/cli-process.ts';
import type { Fault } from '../helpers/fault-proxy.ts';
import { startFaultyApi } from './faulty-api.ts';

const skip = process.platform === 'linux' ? false : 'processes are looked up in /proc';
const VALIDITY_SECONDS = 60;
/** The API server tells the time in whole seconds. */
const ROUNDING_SECONDS = 2;
const SECRET = /\/secrets\//;
const WATCH = /\/vms\?.*watch=(?:1|true)/;

const stage = consoleStage();

/** A moment in a session: what was asked for, and how it shows that it has come. */
interface Moment {
  name: string;
  args: (viewer: string) => string[];
  /** Default: the one that links. */
  viewer?: string;
  fault?: Fault;
  reached: (vmop: CliProcess, vm: StagedVm, requests: () => string[], viewer: string) => Promise<unknown>;
  /** Whether a new password was stored by then. */
  stored: boolean;
}

const viewing =
  (...more: string[]) =>
  (viewer: string) => ['--viewer', viewer, ...more];
/** It has read its connection file as soon as its id is there. */
const hangs = 'cat > /dev/null; echo $$ > "$0.pid"; exec sleep 300\n';

const MOMENTS: Moment[] = [
  {
    name: 'before the password is stored',
    args: viewing(),
    fault: { method: 'PATCH', path: SECRET, hang: true },
    reached: async (_vmop, _vm, requests) =>
      eventually('it is asked for', async () =>
        assert.ok(requests().some((one) => /^PATCH .*secrets/.test(one))),
      ),
    stored: false,
  },
  {
    name: 'after it, before the runner has confirmed it',
    args: viewing(),
    fault: { path: WATCH, hang: true, times: 10 },
    reached: (vmop) => vmop.shows(/waiting for the runner to confirm/),
    stored: true,
  },
  {
    name: 'while the viewer hangs',
    args: viewing(),
    viewer: hangs,
    reached: (_vmop, _vm, _requests, path) =>
      eventually('it has started', async () => assert.notEqual(await readFile(`${path}.pid`, 'utf8'), '')),
    stored: true,
  },
  {
    name: 'connected, with a viewer that reads a file',
    args: viewing('--viewer-arg', '--file={file}'),
    reached: async (vmop, vm) => {
      await vmop.shows(/connected to/);
      await vm.shown();
    },
    stored: true,
  },
  {
    name: 'connected',
    args: viewing('--login', 'alice'),
    reached: async (vmop, vm) => {
      await vmop.shows(/connected to/);
      await vm.shown();
    },
    stored: true,
  },
  {
    name: 'connected, and the password was ended',
    args: viewing('-v'),
    reached: (vmop) => vmop.shows(/the display password was ended/),
    stored: true,
  },
  {
    name: 'connected through the API server',
    args: viewing('--tunnel', 'always'),
    reached: async (vmop, vm) => {
      await vmop.shows(/connected to/);
      await vm.shown();
    },
    stored: true,
  },
  {
    name: 'while it waits before it reconnects',
    args: viewing('--reconnect', '--tunnel', 'always'),
    reached: async (vmop, vm) => {
      await vmop.shows(/connected to/);
      await vm.shown();
      vm.hangUp();
      await vmop.shows(/opening it again/);
    },
    stored: true,
  },
  {
    name: 'with a page that nobody has opened yet',
    args: () => ['--web', '--no-browser'],
    reached: (vmop) => vmop.shows(/^http:\/\/127\.0\.0\.1/m),
    stored: true,
  },
];

/** The sandbox's own, or where something shall go wrong one that does not carry connections to pods. */
async function api(
  t: TestContext,
  fault: Fault | undefined,
): Promise<{ kubeconfig: string; requests: () => string[] }> {
  if (fault === undefined) return { kubeconfig: stage.sandbox.kubeconfig, requests: () => [] };
  const { proxy, kubeconfig } = await startFaultyApi(t, stage.sandbox, await stage.folder());
  proxy.fail(fault);
  return { kubeconfig, requests: () => proxy.requests.map(({ method, path }) => `${method} ${path}`) };
}

describe(
  'vmop is killed (-9), and nothing is left but a password that ends by itself',
  { concurrency: 3, skip },
  () => {
    for (const [index, { name, args, viewer, fault, reached, stored }] of MOMENTS.entries()) {
      test(name, async (t: TestContext) => {
        const vm = await stage.vm(t, { name: `killed-${index}` });
        const old = await vm.secret();
        const { kubeconfig, requests } = await api(t, fault);
        const own = await CliHome.create({ DISPLAY: ':none' });
        t.after(() => own.close());
        const program = await stage.viewer(viewer);
        const line = ['console', vm.name, '--validity', `${VALIDITY_SECONDS}s`, ...args(program)];
        const vmop = own.start(line, { KUBECONFIG: kubeconfig });
        await reached(vmop, vm, requests, program);
        vmop.kill('SIGKILL');
        assert.equal((await vmop.ended()).signal, 'SIGKILL');

        await own.waitForProcesses('no process is left', (running) => running.length === 0);
        await eventually('no socket, no folder, no file is left', async () =>
          assert.deepEqual(await readdir(own.temporary), []),
        );
        await eventually('no connection is left', async () => assert.equal(vm.server.open.size, 0));
        const secret = await vm.secret();
        assert.equal(secret.password !== old.password, stored);
        const { expiry = '' } = secret;
        if (expiry === 'now') return;
        assert.ok(
          Number(expiry) <= Date.now() / 1000 + VALIDITY_SECONDS + ROUNDING_SECONDS,
          `it ends at ${expiry}`,
        );
        await eventually('the display knows when it ends', async () =>
          assert.deepEqual(vm.machine().display, { password: secret.password, expiry }),
        );
      });
    }
  },
);

test('the second Ctrl-C ends the waiting for an API server that is away', { skip }, async (t) => {
  const annotations = { 'sandbox.vmop/agent': 'normal' };
  const vm = await stage.vm(t, { name: 'given-up', annotations, login: 'bob' });
  await stage.sandbox.waitFor(vm.name, ({ status }) => status.loggedInUser === 'bob');
  const { proxy, kubeconfig } = await startFaultyApi(t, stage.sandbox, await stage.folder());
  const own = await CliHome.create({ DISPLAY: ':none' });
  t.after(() => own.close());
  const line = ['console', vm.name, '--viewer', await stage.viewer(), '--on-disconnect', 'logout'];
  const vmop = own.start(line, { KUBECONFIG: kubeconfig });
  await vmop.shows(/connected to/);
  await vm.shown();
  const comeBack = await proxy.goAway();
  vmop.kill('SIGINT');
  await vmop.shows(/cannot be asked to log out yet/);
  vmop.kill('SIGINT');
  const ended = await vmop.ended();
  await comeBack();
  assert.equal(ended.code, 130, ended.stderr);
  assert.match(ended.stderr, /given up: vmop logout vm-given-up does it by hand/);
  await own.waitForProcesses('nobody goes on with it', (running) => running.length === 0);
  const { status } = await stage.sandbox.waitFor(vm.name, () => true);
  assert.equal(status.loggedInUser, 'bob');
});
