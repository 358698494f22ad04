import { VmopError } from '../errors.ts';

/** One step of a path, applied to each value that the step before found. */
export type PathStep =
  | { type: 'root' }
  /** `quoted`: written `['a.b']`. */
  | { type: 'field'; name: string; quoted: boolean }
  | { type: 'wildcard' }
  | { type: 'descendants' }
  | { type: 'slice'; start: number | undefined; end: number | undefined; step: number }
  | { type: 'index'; index: number }
  | { type: 'union'; members: PathStep[] }
  | { type: 'filter'; left: FilterOperand; operator: FilterOperator; right: FilterOperand }
  | { type: 'filter'; left: FilterOperand; operator: 'exists' };

export type FilterOperator = (typeof OPERATORS)[number];
export type FilterOperand =
  { type: 'literal'; value: string | number | boolean | null } | { type: 'path'; path: PathStep[] };

export type TemplateNode =
  | { type: 'text'; text: string }
  | { type: 'path'; path: PathStep[] }
  | { type: 'range'; path: PathStep[]; body: TemplateNode[] };

const OPERATORS = ['==', '!=', '<=', '>=', '<', '>'] as const;
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '0': '\0' };
const NAME_END = /[\s.[\](){},=<>!'"|&]/;

/** Reads kubectl's JSONPath templates from left to right. */
class JsonPathReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  fail(what: string): VmopError {
    return new VmopError(
      'usage',
      `cannot read the jsonpath ${JSON.stringify(this.#text)}: ${what} at character ${this.#at + 1}`,
      { hint: `for example jsonpath='{.name}' or jsonpath='{range [*]}{.name}{"\\n"}{end}'` },
    );
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw this.fail(`expected ${token}`);
  }

  #match(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern, 'y');
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #skipSpace(): void {
    this.#match(/\s*/);
  }

  /** Text and actions up to the end of the template, or to the `{end}` of the range that is open. */
  template(insideRange: boolean): TemplateNode[] {
    const nodes: TemplateNode[] = [];
    for (;;) {
      const text = this.#match(/[^{]+/);
      if (text !== undefined) nodes.push({ type: 'text', text });
      if (this.done) {
        if (insideRange) throw this.fail('missing {end}');
        return nodes;
      }
      this.#expect('{');
      if (this.#action(nodes)) {
        if (!insideRange) throw this.fail('{end} without {range}');
        return nodes;
      }
    }
  }

  /** What stands between braces; true when it was `end`. */
  #action(nodes: TemplateNode[]): boolean {
    this.#skipSpace();
    if (this.#match(/end\s*\}/) !== undefined) return true;
    if (this.#match(/range(?=[\s.[$@])/) !== undefined) {
      this.#skipSpace();
      const path = this.path();
      this.#skipSpace();
      this.#expect('}');
      nodes.push({ type: 'range', path, body: this.template(true) });
      return false;
    }
    while (!this.#take('}')) {
      if (this.done) throw this.fail('missing }');
      const text = this.#quoted();
      nodes.push(text === undefined ? { type: 'path', path: this.path() } : { type: 'text', text });
      this.#skipSpace();
    }
    return false;
  }

  #quoted(): string | undefined {
    const quote = this.#peek();
    if (quote !== '"' && quote !== "'") return undefined;
    this.#at += 1;
    let text = '';
    while (!this.#take(quote)) {
      if (this.done) throw this.fail(`missing ${quote}`);
      if (this.#take('\\')) {
        const escaped = this.#peek();
        text += ESCAPES[escaped] ?? escaped;
      } else {
        text += this.#peek();
      }
      this.#at += 1;
    }
    return text;
  }

  #name(): string | undefined {
    let name = '';
    while (!this.done && !NAME_END.test(this.#peek())) {
      this.#take('\\');
      name += this.#peek();
      this.#at += 1;
    }
    return name === '' ? undefined : name;
  }

  #member(): PathStep | undefined {
    if (this.#take('*')) return { type: 'wildcard' };
    const name = this.#name();
    return name === undefined ? undefined : { type: 'field', name, quoted: false };
  }

  path(): PathStep[] {
    const start = this.#at;
    const steps: PathStep[] = [];
    if (this.#take('$')) steps.push({ type: 'root' });
    else if (!this.#take('@')) {
      const first = this.#member();
      if (first) steps.push(first);
    }
    for (;;) {
      if (this.#take('..')) {
        steps.push({ type: 'descendants' });
        const member = this.#member();
        if (member) steps.push(member);
        else if (this.#peek() !== '[') throw this.fail('expected a name after ..');
      } else if (this.#take('.')) {
        const member = this.#member();
        if (member) steps.push(member);
      } else if (this.#take('[')) {
        steps.push(this.#bracket());
      } else {
        break;
      }
    }
    if (this.#at === start) throw this.fail(`unexpected ${this.#peek() || 'end'}`);
    return steps;
  }

  #bracket(): PathStep {
    const members: PathStep[] = [];
    do {
      this.#skipSpace();
      members.push(this.#selector());
      this.#skipSpace();
    } while (this.#take(','));
    this.#expect(']');
    const [only] = members;
    return only && members.length === 1 ? only : { type: 'union', members };
  }

  #selector(): PathStep {
    if (this.#take('?(')) return this.#filter();
    if (this.#take('*')) return { type: 'wildcard' };
    const name = this.#quoted();
    if (name !== undefined) return { type: 'field', name, quoted: true };
    const slice = this.#match(/-?\d*:-?\d*(:-?\d+)?/);
    if (slice !== undefined) return this.#slice(slice);
    const index = this.#match(/-?\d+/);
    if (index !== undefined) return { type: 'index', index: Number(index) };
    throw this.fail(`expected an index, a name in quotes, * or a filter`);
  }

  #slice(text: string): PathStep {
    const [start, end, step] = text.split(':').map((part) => (part === '' ? undefined : Number(part)));
    if (step !== undefined && step <= 0) throw this.fail('the step of a slice must be positive');
    return { type: 'slice', start, end, step: step ?? 1 };
  }

  #filter(): PathStep {
    this.#skipSpace();
    const left = this.#operand();
    this.#skipSpace();
    const operator = OPERATORS.find((token) => this.#take(token));
    if (operator === undefined) {
      if (!this.#take(')')) throw this.fail(`expected ) or one of ${OPERATORS.join(' ')}`);
      return { type: 'filter', left, operator: 'exists' };
    }
    this.#skipSpace();
    const right = this.#operand();
    this.#skipSpace();
    if (!this.#take(')')) throw this.fail('expected ) (a filter is one comparison)');
    return { type: 'filter', left, operator, right };
  }

  #operand(): FilterOperand {
    const text = this.#quoted();
    if (text !== undefined) return { type: 'literal', value: text };
    const number = this.#match(/-?\d+(\.\d+)?/);
    if (number !== undefined) return { type: 'literal', value: Number(number) };
    const word = this.#match(/(true|false|null)\b/);
    if (word !== undefined) return { type: 'literal', value: word === 'null' ? null : word === 'true' };
    return { type: 'path', path: this.path() };
  }
}

/**
 * kubectl's JSONPath template, or a single path without braces (`.metadata.name`). A usage error that names the place
 * when it cannot be read.
 */
export function parseJsonPathTemplate(template: string): TemplateNode[] {
  if (!template.includes('{')) return [{ type: 'path', path: parseJsonPath(template) }];
  return new JsonPathReader(template).template(false);
}

/** A single path: `.metadata.name`, `metadata.name` or `{.metadata.name}`. */
export function parseJsonPath(text: string): PathStep[] {
  const braced = /^\{(.*)\}$/s.exec(text.trim());
  const reader = new JsonPathReader(braced?.[1] ?? text.trim());
  const path = reader.path();
  if (!reader.done) throw reader.fail('unexpected text');
  return path;
}
