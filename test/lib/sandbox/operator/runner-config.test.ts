import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { OPERATED_VMS } from '../../../../src/lib/sandbox/operator/resources.ts';
import {
  parseRunnerConfig,
  renderRunnerConfig,
  runnerConfig,
} from '../../../../src/lib/sandbox/operator/runner-config.ts';

function vm(spec: Record<string, unknown>) {
  const metadata = { name: 'a', namespace: 'n', uid: 'u', generation: 3 };
  return OPERATED_VMS.parse({ apiVersion: '', kind: '', metadata, spec: { vm: spec } });
}

const input = { loggedInUser: undefined, hasDisplayPassword: false };

test('what a VM leaves out has VM-Operator’s defaults, one CPU among them', () => {
  assert.deepEqual(runnerConfig({ ...input, vm: vm({}) }), {
    generation: 3,
    resetCounter: 0,
    hasDisplayPassword: false,
    maximumCpus: 1,
    currentCpus: 1,
    maximumRamBytes: 1e9,
    currentRamBytes: 1e9,
    powerdownTimeoutSeconds: 900,
  });
});

test('a configuration survives its YAML, whatever the user is called', () => {
  for (const loggedInUser of [undefined, '', 'alice', 'true', 'a: b', 'x\ny', '#']) {
    const config = runnerConfig({
      vm: vm({ currentCpus: 2, maximumRam: '2Gi', display: { spice: { port: 5901 } } }),
      loggedInUser,
      hasDisplayPassword: true,
    });
    assert.deepEqual(parseRunnerConfig(renderRunnerConfig(config)), config);
  }
});

test('a client raises resetCounter below the quoted key "/Runner"', () => {
  const text = renderRunnerConfig(runnerConfig({ ...input, vm: vm({}) }));
  assert.match(text, /^"\/Runner":\n {2}generation: 3\n {2}resetCounter: 0\n/);
  const document = parseDocument(text);
  document.setIn(['/Runner', 'resetCounter'], 1);
  assert.equal(parseRunnerConfig(document.toString()).resetCounter, 1);
});

test('a text that lacks everything is a configuration; one that is no YAML is an error', () => {
  assert.equal(parseRunnerConfig('').currentCpus, 1);
  assert.throws(() => parseRunnerConfig('"/Runner": {'));
});
