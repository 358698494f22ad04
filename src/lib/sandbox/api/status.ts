import type { JsonObject } from '../../cluster/types.ts';

/** One entry of a Status' `details.causes`. */
export interface StatusCause {
  reason: string;
  message: string;
  field?: string;
}

/** What the failed request was about, as far as it goes into messages and `details`. */
export interface Subject {
  group: string;
  /** Plural (`vms`), or the kind for a 422. */
  resource: string;
  name: string;
}

interface FailureDetails {
  subject?: Subject;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
  headers?: Record<string, string>;
  /** Where a list goes on that cannot be as it was. */
  continueToken?: string;
}

/** A request that is answered with a `Status` instead of what it asked for. */
export class ApiFailure extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: FailureDetails;

  constructor(code: number, reason: string, message: string, details: FailureDetails = {}) {
    super(message);
    this.name = 'ApiFailure';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  toStatus(): JsonObject {
    const { subject, causes, retryAfterSeconds, continueToken } = this.details;
    const details = {
      ...(subject?.name ? { name: subject.name } : {}),
      ...(subject?.group ? { group: subject.group } : {}),
      ...(subject ? { kind: subject.resource } : {}),
      ...(causes ? { causes } : {}),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    };
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: continueToken === undefined ? {} : { continue: continueToken },
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(Object.keys(details).length > 0 ? { details } : {}),
      code: this.code,
    };
  }
}

/** `vms.vmoperator.jdrupes.org`, `pods`. */
export function qualifiedName({ group, resource }: Pick<Subject, 'group' | 'resource'>): string {
  return group === '' ? resource : `${resource}.${group}`;
}

export function badRequest(message: string): ApiFailure {
  return new ApiFailure(400, 'BadRequest', message);
}

export function unauthorized(): ApiFailure {
  return new ApiFailure(401, 'Unauthorized', 'Unauthorized', {
    headers: { 'WWW-Authenticate': 'Bearer' },
  });
}

export function notFound(subject: Subject): ApiFailure {
  return new ApiFailure(404, 'NotFound', `${qualifiedName(subject)} "${subject.name}" not found`, {
    subject,
  });
}

export function unknownPath(): ApiFailure {
  return new ApiFailure(404, 'NotFound', 'the server could not find the requested resource');
}

export function methodNotAllowed(): ApiFailure {
  const message = 'the server does not allow this method on the requested resource';
  return new ApiFailure(405, 'MethodNotAllowed', message);
}

export function notAcceptable(): ApiFailure {
  const message = 'only the following media types are accepted: application/json';
  return new ApiFailure(406, 'NotAcceptable', message);
}

export function alreadyExists(subject: Subject): ApiFailure {
  const message = `${qualifiedName(subject)} "${subject.name}" already exists`;
  return new ApiFailure(409, 'AlreadyExists', message, { subject });
}

const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';

export function conflict(subject: Subject, why = MODIFIED): ApiFailure {
  const message = `Operation cannot be fulfilled on ${qualifiedName(subject)} "${subject.name}": ${why}`;
  return new ApiFailure(409, 'Conflict', message, { subject });
}

/** A watch or a page that starts at a version whose changes are no longer known. */
export function expired(message: string, details: FailureDetails = {}): ApiFailure {
  return new ApiFailure(410, 'Expired', message, details);
}

export function bodyTooLarge(limit: number): ApiFailure {
  const message = `Request entity too large: limit is ${limit}`;
  return new ApiFailure(413, 'RequestEntityTooLarge', message);
}

export function unsupportedMediaType(accepted: readonly string[]): ApiFailure {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  return new ApiFailure(415, 'UnsupportedMediaType', message);
}

/** What is wrong with one field; `message` follows the field's path in the sentence. */
export interface FieldError {
  field: string;
  reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueTypeInvalid'
    | 'FieldValueForbidden';
  message: string;
}

/** 422 for an object of `kind`. */
export function invalid(group: string, kind: string, name: string, errors: FieldError[]): ApiFailure {
  const sentences = errors.map(({ field, message }) => `${field}: ${message}`);
  const list = sentences.length === 1 ? sentences[0] : `[${sentences.join(', ')}]`;
  const message = `${qualifiedName({ group, resource: kind })} "${name}" is invalid: ${list}`;
  return new ApiFailure(422, 'Invalid', message, {
    subject: { group, resource: kind, name },
    causes: errors.map(({ field, reason, message }) => ({ reason, message, field })),
  });
}
