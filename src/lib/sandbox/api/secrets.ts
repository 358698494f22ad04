import { asObject, asString } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { ApiFailure } from './status.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A value that the server cannot read. */
export class UnreadableValue extends ApiFailure {
  constructor(message: string) {
    super(400, 'BadRequest', message);
  }
}

/** With `stringData` moved into `data`, and a type. Throws a 400, which never quotes a value. */
export function normalizeSecret({ stringData, ...secret }: JsonObject): JsonObject {
  const data: Record<string, string> = {};
  for (const [key, value] of Object.entries(asObject(secret['data']))) {
    if (value !== null && (typeof value !== 'string' || !BASE64.test(value))) {
      throw new UnreadableValue(`data[${key}] of the secret is not base64`);
    }
    data[key] = typeof value === 'string' ? value : '';
  }
  for (const [key, value] of Object.entries(asObject(stringData))) {
    if (typeof value !== 'string')
      throw new UnreadableValue(`stringData[${key}] of the secret is not a string`);
    data[key] = Buffer.from(value).toString('base64');
  }
  return {
    ...secret,
    ...(Object.keys(data).length > 0 || secret['data'] !== undefined ? { data } : {}),
    type: asString(secret['type']) ?? 'Opaque',
  };
}
