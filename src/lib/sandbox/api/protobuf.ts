import { isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';

export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';

/** A message by its field numbers. Fields that are not named may only be sent empty. */
interface Message {
  [number: number]: Field;
}

interface Field {
  name: string;
  /** Bytes become base64, as in JSON. */
  type: 'string' | 'bytes' | 'map' | 'bytesMap' | Message;
  repeated?: true;
}

const text = (name: string): Field => ({ name, type: 'string' });

const METADATA: Field = {
  name: 'metadata',
  type: {
    1: text('name'),
    2: text('generateName'),
    3: text('namespace'),
    11: { name: 'labels', type: 'map' },
    12: { name: 'annotations', type: 'map' },
  },
};

const ATTRIBUTES: Message = {
  1: {
    name: 'resourceAttributes',
    type: {
      1: text('namespace'),
      2: text('verb'),
      3: text('group'),
      4: text('version'),
      5: text('resource'),
      6: text('subresource'),
      7: text('name'),
    },
  },
  2: { name: 'nonResourceAttributes', type: { 1: text('path'), 2: text('verb') } },
};

/** What kubectl sends in this form, whatever it gets: what its `auth` and `create` make themselves. */
const MESSAGES: Record<string, Message> = {
  Namespace: { 1: METADATA },
  Secret: {
    1: METADATA,
    2: { name: 'data', type: 'bytesMap' },
    3: text('type'),
    4: { name: 'stringData', type: 'map' },
  },
  ConfigMap: {
    1: METADATA,
    2: { name: 'data', type: 'map' },
    3: { name: 'binaryData', type: 'bytesMap' },
  },
  SelfSubjectReview: {},
  SelfSubjectAccessReview: { 2: { name: 'spec', type: ATTRIBUTES } },
  SubjectAccessReview: {
    2: {
      name: 'spec',
      type: { ...ATTRIBUTES, 3: text('user'), 4: { ...text('groups'), repeated: true } },
    },
  },
  SelfSubjectRulesReview: { 2: { name: 'spec', type: { 1: text('namespace') } } },
};

const MAGIC = Buffer.from('k8s\0');

const ENVELOPE: Message = {
  1: { name: 'type', type: { 1: text('apiVersion'), 2: text('kind') } },
  2: { name: 'raw', type: 'bytes' },
};

/** An object in Kubernetes' binary form; undefined when it is none, or says more than is understood here. */
export function decodeProtobuf(bytes: Buffer): JsonObject | undefined {
  try {
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    const { type, raw } = decode(bytes.subarray(MAGIC.length), ENVELOPE);
    if (!isObject(type) || typeof raw !== 'string' || typeof type['kind'] !== 'string') return undefined;
    const message = MESSAGES[type['kind']];
    return message && { ...type, ...decode(Buffer.from(raw, 'base64'), message) };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Throws a RangeError for what is no such message. */
function decode(bytes: Buffer, message: Message): JsonObject {
  const object: JsonObject = {};
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    const content = readVarint(bytes, tag.next);
    const field = message[tag.value >>> 3];
    switch (tag.value & 7) {
      case 0:
        if (content.value !== 0) throw new RangeError('a number that is not understood');
        at = content.next;
        break;
      case 2: {
        at = content.next + content.value;
        if (at > bytes.length) throw new RangeError('a field that ends too early');
        const value = bytes.subarray(content.next, at);
        if (field) assign(object, field, value);
        else decode(value, {});
        break;
      }
      default:
        throw new RangeError('a field that is not understood');
    }
  }
  return object;
}

function assign(object: JsonObject, { name, type, repeated }: Field, bytes: Buffer): void {
  const before = object[name];
  if (type === 'map' || type === 'bytesMap') {
    const entryType: Message = {
      1: text('key'),
      2: { name: 'value', type: type === 'map' ? 'string' : 'bytes' },
    };
    const { key = '', value = '' } = decode(bytes, entryType);
    object[name] = { ...(isObject(before) ? before : {}), [String(key)]: value };
    return;
  }
  const value =
    type === 'string'
      ? bytes.toString('utf8')
      : type === 'bytes'
        ? bytes.toString('base64')
        : decode(bytes, type);
  if (repeated) object[name] = [...(Array.isArray(before) ? before : []), value];
  // Kubernetes sends absent texts as empty ones.
  else if (value !== '') object[name] = value;
}

function readVarint(bytes: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  for (let at = start, shift = 1; at < bytes.length && shift < 2 ** 49; at++, shift *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * shift;
    if (byte < 128) return { value, next: at + 1 };
  }
  throw new RangeError('a number that does not end');
}
