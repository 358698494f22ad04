import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { VmopError } from '../../../src/lib/errors.ts';
import { parseAccessDenial } from '../../../src/lib/vm/access-denial.ts';
import { parseRbacRefusal } from '../../../src/lib/vm/refusal.ts';
import type { Action, Attempt } from './actions.ts';
import type { Outcome } from './table.ts';
import { NAMESPACE, secretName } from './world.ts';

const PATIENCE_MS = 30_000;

/** What became of an attempt, and the API server's words. */
export interface Seen {
  outcome: Outcome;
  message: string;
}

/** Fails on whatever is neither success nor a refusal. */
export async function outcomeOf(action: Action, attempt: Attempt): Promise<Seen> {
  try {
    await action.run(attempt);
  } catch (error) {
    assert.ok(error instanceof VmopError, `${action.name}: ${String(error)}`);
    const { code, message } = error;
    if (action.unserved?.test(message)) return { outcome: '✓', message };
    assert.equal(code, 'forbidden', `${action.name} of ${attempt.vm}: ${message}`);
    return refusal(message);
  }
  assert.equal(action.unserved, undefined, `${action.name} of ${attempt.vm}: there is no kubelet to do it`);
  return { outcome: '✓', message: '' };
}

/** Of a policy, or else of RBAC, whose words must be there. */
function refusal(message: string): Seen {
  if (parseAccessDenial(message)) return { outcome: 'P', message };
  assert.ok(parseRbacRefusal(message), message);
  return { outcome: 'R', message };
}

/** The same for several VMs with kubectl, in as few processes as it can. Fails on whatever it does not tell by VM. */
export async function kubectlOutcomes(
  kubectl: string,
  action: Action,
  { user, kubeconfig }: { user: string; kubeconfig: string },
  vms: readonly string[],
): Promise<Map<string, Seen>> {
  const run = async (some: readonly string[], ...form: string[]): Promise<Ran & { what: string }> => {
    const { args, input } = action.kubectl?.(some, user) ?? { args: [] };
    const done = await ran(kubectl, [...args, ...form, '-n', NAMESPACE], kubeconfig, input);
    return { ...done, what: `${user}: kubectl ${args.join(' ')}: ${done.stdout}${done.stderr}` };
  };
  if (action.single) {
    const seen = vms.map(async (vm): Promise<[string, Seen]> => {
      const { failed, stderr, what } = await run([vm]);
      if (failed && !action.unserved?.test(stderr)) return [vm, refusal(stderr)];
      assert.equal(failed, action.unserved !== undefined, what);
      return [vm, { outcome: '✓', message: '' }];
    });
    return new Map(await Promise.all(seen));
  }
  const { stdout, stderr, what } = await run(vms, '-o', 'name');
  const done = stdout.split('\n').map((line) => line.split('/').at(-1));
  const refused = stderr.split(/^(?=Error from server|error: )/m);
  const seen = vms.map((vm): [string, Seen] => {
    const names = [vm, secretName(vm)];
    if (names.some((name) => done.includes(name))) return [vm, { outcome: '✓', message: '' }];
    const message = refused.find((one) => names.some((name) => one.includes(`"${name}"`)));
    assert.ok(message !== undefined, `${vm}: ${what}`);
    return [vm, refusal(message)];
  });
  return new Map(seen);
}

/** A policy takes a moment to be in force. */
export async function eventually(holds: () => Promise<boolean>, what = holds.toString()): Promise<void> {
  for (const since = Date.now(); !(await holds()); await pause(50))
    assert.ok(Date.now() - since < PATIENCE_MS, `still not: ${what}`);
}

interface Ran {
  failed: boolean;
  stdout: string;
  stderr: string;
}

/** Runs a command with a kubeconfig, and with nobody's home. */
export function ran(command: string, args: string[], kubeconfig: string, input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: path.dirname(kubeconfig) };
    const child = execFile(command, args, { env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
