import assert from 'node:assert/strict';
import { VmopError } from '../../../src/lib/errors.ts';

/** The VmopError that an action throws. */
export function errorOf(action: () => unknown): VmopError {
  let caught: unknown;
  try {
    action();
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof VmopError, `not refused: ${String(caught)}`);
  return caught;
}

/** The VmopError that a promise rejects with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<VmopError> {
  const caught = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(caught instanceof VmopError, `not rejected: ${String(caught)}`);
  return caught;
}
