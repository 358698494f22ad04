import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createTerminal, isOutputClosed } from '../../../src/lib/io/terminal.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { createFakeRuntime, type FakeRuntimeOptions } from './fake-runtime.ts';

async function setUp(options: FakeRuntimeOptions = {}, flags: { quiet?: boolean; verbose?: boolean } = {}) {
  const runtime = createFakeRuntime(options);
  const terminal = await createTerminal(runtime, { color: 'auto', quiet: false, verbose: false, ...flags });
  return { runtime, terminal };
}

test('data goes to stdout, everything else to stderr', async () => {
  const { runtime, terminal } = await setUp();
  await terminal.out('data\n');
  terminal.info('started');
  terminal.note('uses the sandbox');
  terminal.warn('old');
  terminal.detail('GET /');
  terminal.error('error: failed');
  assert.equal(runtime.stdoutText(), 'data\n');
  assert.equal(runtime.stderrText(), 'started\nnote: uses the sandbox\nwarning: old\nerror: failed\n');
});

test('quiet keeps warnings and errors, verbose adds details', async () => {
  const quiet = await setUp({}, { quiet: true, verbose: true });
  quiet.terminal.info('started');
  quiet.terminal.note('hm');
  const progress = quiet.terminal.progress();
  progress.step('connecting');
  progress.row('desktop-1', 'starting');
  progress.done('done');
  quiet.terminal.warn('old');
  quiet.terminal.detail('GET /');
  quiet.terminal.error('failed');
  assert.equal(quiet.runtime.stderrText(), 'warning: old\nGET /\nfailed\n');
});

test('lines on stderr are sanitized and keep their line ends', async () => {
  const { runtime, terminal } = await setUp();
  terminal.info('first\nsecond \x1b[31m');
  assert.equal(runtime.stderrText(), 'first\nsecond \\x1b[31m\n');
});

test('colours', async () => {
  const cases: [FakeRuntimeOptions, 'auto' | 'never', boolean][] = [
    [{ terminal: true }, 'auto', true],
    [{ terminal: true }, 'never', false],
    [{ terminal: true, env: { NO_COLOR: '1' } }, 'auto', false],
    [{ terminal: true, env: { NO_COLOR: '' } }, 'auto', true],
    [{ terminal: true, env: { TERM: 'dumb' } }, 'auto', false],
    [{ terminal: true, env: { FORCE_COLOR: '0' } }, 'auto', false],
    [{ env: {} }, 'auto', false],
    [{ env: { FORCE_COLOR: '1' } }, 'auto', true],
    [{ env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, 'auto', true],
    [{ env: { FORCE_COLOR: '1' } }, 'never', false],
  ];
  for (const [options, color, expected] of cases) {
    const runtime = createFakeRuntime(options);
    const terminal = await createTerminal(runtime, { color, quiet: false, verbose: false });
    terminal.warn('hot');
    const painted = terminal.paint('good', 'yes');
    assert.equal(painted, expected ? '\x1b[32myes\x1b[39m' : 'yes', JSON.stringify(options));
    assert.equal(
      runtime.stderrText(),
      expected ? '\x1b[33mwarning: hot\x1b[39m\n' : 'warning: hot\n',
      JSON.stringify(options),
    );
  }
});

test('a terminal knows its width, a pipe has none', async () => {
  const { terminal } = await setUp({ terminal: true, columns: 120 });
  assert.equal(terminal.columns, 120);
  assert.equal(terminal.isScreen, true);
  const pipe = await setUp();
  assert.equal(pipe.terminal.columns, undefined);
  assert.equal(pipe.terminal.isScreen, false);
});

function failingStream(code: string): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error(`write ${code}`), { code }));
    },
  });
}

test('a reader that is gone ends the output quietly', async () => {
  const runtime = { ...createFakeRuntime(), stdout: failingStream('EPIPE') };
  const terminal = await createTerminal(runtime, { color: 'auto', quiet: false, verbose: false });
  await assert.rejects(terminal.out('a\n'), isOutputClosed);
  await assert.rejects(terminal.out('b\n'), { exitCode: 0 });
  assert.equal(terminal.outputClosed.aborted, true);
});

test('a full disk is an error', async () => {
  const runtime = { ...createFakeRuntime(), stdout: failingStream('ENOSPC') };
  const terminal = await createTerminal(runtime, { color: 'auto', quiet: false, verbose: false });
  await assert.rejects(
    terminal.out('a\n'),
    (error) => error instanceof VmopError && error.code === 'failed' && /ENOSPC/.test(error.message),
  );
  assert.equal(terminal.outputClosed.aborted, false);
});

test('nobody reading stderr is no failure', async () => {
  const runtime = { ...createFakeRuntime(), stderr: failingStream('EPIPE') };
  const terminal = await createTerminal(runtime, { color: 'auto', quiet: false, verbose: false });
  terminal.info('unheard');
  await terminal.out('data\n');
  assert.equal(runtime.stdoutText(), 'data\n');
});

test('out waits for a slow reader', async () => {
  let release = (): void => undefined;
  const slow = new Writable({ write: (_chunk, _encoding, done) => void (release = done) });
  const runtime = { ...createFakeRuntime(), stdout: slow };
  const terminal = await createTerminal(runtime, { color: 'auto', quiet: false, verbose: false });
  let written = false;
  const writing = terminal.out('data\n').then(() => (written = true));
  await new Promise(setImmediate);
  assert.equal(written, false);
  release();
  await writing;
});

test('progress elsewhere than on a terminal is a line per change', async () => {
  const { runtime, terminal } = await setUp();
  const progress = terminal.progress();
  progress.step('rotating the password');
  progress.step('rotating the password');
  progress.row('desktop-1', 'starting');
  progress.row('desktop-1', 'starting');
  progress.row('desktop-1', 'running', 'good');
  progress.done('opened');
  progress.step('late');
  assert.equal(
    runtime.stderrText(),
    'rotating the password\ndesktop-1: starting\ndesktop-1: running\nopened\n',
  );
});

test('progress on a terminal moves and leaves nothing but its last word', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { runtime, terminal } = await setUp({ terminal: true, columns: 30 });
  const { screen } = runtime;
  const progress = terminal.progress();
  progress.step('rotating the password');
  assert.equal(screen.text, '- rotating the password');
  assert.equal(screen.cursorVisible, false);
  progress.step('waiting for the runner to confirm it');
  t.mock.timers.tick(100);
  assert.equal(screen.text, '- waiting for the runner to c…');
  t.mock.timers.tick(125);
  assert.equal(screen.text, '\\ waiting for the runner to c…');
  terminal.warn('slow');
  assert.equal(screen.text, 'warning: slow\n\\ waiting for the runner to c…');
  await terminal.out('data\n');
  assert.equal(screen.text, 'warning: slow\ndata\n\\ waiting for the runner to c…');
  progress.done('opened');
  assert.equal(screen.text, 'warning: slow\ndata\nopened');
  assert.equal(screen.cursorVisible, true);
  assert.equal(runtime.exit(), 0);
});

test('rows of many things move at once, as many as fit', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { runtime, terminal } = await setUp({ terminal: true, rows: 6 });
  const progress = terminal.progress();
  for (const name of ['a', 'b', 'c', 'd']) progress.row(name, 'starting');
  progress.row('d', 'running', 'good');
  progress.step('1 of 4');
  t.mock.timers.tick(100);
  assert.equal(runtime.screen.text, '… and 1 more\nb: starting\nc: starting\nd: running\n- 1 of 4');
  progress.done('all run');
  assert.equal(runtime.screen.textWithScrollback, 'all run');
});

test('of two moving things the last one is shown, then the first one again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { runtime, terminal } = await setUp({ terminal: true });
  const outer = terminal.progress();
  outer.step('outer');
  const inner = terminal.progress();
  inner.step('inner');
  outer.step('outer again');
  assert.equal(runtime.screen.text, '- inner');
  inner.done();
  assert.equal(runtime.screen.text, '- outer again');
  terminal.close();
  assert.equal(runtime.screen.text, '');
  assert.equal(runtime.screen.cursorVisible, true);
});

test('whoever has the screen for a while has it alone', async (t) => {
  const { runtime, terminal } = await setUp({ terminal: true });
  t.after(() => terminal.close());
  const progress = terminal.progress();
  progress.step('asking');
  await terminal.lend(async () => {
    runtime.stderr.write('Code? ');
    const another = terminal.progress();
    another.step('waiting');
    progress.step('still asking');
    assert.equal(runtime.screen.text.trim(), 'Code?');
    another.done();
    assert.equal(runtime.screen.text.trim(), 'Code?');
    runtime.stderr.write('123\n');
  });
  assert.equal(runtime.screen.text.trim(), 'Code? 123\n- still asking');
  progress.done();
});

test('the cursor comes back when the process exits in between', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { runtime, terminal } = await setUp({ terminal: true });
  terminal.progress().step('waiting');
  assert.equal(runtime.screen.cursorVisible, false);
  runtime.exit();
  assert.equal(runtime.screen.cursorVisible, true);
  terminal.close();
});
