import { VmopError } from '../../errors.ts';
import { ApiError } from '../api-error.ts';
import type { ObjectRef } from '../types.ts';

/** The server refuses the port-forward as a whole. */
export function forwardRefusal(error: ApiError, { namespace, name }: ObjectRef): VmopError {
  const { code, message } = error.status;
  if (code === 403) {
    const status = {
      ...error.status,
      message: `the API server does not allow pods/portforward for pod "${name}" in namespace "${namespace}": ${message}`,
    };
    return new ApiError(status);
  }
  if (/does not have a host assigned|pod not found \(|pod does not exist|is not running/.test(message)) {
    return new VmopError('state', `pod "${name}" is not running: ${message}`, {
      hint: 'wait until it runs, then try again',
      cause: error,
    });
  }
  if (/error dialing backend|dial tcp/.test(message)) {
    return new VmopError(
      'unreachable',
      `the API server does not reach the node of pod "${name}": ${message}`,
      {
        hint: 'the node may be down: ask an administrator of the cluster',
        cause: error,
      },
    );
  }
  return error;
}

/** The node cannot reach the port; `text` is what it says. */
export function portRefusal(text: string, { name }: ObjectRef, port: number): VmopError {
  const refused = /connection refused/i.test(text);
  const message = refused
    ? `nothing listens on port ${port} of pod "${name}"`
    : `port ${port} of pod "${name}" cannot be used: ${text.trim()}`;
  return new VmopError('console', message, {
    hint: refused ? 'is the VM still starting, or its display not SPICE? try again in a moment' : undefined,
    cause: new Error(text.trim()),
  });
}
