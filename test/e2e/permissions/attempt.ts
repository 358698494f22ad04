import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { VmopError } from '../../../src/lib/errors.ts';
import { parseAccessDenial } from '../../../src/lib/vm/access-denial.ts';
import type { Action, Attempt } from './actions.ts';
import type { Outcome } from './table.ts';

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
    return { outcome: '✓', message: '' };
  } catch (error) {
    assert.ok(error instanceof VmopError, `${action.name}: ${String(error)}`);
    const { code, message } = error;
    // No kubelet runs these pods: that much was let through.
    const unserved = /^(forward a port|read the runner’s log)/.test(action.name) && code !== 'forbidden';
    if (unserved) return { outcome: '✓', message };
    assert.equal(code, 'forbidden', `${action.name} of ${attempt.vm}: ${message}`);
    return { outcome: parseAccessDenial(message) ? 'P' : 'R', message };
  }
}

/** A policy takes a moment to be in force. */
export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (const since = Date.now(); !(await holds()); await pause(50))
    assert.ok(Date.now() - since < PATIENCE_MS, `still not: ${holds.toString()}`);
}

/** Runs a command with a kubeconfig, and with nobody's home. */
export function ran(
  command: string,
  args: string[],
  kubeconfig: string,
): Promise<{ failed: boolean; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: path.dirname(kubeconfig) };
    execFile(command, args, { env, timeout: 60_000 }, (error, _stdout, stderr) => {
      resolve({ failed: error !== null, stderr });
    });
  });
}
