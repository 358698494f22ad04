import { VmopError, type ErrorCode } from '../errors.ts';
import { asInteger, asObject, asString, isObject, parseJson } from './parse.ts';

/** A Kubernetes `Status` as far as vmop reads it. */
export interface ApiStatus {
  code: number;
  reason: string;
  message: string;
  retryAfterSeconds?: number | undefined;
}

const CODES: Record<number, ErrorCode> = {
  401: 'unreachable',
  403: 'forbidden',
  404: 'notFound',
  409: 'conflict',
  422: 'failed',
};

const HINTS: Record<number, string> = {
  401: 'log in again, or check the user of this context in your kubeconfig',
  403: 'ask an administrator of the namespace for this permission',
  409: 'somebody changed it at the same time: try again',
};

/** The API server's refusal: HTTP status and `Status` object. */
export class ApiError extends VmopError {
  readonly status: ApiStatus;

  constructor(status: ApiStatus, hint = HINTS[status.code]) {
    super(CODES[status.code] ?? 'failed', status.message, { hint });
    this.name = 'ApiError';
    this.status = status;
  }
}

export function isStatus(error: unknown, code: number): error is ApiError {
  return error instanceof ApiError && error.status.code === code;
}

/** A refusal's body as `ApiStatus`; a proxy between may answer with anything. */
export function parseStatus(code: number, retryAfter: string | undefined, body: string): ApiStatus {
  const value = parseJson(body);
  const status = parseStatusObject(value, code);
  if (!isObject(value)) status.message += textLine(body);
  const seconds = Number(retryAfter);
  return retryAfter !== undefined && Number.isFinite(seconds)
    ? { ...status, retryAfterSeconds: seconds }
    : status;
}

/** What a server says in plain text (`404 page not found`), to be added to a message; empty for a page of HTML. */
function textLine(body: string): string {
  const [line = ''] = body.trim().split('\n');
  return line === '' || line.length > 200 || line.startsWith('<') ? '' : `: ${line}`;
}

/** A `Status` object, as in an answer's body or in a watch's ERROR event. */
export function parseStatusObject(value: unknown, code: number): ApiStatus {
  const status = asObject(value);
  return {
    code: asInteger(status['code']) ?? code,
    reason: asString(status['reason']) ?? '',
    message: asString(status['message']) || `the API server answered with status ${code}`,
  };
}
