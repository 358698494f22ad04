import type { FilterOperand, FilterOperator, PathStep, TemplateNode } from './jsonpath-parser.ts';
import type { Plain } from './plain.ts';

function children(value: Plain): Plain[] {
  if (Array.isArray(value)) return value;
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function descendants(value: Plain): Plain[] {
  return [value, ...children(value).flatMap(descendants)];
}

function ownField(value: Plain | undefined, name: string): Plain | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** `['a.b']` is the key `a.b` where there is one, and the path `.a.b`, as kubectl has it, otherwise. */
function field(value: Plain, name: string, quoted: boolean): Plain | undefined {
  const own = ownField(value, name);
  if (own !== undefined || !quoted || !name.includes('.')) return own;
  return name.split('.').reduce<Plain | undefined>(ownField, value);
}

function sliced(value: Plain, start: number | undefined, end: number | undefined, step: number): Plain[] {
  if (!Array.isArray(value)) return [];
  return value.slice(start, end).filter((_item, index) => index % step === 0);
}

function compare(left: Plain, operator: FilterOperator, right: Plain): boolean {
  if (operator === '==') return left === right;
  if (operator === '!=') return left !== right;
  const comparable =
    (typeof left === 'number' && typeof right === 'number') ||
    (typeof left === 'string' && typeof right === 'string');
  if (!comparable) return false;
  switch (operator) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    default:
      return left >= right;
  }
}

function operandOf(operand: FilterOperand, value: Plain, root: Plain): Plain | undefined {
  return operand.type === 'literal' ? operand.value : evaluatePath(operand.path, value, root)[0];
}

function passes(step: Extract<PathStep, { type: 'filter' }>, value: Plain, root: Plain): boolean {
  const left = operandOf(step.left, value, root);
  if (left === undefined) return false;
  if (step.operator === 'exists') return true;
  const right = operandOf(step.right, value, root);
  return right !== undefined && compare(left, step.operator, right);
}

function select(step: Exclude<PathStep, { type: 'root' | 'union' }>, value: Plain, root: Plain): Plain[] {
  switch (step.type) {
    case 'field': {
      // A list is an array here; kubectl's templates expect `items` in it.
      if (step.name === 'items' && value === root && Array.isArray(value)) return [value];
      const found = field(value, step.name, step.quoted);
      return found === undefined ? [] : [found];
    }
    case 'wildcard':
      return children(value);
    case 'descendants':
      return descendants(value);
    case 'index': {
      const found = Array.isArray(value) ? value.at(step.index) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'slice':
      return sliced(value, step.start, step.end, step.step);
    default:
      return Array.isArray(value) ? value.filter((item) => passes(step, item, root)) : [];
  }
}

/** As kubectl does, `['a','b']` of several values gives every `a` and then every `b`. */
function applyStep(step: PathStep, values: readonly Plain[], root: Plain): Plain[] {
  if (step.type === 'root') return [root];
  if (step.type === 'union') return step.members.flatMap((member) => applyStep(member, values, root));
  return values.flatMap((value) => select(step, value, root));
}

/** Everything that the path finds, in the order of the document; nothing where a field is missing. */
export function evaluatePath(path: readonly PathStep[], current: Plain, root: Plain): Plain[] {
  return path.reduce<Plain[]>((values, step) => applyStep(step, values, root), [current]);
}

/** Text as it is, anything else as JSON on one line. */
export function plainText(value: Plain): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function evaluateNodes(nodes: readonly TemplateNode[], current: Plain, root: Plain): string {
  return nodes
    .map((node) => {
      switch (node.type) {
        case 'text':
          return node.text;
        case 'path':
          return evaluatePath(node.path, current, root)
            .filter((value) => value !== null)
            .map(plainText)
            .join(' ');
        default:
          return evaluatePath(node.path, current, root)
            .map((item) => evaluateNodes(node.body, item, root))
            .join('');
      }
    })
    .join('');
}

/**
 * Fills a template as kubectl does: several values of one path stand side by side, missing ones print nothing.
 * Nothing of the template or the data is ever run as code.
 */
export function fillJsonPathTemplate(template: readonly TemplateNode[], data: Plain): string {
  return evaluateNodes(template, data, data);
}
