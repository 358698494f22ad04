import { isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { FieldError } from './status.ts';

/** The part of a CRD's structural schema that the sandbox checks. Fields that it does not name are kept as they are. */
export interface Schema {
  type: 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'intOrString';
  properties?: Record<string, Schema>;
  required?: string[];
  /** Exactly one of these properties is there. */
  exactlyOne?: string[];
  items?: Schema;
  enum?: string[];
  /** A regular expression that the text has to match. */
  pattern?: string;
  minimum?: number;
  /** Filled in where the field is absent or null. */
  default?: unknown;
}

/** The value with the defaults filled in; not changed in place. */
export function withDefaults(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items ? value.map((item) => withDefaults(items, item)) : value;
  }
  if (!isObject(value)) return value;
  const result: JsonObject = { ...value };
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const present = Object.hasOwn(value, name) ? value[name] : undefined;
    const given = present ?? ('default' in property ? structuredClone(property.default) : present);
    if (given !== undefined) result[name] = withDefaults(property, given);
  }
  return result;
}

/** Everything in the value that the schema does not allow; `path` is the value's own. */
export function validate(schema: Schema, value: unknown, path: string): FieldError[] {
  if (!hasType(schema.type, value)) {
    const { exactlyOne = [] } = schema;
    // What asks for properties says nothing of a value that has none: each alternative fits.
    return [typeError(schema, value, path), ...oneOfErrors(exactlyOne, exactlyOne.length, path)];
  }
  const errors: FieldError[] = [];
  if (schema.enum && typeof value === 'string' && !schema.enum.includes(value)) {
    const supported = schema.enum.map((item) => JSON.stringify(item)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
    errors.push({ field: path, reason: 'FieldValueNotSupported', message });
  }
  if (schema.pattern !== undefined && typeof value === 'string' && !new RegExp(schema.pattern).test(value)) {
    const message = `Invalid value: ${JSON.stringify(value)}: ${path} in body should match '${schema.pattern}'`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
  }
  if (schema.minimum !== undefined && typeof value === 'number' && value < schema.minimum) {
    const message = `Invalid value: ${value}: ${path} in body should be greater than or equal to ${schema.minimum}`;
    errors.push({ field: path, reason: 'FieldValueInvalid', message });
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items) errors.push(...value.flatMap((item, index) => validate(items, item, `${path}[${index}]`)));
  } else if (isObject(value)) {
    errors.push(...validateObject(schema, value, path));
  }
  return errors;
}

function validateObject(schema: Schema, value: JsonObject, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const pathOf = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) {
      errors.push({ field: pathOf(name), reason: 'FieldValueRequired', message: 'Required value' });
    }
  }
  const { exactlyOne = [] } = schema;
  const found = exactlyOne.filter((name) => Object.hasOwn(value, name));
  errors.push(...oneOfErrors(exactlyOne, found.length, path));
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (Object.hasOwn(value, name)) errors.push(...validate(property, value[name], pathOf(name)));
  }
  return errors;
}

function hasType(type: Schema['type'], value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'intOrString':
      return Number.isInteger(value) || typeof value === 'string';
    default:
      return typeof value === type;
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function typeError(schema: Schema, value: unknown, path: string): FieldError {
  const found = typeName(value);
  const expected = schema.type === 'intOrString' ? 'integer,string' : schema.type;
  return {
    field: path,
    reason: 'FieldValueTypeInvalid',
    message: `Invalid value: "${found}": ${path} in body must be of type ${expected}: "${found}"`,
  };
}

/** As kube-apiserver tells it: without a field, and where none is there the first is asked for. */
function oneOfErrors([first]: readonly string[], found: number, path: string): FieldError[] {
  if (first === undefined || found === 1) return [];
  const alternatives = found === 0 ? 'none valid' : `${found} valid alternatives`;
  const message = `Invalid value: "": "${path}" must validate one and only one schema (oneOf). Found ${alternatives}`;
  const errors: FieldError[] = [{ field: '<nil>', reason: 'FieldValueInvalid', message }];
  if (found === 0) {
    errors.push({ field: `${path}.${first}`, reason: 'FieldValueRequired', message: 'Required value' });
  }
  return errors;
}
