import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchingChoices, typeSecret } from '../../../src/lib/io/prompts.ts';
import { createTerminal } from '../../../src/lib/io/terminal.ts';
import { createFakeRuntime, type FakeRuntime, type FakeRuntimeOptions } from './fake-runtime.ts';

async function setUp(options: FakeRuntimeOptions) {
  const runtime = createFakeRuntime(options);
  const terminal = await createTerminal(runtime, { color: 'never', quiet: false, verbose: false });
  return { runtime, terminal };
}

/** Resolves once the screen shows the text; fails when it never does. */
async function seen({ screen }: FakeRuntime, text: string, present = true): Promise<void> {
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (screen.text.includes(text) === present) return;
    await new Promise(setImmediate);
  }
  assert.fail(`still on the screen:\n${screen.text}`);
}

const CHOICES = [
  { name: 'desktop-1', value: '1', description: 'running' },
  { name: 'desktop-2', value: '2', description: 'stopped' },
  { name: 'build-server', value: '3' },
];

test('where nobody can be asked a prompt is a usage error', async () => {
  const { terminal } = await setUp({});
  assert.equal(terminal.interactive, false);
  await assert.rejects(terminal.confirm('Stop it?'), { code: 'usage' });
  await assert.rejects(terminal.choose('Which VM?', CHOICES), { code: 'usage' });
});

test('confirm: yes, no, and no by Enter alone', async () => {
  for (const [keys, expected] of [
    ['y\r', true],
    ['n\r', false],
    ['\r', false],
  ] as const) {
    const { runtime, terminal } = await setUp({ terminal: true });
    const answer = terminal.confirm('Stop desktop-1?\x1b[2J');
    await seen(runtime, '? Stop desktop-1?\\x1b[2J (y/N)');
    runtime.type(keys);
    assert.equal(await answer, expected);
    assert.equal(runtime.stdoutText(), '');
  }
});

test('choose: typing narrows the list', async () => {
  const { runtime, terminal } = await setUp({ terminal: true });
  const answer = terminal.choose('Which VM?', CHOICES);
  await seen(runtime, 'build-server');
  runtime.type('stop');
  await seen(runtime, 'desktop-1', false);
  runtime.type('\r');
  assert.equal(await answer, '2');
});

test('choices match by every word, wherever, in any case', () => {
  const names = (term: string | undefined) => matchingChoices(CHOICES, term).map(({ value }) => value);
  assert.deepEqual(names(undefined), ['1', '2', '3']);
  assert.deepEqual(names('DESK'), ['1', '2']);
  assert.deepEqual(names('desk runn'), ['1']);
  assert.deepEqual(names('nothing'), []);
});

test('Ctrl-C in a prompt interrupts', async () => {
  const { runtime, terminal } = await setUp({ terminal: true });
  const answer = terminal.confirm('Stop?');
  const refused = assert.rejects(answer, { code: 'interrupted', exitCode: 130 });
  await seen(runtime, 'Stop?');
  runtime.type('\x03');
  await refused;
});

test('a signal ends a prompt', async () => {
  const { runtime, terminal } = await setUp({ terminal: true });
  const refused = assert.rejects(terminal.confirm('Stop?'), { code: 'terminated', exitCode: 143 });
  await seen(runtime, 'Stop?');
  runtime.interrupt('SIGTERM');
  await refused;
});

test('keys of a secret', () => {
  const cases: [string, string, { line: string; end?: string }][] = [
    ['', 'abc', { line: 'abc' }],
    ['abc', 'd\r', { line: 'abcd', end: 'entered' }],
    ['a😀', '\x7f', { line: 'a' }],
    ['abc', '\x15x\n', { line: 'x', end: 'entered' }],
    ['abc', '\x03', { line: '', end: 'interrupted' }],
    ['', '\x1b', { line: '' }],
  ];
  for (const [line, keys, expected] of cases) assert.deepEqual(typeSecret(line, keys), expected);
});

test('a secret is typed without being shown', async () => {
  const { runtime, terminal } = await setUp({ terminal: true });
  const secret = terminal.secretInput('Password');
  runtime.type('geh');
  runtime.type('eim\r');
  assert.equal(await secret, 'geheim');
  assert.equal(runtime.stderrText(), 'Password: \n');
  assert.equal(runtime.stdin.listenerCount('data'), 0);
});

test('Ctrl-C and signals end a secret', async () => {
  const { runtime, terminal } = await setUp({ terminal: true });
  const typed = terminal.secretInput('Password');
  runtime.type('ge\x03');
  await assert.rejects(typed, { code: 'interrupted' });
  const signalled = terminal.secretInput('Password');
  runtime.interrupt('SIGTERM');
  await assert.rejects(signalled, { code: 'terminated' });
  assert.equal(runtime.stdin.listenerCount('data'), 0);
});

test('without a terminal the secret is the first line of standard input', async () => {
  for (const [input, expected] of [
    ['geheim\n', 'geheim'],
    ['geheim\r\nmore\n', 'geheim'],
    ['geheim', 'geheim'],
    ['pässwörd\n', 'pässwörd'],
    ['', ''],
  ] as const) {
    const { runtime, terminal } = await setUp({ input });
    assert.equal(await terminal.secretInput('Password'), expected);
    assert.equal(runtime.stderrText(), '');
  }
});
