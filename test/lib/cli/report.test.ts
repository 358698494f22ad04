import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asVmopError, quietExit, reportError } from '../../../src/lib/cli/report.ts';
import { EXIT, VmopError } from '../../../src/lib/errors.ts';
import { sanitizeLines } from '../../../src/lib/text.ts';

const plain = { json: false, debug: false };
const json = { json: true, debug: false };

/** As oclif throws them. */
const oclifError = (message: string): Error => Object.assign(new Error(message), { oclif: { exit: 2 } });

describe('anything thrown is one of our errors', () => {
  const own = new VmopError('conflict', 'in use', { hint: 'wait', vm: 'a' });
  test('ours as it is', () => assert.equal(asVmopError(own), own));

  const cases: [name: string, thrown: unknown, code: keyof typeof EXIT, message: string][] = [
    ['SIGINT', 'SIGINT', 'interrupted', 'interrupted'],
    ['SIGTERM', 'SIGTERM', 'terminated', 'terminated'],
    [
      'an unknown flag',
      oclifError('Nonexistent flag: --x\nSee more help with --help'),
      'usage',
      'Nonexistent flag: --x',
    ],
    [
      'several at once',
      oclifError(
        'The following errors occurred:\n  Missing required flag for\n  Nonexistent flag: --x\nSee more help with --help',
      ),
      'usage',
      'missing flag --for\n  Nonexistent flag: --x',
    ],
    ['a bug', new TypeError('x is not a function'), 'failed', 'x is not a function'],
    ['a text', 'what', 'failed', 'what'],
    ['nothing', undefined, 'failed', 'undefined'],
  ];
  for (const [name, thrown, code, message] of cases) {
    test(name, () => {
      const error = asVmopError(thrown);
      assert.deepEqual([error.code, error.exitCode, error.message], [code, EXIT[code], message]);
    });
  }
  test('what is not expected says how to look', () => {
    assert.match(asVmopError(new Error('x')).hint ?? '', /VMOP_DEBUG=1/);
    assert.match(asVmopError(oclifError('x')).hint ?? '', /--help/);
  });
});

describe('what is printed', () => {
  const error = new VmopError('conflict', 'desktop-1 is in use', {
    hint: 'vmop show desktop-1',
    vm: 'desktop-1',
  });
  test('for a person', () => {
    assert.deepEqual(reportError(error, plain), {
      stdout: '',
      stderr: 'error: desktop-1 is in use\n  vmop show desktop-1\n',
      code: 'conflict',
    });
    assert.equal(reportError(new VmopError('failed', 'no'), plain).stderr, 'error: no\n');
  });
  test('for a script', () => {
    const { stdout, stderr } = reportError(error, json);
    assert.equal(stderr, '');
    assert.ok(stdout.endsWith('}\n'));
    assert.deepEqual(JSON.parse(stdout), {
      error: {
        code: 'conflict',
        exitCode: 5,
        message: 'desktop-1 is in use',
        hint: 'vmop show desktop-1',
        vm: 'desktop-1',
      },
    });
    assert.deepEqual(JSON.parse(reportError(new VmopError('usage', 'no'), json).stdout), {
      error: { code: 'usage', exitCode: 2, message: 'no' },
    });
  });
  test('a message is no way to a terminal, in JSON neither', () => {
    const evil = 'a\u009b31m\u202eb\u001b[0m';
    const { stdout } = reportError(new VmopError('failed', evil), json);
    assert.equal(sanitizeLines(stdout), stdout);
    assert.equal(JSON.parse(stdout).error.message, evil);
  });
  test('a stack only for debugging, with its causes', () => {
    const cause = new Error('the cause');
    const wrapped = new VmopError('failed', 'no', { cause: new Error('between', { cause }) });
    assert.doesNotMatch(reportError(wrapped, plain).stderr, /at /);
    const { stderr } = reportError(wrapped, { json: false, debug: true });
    assert.match(stderr, /caused by Error: between[^]*caused by Error: the cause/);
    const line = reportError(wrapped, { json: 'lines', debug: false }).stdout;
    assert.match(line, /^\{.*\}\n$/);
    const script = reportError(wrapped, { json: true, debug: true });
    assert.match(script.stderr, /the cause/);
    assert.doesNotMatch(script.stdout, /the cause/);
  });
});

describe('oclif’s own ways out', () => {
  test('--help ends with 0', () => {
    const exit = Object.assign(new Error('EEXIT: 0'), { code: 'EEXIT', oclif: { exit: 0 } });
    assert.equal(quietExit(exit), 0);
  });
  for (const thrown of [
    oclifError('x'),
    new VmopError('failed', 'x'),
    'x',
    undefined,
    Object.assign(new Error('x'), { code: 'EEXIT' }),
  ]) {
    test(`an error is none: ${String(thrown)}`, () => assert.equal(quietExit(thrown), undefined));
  }
});

test('every exit code is what scripts depend on', () => {
  assert.deepEqual(EXIT, {
    failed: 1,
    usage: 2,
    notFound: 3,
    forbidden: 4,
    conflict: 5,
    timeout: 6,
    unreachable: 7,
    state: 8,
    console: 9,
    guest: 10,
    interrupted: 130,
    terminated: 143,
  });
});
