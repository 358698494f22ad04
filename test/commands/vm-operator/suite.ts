import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { startScriptedOperator, type ScriptedOperator } from '../../helpers/scripted-operator.ts';
import type { ScriptedOperatorOptions } from '../../helpers/scripted-operator.ts';
import { startVmop, type VmopProcess, type VmopRun } from '../../helpers/vmop.ts';
import { startApiProxy, type ApiProxy, type ApiProxyOptions } from '../api-proxy.ts';
import type { RunOptions } from '../suite.ts';

const DOCUMENT = path.join(import.meta.dirname, '../../../docs/vm-operator.md');

/** `until` resolves when such a request (`METHOD /path?query`) has come. */
type WaitingProxy = ApiProxy & { until: (wanted: (request: string) => boolean) => Promise<void> };

export interface OperatorSuite {
  /** There from the first test on. */
  readonly operator: ScriptedOperator;
  run: (line: string | string[], options?: RunOptions) => Promise<VmopRun>;
  start: (line: string | string[], options?: RunOptions) => VmopProcess;
  /** An API server with something special about it: for `--server`. Ends with the test. */
  proxy: (t: TestContext, options: Omit<ApiProxyOptions, 'kubeconfig'>) => Promise<WaitingProxy>;
  /** A test, and a row of docs/vm-operator.md: what VM-Operator does, and what vmop does about it. */
  copes: (withThis: string, so: string, body: (t: TestContext) => Promise<void>) => void;
}

/** One cluster without an operator for the tests of a file; `group` is their heading in docs/vm-operator.md. */
export function operatorSuite(group: string, options?: ScriptedOperatorOptions): OperatorSuite {
  let operator: ScriptedOperator | undefined;
  const rows: [string, string][] = [];
  const running = (): ScriptedOperator => {
    assert.ok(operator, 'the cluster is there only while tests run');
    return operator;
  };
  before(async () => {
    operator = await startScriptedOperator(options);
  });
  after(async () => {
    await operator?.close();
  });
  test(`docs/vm-operator.md tells these: ${group}`, () => assertDocumented(group, rows));
  const start: OperatorSuite['start'] = (line, { user = 'admin', ...rest } = {}) => {
    const args = typeof line === 'string' ? line.split(' ') : line;
    const { folder, kubeconfigFor } = running();
    return startVmop(folder, args, { kubeconfig: kubeconfigFor(user), ...rest });
  };
  return {
    get operator() {
      return running();
    },
    start,
    run: (line, rest) => start(line, rest).ended,
    async proxy(t, rest) {
      const proxy = await startApiProxy({ kubeconfig: running().kubeconfigFor('admin'), ...rest });
      t.after(() => proxy.close());
      return {
        ...proxy,
        async until(wanted) {
          while (!proxy.requests.some(wanted)) await proxy.asked(proxy.requests.length + 1);
        },
      };
    },
    copes(withThis, so, body) {
      rows.push([withThis, so]);
      test(`${withThis}: ${so}`, body);
    },
  };
}

/** The table below the group's heading, as rows of cells; `UPDATE_GOLDEN=1` writes it. */
function assertDocumented(group: string, rows: readonly [string, string][]): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [head, ...sections] = text.split(/^(?=## )/m);
  const section = sections.find((one) => one.startsWith(`## ${group}\n`));
  if (process.env['UPDATE_GOLDEN']) {
    const others = sections.filter((one) => one !== section).map((one) => `${one.trimEnd()}\n`);
    const all = [...others, sectionText(group, rows)].sort((a, b) => a.localeCompare(b));
    writeFileSync(DOCUMENT, [`${(head ?? '').trimEnd()}\n`, ...all].join('\n'));
    return;
  }
  const told = (section ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  assert.deepEqual(told, rows, 'UPDATE_GOLDEN=1 node --test test/commands/vm-operator/*.test.ts writes it');
}

function sectionText(group: string, rows: readonly [string, string][]): string {
  const all: [string, string][] = [['VM-Operator', 'vmop'], ...rows];
  const width = (column: 0 | 1): number => Math.max(...all.map((row) => row[column].length));
  const line = ([does, answer]: [string, string], fill = ' '): string =>
    `| ${does.padEnd(width(0), fill)} | ${answer.padEnd(width(1), fill)} |`;
  const [header, ...body] = all;
  if (header === undefined) return '';
  return [`## ${group}\n`, line(header), line(['-', '-'], '-'), ...body.map((row) => line(row)), ''].join(
    '\n',
  );
}
