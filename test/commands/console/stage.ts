import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, type TestContext } from 'node:test';
import { DISPLAY_SECRETS, type DisplaySecret } from '../../../src/lib/console/secret/display-secret.ts';
import type { SimulatedMachine } from '../../../src/lib/sandbox/drivers/simulated.ts';
import { SimulatedDriver } from '../../../src/lib/sandbox/drivers/simulated.ts';
import type { PolicyRule } from '../../../src/lib/sandbox/api/index.ts';
import { isRunning } from '../../../src/lib/vm/state.ts';
import { startTestSandbox, type TestSandbox, type TestVm } from '../../helpers/sandbox.ts';
import { startVmop, type VmopProcess, type VmopRun } from '../../helpers/vmop.ts';
import { startFakeServer, type FakeServer } from '../../lib/console/bridge/spice-server.ts';
import { until, type RunOptions } from '../suite.ts';

const LINKING_VIEWER = path.join(import.meta.dirname, '../../lib/console/fixtures/linking-viewer.ts');
const MAIN = 1;
/** Of the viewer that links: main and display. */
const CHANNELS = 2;
const CHANNEL_TYPE_AT = 20;

/** Its id stands beside it, for `closeWindow`. */
const LINKS = `echo $$ > "$0.pid"; exec ${process.execPath} ${LINKING_VIEWER} "$@"\n`;

/** Somebody closes the window of a viewer of `ConsoleStage.viewer`, which is connected. */
export async function closeWindow(viewer: string): Promise<void> {
  process.kill(Number(await readFile(`${viewer}.pid`, 'utf8')), 'SIGUSR2');
}

/** Resolves when a viewer of `ConsoleStage.viewer` has ended. */
export async function viewerGone(viewer: string): Promise<void> {
  const pid = Number(await readFile(`${viewer}.pid`, 'utf8'));
  await until(() => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
}

/** A VM that runs, with a SPICE server in front of its simulated machine. */
export interface StagedVm {
  name: string;
  server: FakeServer;
  machine(): SimulatedMachine;
  secret(): Promise<DisplaySecret>;
  /** Resolves when a viewer has both of its channels. */
  shown(): Promise<void>;
  /** The server hangs up on everybody. */
  hangUp(): void;
  /** Somebody else connects, and whoever was there is thrown out; `thrownOut` comes before the VM shows it. */
  takenBy(user: string, from: string, thrownOut?: () => Promise<void>): Promise<void>;
}

export interface ConsoleStage {
  /** There from the first test on. */
  readonly sandbox: TestSandbox<SimulatedDriver>;
  /** A VM of the test's own; nobody is there whom a change of the password could log out, unless said otherwise. `login`: whom the VM wants to be logged in. */
  vm(t: TestContext, vm: TestVm & { login?: string }): Promise<StagedVm>;
  run(args: readonly string[], options?: RunOptions): Promise<VmopRun>;
  start(args: readonly string[], options?: RunOptions): VmopProcess;
  /** Path of a program that vmop takes for remote-viewer; default: one that links, and ends with the connection. */
  viewer(script?: string): Promise<string>;
  /** Path of a configuration file. */
  config(text: string): Promise<string>;
  folder(): Promise<string>;
}

export interface StageOptions {
  /** What the users alice and bob may do; default: see everything and change nothing. */
  rules?: PolicyRule[];
}

/** One simulated sandbox for the tests of a file. */
export function consoleStage({ rules }: StageOptions = {}): ConsoleStage {
  let running: TestSandbox<SimulatedDriver> | undefined;
  const driver = new SimulatedDriver();
  before(async () => {
    running = await startTestSandbox({ driver, ...(rules && { rules }) });
  });
  after(async () => {
    await running?.close();
  });
  const sandbox = (): TestSandbox<SimulatedDriver> => {
    assert.ok(running, 'the sandbox runs only while tests do');
    return running;
  };
  const start: ConsoleStage['start'] = (args, { user = 'admin', env, ...rest } = {}) =>
    startVmop(sandbox().folder, ['console', ...args], {
      kubeconfig: sandbox().kubeconfigFor(user),
      env: { DISPLAY: ':none', PATH: process.env['PATH'], ...env },
      ...rest,
    });
  const folder = (): Promise<string> => mkdtemp(path.join(sandbox().folder, 'stage-'));
  return {
    get sandbox() {
      return sandbox();
    },
    start,
    run: (args, options) => start(args, options).ended,
    folder,
    async viewer(script = LINKS) {
      const file = path.join(await folder(), 'remote-viewer');
      await writeFile(file, `#!/bin/sh\n${script}`);
      await chmod(file, 0o755);
      return file;
    },
    async config(text) {
      const file = path.join(await folder(), 'config.yaml');
      await writeFile(file, text);
      return file;
    },
    vm: (t, vm) => stagedVm(t, sandbox(), driver, vm),
  };
}

async function stagedVm(
  t: TestContext,
  sandbox: TestSandbox<SimulatedDriver>,
  driver: SimulatedDriver,
  { name: situation, annotations, spec = {}, login, ...rest }: TestVm & { login?: string },
): Promise<StagedVm> {
  // No word of a sentence: in docs/console.md it is called VM.
  const name = `vm-${situation}`;
  const streams = new Set<Duplex>();
  const hangUp = (): void => {
    for (const stream of streams) stream.destroy();
  };
  const server = await startFakeServer({
    passwords: () => acceptedBy(driver.machine(name)),
    onLinked(stream, message) {
      streams.add(stream.resume());
      stream.once('close', () => streams.delete(stream));
      // As QEMU: a viewer's end of a channel ends it.
      stream.once('end', () => stream.destroy());
      const machine = driver.machine(name);
      if (message.readUInt8(CHANNEL_TYPE_AT) !== MAIN || machine === undefined) return;
      const port = machine.connectConsole();
      stream.once('close', () => machine.disconnectConsole(port));
    },
  });
  t.after(() => server.close());
  const display = { spice: { port: server.port }, ...(login !== undefined && { loggedInUser: login }) };
  await sandbox.addVm({
    name,
    annotations: { 'sandbox.vmop/agent': 'absent', ...annotations },
    spec: { ...spec, vm: { state: 'Running', display } },
    ...rest,
  });
  await sandbox.waitFor(
    name,
    (current) =>
      isRunning(current) &&
      current.status.displayPasswordSerial !== undefined &&
      current.status.displayPasswordSerial !== 0 &&
      current.status.runnerVersion !== undefined,
  );
  const machine = (): SimulatedMachine => {
    const found = driver.machine(name);
    assert.ok(found, `${name} runs`);
    return found;
  };
  return {
    name,
    server,
    machine,
    shown: () => until(() => streams.size === CHANNELS),
    hangUp,
    async secret() {
      const { items } = await sandbox.admin.list(DISPLAY_SECRETS, { namespace: 'default' });
      const secret = items.find((one) => one.name.startsWith(`${name}-`));
      assert.ok(secret);
      return secret;
    },
    async takenBy(user, from, thrownOut) {
      await sandbox.patchStatus(name, { consoleUser: user });
      hangUp();
      await thrownOut?.();
      machine().connectConsole(from);
      await sandbox.waitFor(name, ({ status }) => status.consoleClient === from);
    },
  };
}

function acceptedBy(machine: SimulatedMachine | undefined): string[] {
  const { password, expiry } = machine?.display ?? {};
  const over =
    expiry === 'now' || (expiry !== undefined && /^\d+$/.test(expiry) && Number(expiry) * 1000 < Date.now());
  return password === undefined || over ? [] : [password];
}
