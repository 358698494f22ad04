import { badRequest } from './status.ts';

interface Requirement {
  key: string;
  operator: 'in' | 'notin' | 'exists' | 'missing';
  values: string[];
}

export type LabelSelector = Requirement[];
export type FieldSelector = { field: string; value: string; negated: boolean }[];

const SET = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/;
const EQUALITY = /^([^=!\s]+)\s*(==|!=|=)\s*([^=!\s]*)$/;
const EXISTENCE = /^(!?)\s*([^=!\s,()]+)$/;

/** Splits at the commas outside of parentheses. */
function splitTerms(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Throws a 400. */
export function parseLabelSelector(text: string): LabelSelector {
  return splitTerms(text).map((term): Requirement => {
    const [, setKey, setOperator, list] = SET.exec(term) ?? [];
    if (setKey !== undefined && list !== undefined) {
      const values = list.split(',').map((value) => value.trim());
      return { key: setKey, operator: setOperator === 'in' ? 'in' : 'notin', values };
    }
    const [, key, operator, value] = EQUALITY.exec(term) ?? [];
    if (key !== undefined && value !== undefined) {
      return { key, operator: operator === '!=' ? 'notin' : 'in', values: [value] };
    }
    const [, not, name] = EXISTENCE.exec(term) ?? [];
    if (name !== undefined) return { key: name, operator: not === '!' ? 'missing' : 'exists', values: [] };
    throw badRequest(`unable to parse requirement: found '${term}' in the label selector "${text}"`);
  });
}

/** `notin` and `!=` also hold for an object without the label, as in Kubernetes. */
export function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (operator === 'exists' || operator === 'missing')
      return (value !== undefined) === (operator === 'exists');
    return (value !== undefined && values.includes(value)) === (operator === 'in');
  });
}

/** `metadata.name=a,status.phase!=Failed`, of the fields that the kind can be selected by. Throws a 400. */
export function parseFieldSelector(text: string, fields: readonly string[]): FieldSelector {
  return splitTerms(text).map((term) => {
    const [, field, operator, value] = EQUALITY.exec(term) ?? [];
    if (field === undefined || value === undefined) {
      throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    }
    if (!fields.includes(field)) throw badRequest(`field label not supported: ${field}`);
    return { field, value, negated: operator === '!=' };
  });
}

/** `fieldOf` answers with `''` for a field that the object does not have. */
export function matchesFields(selector: FieldSelector, fieldOf: (field: string) => string): boolean {
  return selector.every(({ field, value, negated }) => (fieldOf(field) === value) !== negated);
}
