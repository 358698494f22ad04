import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../../src/lib/cluster/types.ts';
import type { SimulatedDriver } from '../../src/lib/sandbox/drivers/simulated.ts';
import { DISPLAY_SECRETS } from '../../src/lib/console/secret/display-secret.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { startTestSandbox, type TestSandbox, type TestSandboxOptions } from '../helpers/sandbox.ts';
import { allPrinted, startVmop, type VmopOptions, type VmopProcess, type VmopRun } from '../helpers/vmop.ts';

export interface RunOptions extends VmopOptions {
  /** Whose kubeconfig is used; default: the administrator's. */
  user?: string;
}

export interface CommandSuite {
  /** There from the first test on. */
  readonly sandbox: TestSandbox<SimulatedDriver>;
  /** Runs a command to its end. A line is split at its spaces. */
  run: (line: string | string[], options?: RunOptions) => Promise<VmopRun>;
  /** Starts one that is not waited for. */
  start: (line: string | string[], options?: RunOptions) => VmopProcess;
}

/**
 * One sandbox for all tests of a file; `setUp` does what its options cannot. When the tests are over, none of the display passwords that were ever in it may
 * stand in anything that was printed without `--reveal`, and nothing may have gone wrong inside.
 */
export function commandSuite(
  options: TestSandboxOptions<SimulatedDriver>,
  setUp?: (sandbox: TestSandbox<SimulatedDriver>) => Promise<unknown>,
): CommandSuite {
  let sandbox: TestSandbox<SimulatedDriver> | undefined;
  let passwords: { stop(): Promise<Set<string>> } | undefined;
  const running = (): TestSandbox<SimulatedDriver> => {
    assert.ok(sandbox, 'the sandbox runs only while tests do');
    return sandbox;
  };
  before(async () => {
    sandbox = await startTestSandbox(options);
    passwords = collectPasswords(sandbox);
    await setUp?.(sandbox);
  });
  after(async () => {
    const seen = await passwords?.stop();
    const troubles = [...(sandbox?.troubles ?? [])];
    await sandbox?.close();
    assertNotPrinted(seen ?? new Set());
    assert.deepEqual(troubles, []);
  });
  const start: CommandSuite['start'] = (line, { user = 'admin', ...rest } = {}) => {
    const args = typeof line === 'string' ? line.split(' ') : line;
    const current = running();
    return startVmop(current.folder, args, { kubeconfig: current.kubeconfigFor(user), ...rest });
  };
  return {
    get sandbox() {
      return running();
    },
    start,
    run: (line, rest) => start(line, rest).ended,
  };
}

const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false };

/** A VM in a namespace of its own. */
export async function addVmElsewhere(
  { admin }: TestSandbox<SimulatedDriver>,
  namespace: string,
  name: string,
  spec: JsonObject,
): Promise<void> {
  const parse = (): undefined => undefined;
  await admin.create({ ...NAMESPACES, parse }, '', { metadata: { name: namespace } });
  await admin.create(VMS, namespace, { metadata: { name }, spec });
}

/** Every display password that is stored from now on. */
function collectPasswords({ admin }: TestSandbox<SimulatedDriver>): { stop(): Promise<Set<string>> } {
  const passwords = new Set<string>();
  const ending = new AbortController();
  const watching = (async (): Promise<void> => {
    for await (const change of admin.watch(DISPLAY_SECRETS, {
      namespace: undefined,
      signal: ending.signal,
    })) {
      for (const { password } of change.type === 'synced' ? change.items : [change.item]) {
        if (password !== undefined) passwords.add(password);
      }
    }
  })();
  return {
    async stop() {
      ending.abort();
      await watching;
      return passwords;
    },
  };
}

/** Neither as it is nor as it stands in a Secret. */
export function assertNotPrinted(passwords: Iterable<string>): void {
  for (const password of passwords) {
    for (const form of [password, Buffer.from(password).toString('base64')]) {
      const leak = allPrinted().find(({ args, text }) => !args.includes('--reveal') && text.includes(form));
      assert.equal(leak, undefined, 'a password was printed');
    }
  }
}

/** What an interrupted command must not leave: listeners, a reader of standard input, a hidden cursor. */
export function assertNothingLeft({ runtime }: VmopProcess): void {
  assert.equal(runtime.exit(), 0, 'something is left to do at exit');
  assert.deepEqual(getEventListeners(runtime.signal, 'abort'), []);
  const { stdin } = runtime;
  assert.ok(stdin.listenerCount('data') === 0 || stdin.isPaused(), 'standard input is still read');
  assert.equal(runtime.screen.cursorVisible, true);
}

/** For what no object tells: looks again and again, up to 10 s. */
export async function until(holds: () => boolean): Promise<void> {
  for (const since = Date.now(); !holds();) {
    assert.ok(Date.now() - since < 10_000, `still not: ${holds.toString()}`);
    await pause(2);
  }
}

/** Whether the value of `-o json` is a list of objects with these names. */
export function namesOf(value: unknown): unknown[] {
  assert.ok(Array.isArray(value));
  return value.map((row: unknown) =>
    typeof row === 'object' && row !== null && 'name' in row ? row.name : row,
  );
}

/** A field of a JSON result. */
export function field(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (part, key) => (typeof part === 'object' && part !== null ? Reflect.get(part, key) : undefined),
    value,
  );
}
