import type { IncomingMessage } from 'node:http';
import { decodeProtobuf, PROTOBUF_TYPE } from './protobuf.ts';
import { badRequest, bodyTooLarge, unsupportedMediaType } from './status.ts';

const JSON_TYPE = 'application/json';
const YAML_TYPE = 'application/yaml';

/** The media type of a request's body without parameters; `undefined` where none is named. */
export function mediaType(request: IncomingMessage): string | undefined {
  return request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
}

/** The whole body. Throws a 413 as soon as it is too large. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw bodyTooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  // Without `destroyOnReturn: false` a body that is too large would take the connection with it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > limit) throw bodyTooLarge(limit);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** An object's body in JSON or YAML, or in the binary form where kubectl uses it. Throws 400 and 415. */
export async function parseBody(type: string | undefined, body: Buffer): Promise<unknown> {
  if (type === undefined || type === JSON_TYPE) return parseJsonBody(body.toString('utf8'));
  if (type === YAML_TYPE) return parseYamlBody(body.toString('utf8'));
  const object = type === PROTOBUF_TYPE ? decodeProtobuf(body) : undefined;
  if (object === undefined) throw unsupportedMediaType([JSON_TYPE, YAML_TYPE]);
  return object;
}

export function parseJsonBody(text: string, failure = 'the body is not JSON'): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`${failure}: ${position(error)}`);
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
