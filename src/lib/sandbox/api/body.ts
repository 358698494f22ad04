import type { IncomingMessage } from 'node:http';
import { badRequest, bodyTooLarge, unsupportedMediaType } from './status.ts';

export const JSON_TYPE = 'application/json';
export const YAML_TYPE = 'application/yaml';

/** The media type of a request's body without parameters; `undefined` where none is named. */
export function mediaType(request: IncomingMessage): string | undefined {
  return request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
}

/** The whole body as text. Throws a 413 as soon as it is too large. */
export async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw bodyTooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > limit) throw bodyTooLarge(limit);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An object's body in JSON or YAML. Throws 400 and 415. */
export async function parseBody(type: string | undefined, text: string): Promise<unknown> {
  switch (type ?? JSON_TYPE) {
    case JSON_TYPE:
      return parseJsonBody(text);
    case YAML_TYPE:
      return parseYamlBody(text);
    default:
      throw unsupportedMediaType([JSON_TYPE, YAML_TYPE]);
  }
}

export function parseJsonBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the body is not JSON: ${position(error)}`);
  }
}

export async function parseYamlBody(text: string): Promise<unknown> {
  // Rarely sent: loaded when it is.
  const { parse } = await import('yaml');
  try {
    return parse(text);
  } catch (error) {
    throw badRequest(`the body is not YAML: ${position(error)}`);
  }
}

/** Where the text is wrong, without quoting it: it may hold a password. */
function position(error: unknown): string {
  return /at (?:position|line) \d+/.exec(String(error))?.[0] ?? 'it ends too early';
}
