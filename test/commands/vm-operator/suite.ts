import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { assertDocumented } from '../../helpers/document.ts';
import { startScriptedOperator, type ScriptedOperator } from '../../helpers/scripted-operator.ts';
import type { ScriptedOperatorOptions } from '../../helpers/scripted-operator.ts';
import { startVmop, type VmopProcess, type VmopRun } from '../../helpers/vmop.ts';
import { startApiProxy, type ApiProxy, type ApiProxyOptions } from '../api-proxy.ts';
import type { RunOptions } from '../suite.ts';

/** docs/vm-operator.md; each group is a heading there. */
const DOCUMENT = {
  file: 'vm-operator.md',
  columns: ['VM-Operator', 'vmop'],
  command: 'node --test test/commands/vm-operator/*.test.ts',
};

/** `until` resolves when such a request (`METHOD /path?query`) has come. */
type WaitingProxy = ApiProxy & { until: (wanted: (request: string) => boolean) => Promise<void> };

/** `user`: whose requests it passes on; the administrator’s, unless said otherwise. */
type ProxyOptions = Omit<ApiProxyOptions, 'kubeconfig'> & { user?: string };

export interface OperatorSuite {
  /** There from the first test on. */
  readonly operator: ScriptedOperator;
  run: (line: string | string[], options?: RunOptions) => Promise<VmopRun>;
  start: (line: string | string[], options?: RunOptions) => VmopProcess;
  /** An API server with something special about it: for `--server`. Ends with the test. */
  proxy: (t: TestContext, options: ProxyOptions) => Promise<WaitingProxy>;
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
  test(`docs/vm-operator.md tells these: ${group}`, () =>
    assertDocumented({ ...DOCUMENT, heading: group }, rows));
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
    async proxy(t, { user = 'admin', ...rest }) {
      const proxy = await startApiProxy({ kubeconfig: running().kubeconfigFor(user), ...rest });
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
