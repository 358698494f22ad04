import { VmopError } from '../errors.ts';

/** One condition of a label selector. `lessThan` and `moreThan` compare whole numbers. */
export type LabelRequirement =
  | { key: string; operator: 'in' | 'notIn'; values: string[] }
  | { key: string; operator: 'exists' | 'missing' }
  | { key: string; operator: 'lessThan' | 'moreThan'; number: bigint };

const TOKEN = /\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)\s*/y;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const WHOLE_NUMBER = /^-?\d{1,19}$/;
const PREFIX = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Kubernetes' label selectors: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, `a<1`, `a>1`, joined by
 * commas. Error: `usage` for whatever the API server would refuse, too.
 */
export function parseLabelSelector(text: string): LabelRequirement[] {
  const tokens = tokensOf(text);
  const requirements: LabelRequirement[] = [];
  if (tokens.length === 0) return requirements;
  for (;;) {
    requirements.push(takeRequirement(text, tokens));
    const separator = tokens.shift();
    if (separator === undefined) return requirements;
    if (separator !== ',') throw notASelector(text, `"${separator}" stands where a comma should`);
  }
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) tokens.push(match[1] ?? '');
  return tokens;
}

function takeRequirement(text: string, tokens: string[]): LabelRequirement {
  const first = tokens.shift() ?? '';
  if (first === '!') return { key: takeKey(text, tokens.shift()), operator: 'missing' };
  const key = takeKey(text, first);
  const [operator] = tokens;
  switch (operator) {
    case undefined:
    case ',':
      return { key, operator: 'exists' };
    case '=':
    case '==':
    case '!=':
      tokens.shift();
      return { key, operator: operator === '!=' ? 'notIn' : 'in', values: [takeValue(text, tokens)] };
    case 'in':
    case 'notin':
      tokens.shift();
      return { key, operator: operator === 'in' ? 'in' : 'notIn', values: takeValues(text, tokens) };
    case '<':
    case '>':
      tokens.shift();
      return { key, operator: operator === '<' ? 'lessThan' : 'moreThan', number: takeNumber(text, tokens) };
    default:
      throw notASelector(text, `"${operator}" is no operator`);
  }
}

function takeKey(text: string, token = ''): string {
  const [name = '', prefix, ...rest] = token.split('/').reverse();
  if (rest.length > 0 || !NAME.test(name) || (prefix !== undefined && !PREFIX.test(prefix))) {
    throw notASelector(text, `"${token}" is no label's name`);
  }
  return token;
}

/** Also nothing: the value of a label may be empty. */
function takeValue(text: string, tokens: string[]): string {
  const [next] = tokens;
  if (next === undefined || next === ',' || next === ')') return '';
  if (!NAME.test(next)) throw notASelector(text, `"${next}" is no label's value`);
  tokens.shift();
  return next;
}

function takeValues(text: string, tokens: string[]): string[] {
  if (tokens.shift() !== '(') throw notASelector(text, 'in and notin need values in parentheses');
  const values: string[] = [];
  for (;;) {
    values.push(takeValue(text, tokens));
    const after = tokens.shift();
    if (after === ')') return values;
    if (after !== ',') throw notASelector(text, 'a parenthesis is not closed');
  }
}

function takeNumber(text: string, tokens: string[]): bigint {
  const token = tokens.shift() ?? '';
  if (!WHOLE_NUMBER.test(token)) throw notASelector(text, `"${token}" is no whole number`);
  return BigInt(token);
}

function notASelector(text: string, because: string): VmopError {
  return new VmopError('usage', `not a label selector: ${JSON.stringify(text)}: ${because}`, {
    hint: "write e.g. team=blue, 'team in (blue,red)', '!team'",
  });
}

/** As the API server decides: `notIn` also holds for an object without the label. */
export function matchesLabels(
  requirements: readonly LabelRequirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every((requirement) => {
    const { key, operator } = requirement;
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'exists':
        return value !== undefined;
      case 'missing':
        return value === undefined;
      case 'in':
        return value !== undefined && requirement.values.includes(value);
      case 'notIn':
        return value === undefined || !requirement.values.includes(value);
      default:
        return compares(value, operator, requirement.number);
    }
  });
}

function compares(value: string | undefined, operator: 'lessThan' | 'moreThan', number: bigint): boolean {
  if (value === undefined || !WHOLE_NUMBER.test(value)) return false;
  return operator === 'lessThan' ? BigInt(value) < number : BigInt(value) > number;
}
