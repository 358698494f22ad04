import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTerminal } from '../../../src/lib/io/terminal.ts';
import { parseOutputFormat } from '../../../src/lib/output/format.ts';
import { createLiveView, type LiveOptions } from '../../../src/lib/output/live.ts';
import type { View } from '../../../src/lib/output/render.ts';
import { createFakeRuntime, type FakeRuntimeOptions } from '../io/fake-runtime.ts';

interface Item {
  name: string;
  state: string;
}

const VIEW: View<Item> = {
  columns: [
    { header: 'NAME', value: ({ name }) => name },
    { header: 'STATE', value: ({ state }) => state },
  ],
  name: ({ name }) => name,
};

const item = (name: string, state = 'Running'): Item => ({ name, state });

async function setUp(
  t: TestContext,
  options: FakeRuntimeOptions,
  live: Partial<LiveOptions<Item>> & { output?: string } = {},
) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const runtime = createFakeRuntime(options);
  const terminal = await createTerminal(runtime, { color: 'never', quiet: false, verbose: false });
  const { output, ...rest } = live;
  const format = parseOutputFormat(output);
  const view = createLiveView({ format, view: VIEW, target: terminal, key: ({ name }) => name, ...rest });
  return { runtime, terminal, view, screen: runtime.screen };
}

test('on a terminal the table changes in place', async (t) => {
  const { runtime, terminal, view, screen } = await setUp(t, { terminal: true });
  terminal.info('before');
  await view.update([item('a'), item('b')]);
  assert.equal(screen.text, 'before\nNAME   STATE\na      Running\nb      Running');
  assert.equal(screen.cursorVisible, false);
  await view.upsert(item('a', 'Stopped'));
  await view.upsert(item('c', 'Starting'));
  t.mock.timers.tick(100);
  assert.equal(screen.text, 'before\nNAME   STATE\na      Stopped\nb      Running\nc      Starting');
  await view.remove('a');
  await view.remove('b');
  t.mock.timers.tick(100);
  terminal.note('the watch was interrupted');
  assert.equal(screen.text, 'before\nnote: the watch was interrupted\nNAME   STATE\nc      Starting');
  await view.upsert(item('c', 'Running'));
  view.end();
  view.end();
  assert.equal(screen.text, 'before\nnote: the watch was interrupted\nNAME   STATE\nc      Running');
  assert.equal(screen.cursorVisible, true);
  assert.equal(runtime.stdout.listenerCount('resize'), 0);
  assert.equal(runtime.exit(), 0);
});

test('many changes are one drawing', async (t) => {
  const { runtime, view } = await setUp(t, { terminal: true });
  await view.update([item('a')]);
  const before = runtime.stdoutText().length;
  for (let index = 0; index < 1000; index += 1) await view.upsert(item('a', `state ${index}`));
  assert.equal(runtime.stdoutText().length, before);
  t.mock.timers.tick(100);
  assert.equal(runtime.screen.text, 'NAME   STATE\na      state 999');
  assert.ok(runtime.stdoutText().length < before + 200);
  view.end();
});

test('more rows than the screen has', async (t) => {
  const { view, screen } = await setUp(t, { terminal: true, rows: 6 });
  await view.update(['a', 'b', 'c', 'd'].map((name) => item(name)));
  assert.equal(screen.text.split('\n').length, 5);
  await view.update(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => item(name)));
  t.mock.timers.tick(100);
  const expected = 'NAME   STATE\na      Running\nb      Running\nc      Running\n… and 3 more';
  assert.equal(screen.textWithScrollback, expected);
  view.end();
  assert.equal(screen.textWithScrollback, expected);
});

test('lines never break, also after the terminal became narrower', async (t) => {
  const { runtime, view, screen } = await setUp(t, { terminal: true, columns: 40 });
  await view.update([item('desktop-1', 'Running for a very long time, really')]);
  assert.equal(screen.text, 'NAME        STATE\ndesktop-1   Running for a very long tim…');
  runtime.resize(20, 24);
  assert.equal(screen.text, 'NAME        STATE\ndesktop-1   Running…');
  runtime.resize(10, 24);
  assert.equal(screen.text, 'NAME\ndesktop-1');
  runtime.resize(40, 24);
  assert.equal(screen.text, 'NAME        STATE\ndesktop-1   Running for a very long tim…');
  view.end();
});

test('rows are kept in order, and ages move on by themselves', async (t) => {
  let age = 1;
  const view: View<Item> = {
    ...VIEW,
    columns: [VIEW.columns[0] ?? assert.fail(), { header: 'AGE', value: () => `${age}s` }],
  };
  const { view: live, screen } = await setUp(
    t,
    { terminal: true },
    { view, compare: (a, b) => a.name.localeCompare(b.name) },
  );
  await live.upsert(item('b'));
  await live.upsert(item('a'));
  age = 2;
  t.mock.timers.tick(1000);
  assert.equal(screen.text, 'NAME   AGE\na      2s\nb      2s');
  live.end();
});

test('elsewhere each change appends a row, with the widths of the first ones', async (t) => {
  const { runtime, view } = await setUp(t, {}, { gone: ({ name }) => item(name, 'Deleted') });
  await view.update([item('desktop-1'), item('b')]);
  await view.upsert(item('b', 'Stopped'));
  await view.upsert(item('b', 'Stopped'));
  await view.upsert(item('desktop-1000000', 'Running'));
  await view.remove('b');
  await view.remove('b');
  await view.update([item('desktop-1'), item('new')]);
  view.end();
  assert.equal(
    runtime.stdoutText(),
    [
      'NAME        STATE',
      'desktop-1   Running',
      'b           Running',
      'b           Stopped',
      'desktop-1000000   Running',
      'b           Deleted',
      'desktop-1000000   Deleted',
      'new         Running',
      '',
    ].join('\n'),
  );
});

test('without a word for it, a removed row prints nothing', async (t) => {
  const { runtime, view } = await setUp(t, {});
  await view.update([item('a')]);
  await view.remove('a');
  await view.upsert(item('a'));
  assert.equal(runtime.stdoutText(), 'NAME   STATE\na      Running\na      Running\n');
});

test('machine formats append one document per change, on a terminal too', async (t) => {
  const cases: [string, string][] = [
    ['json', '{"name":"a","state":"Running"}\n{"name":"a","state":"Stopped"}\n'],
    ['yaml', '---\nname: a\nstate: Running\n---\nname: a\nstate: Stopped\n'],
    ['name', 'a\n'],
    ['jsonpath={.state}{"\\n"}', 'Running\nStopped\n'],
  ];
  for (const terminal of [true, false]) {
    for (const [output, expected] of cases) {
      t.mock.timers.reset();
      const { runtime, view } = await setUp(t, { terminal }, { output });
      await view.update([item('a')]);
      await view.upsert(item('a', 'Stopped'));
      await view.upsert(item('a', 'Stopped'));
      view.end();
      assert.equal(runtime.stdoutText(), expected, output);
    }
  }
});

test('custom columns are a table', async (t) => {
  const { runtime, view } = await setUp(t, {}, { output: 'custom-columns=N:.name,X:.x' });
  await view.update([item('a')]);
  assert.equal(runtime.stdoutText(), 'N   X\na   <none>\n');
});

test('changes that nobody waits for are written in order', async (t) => {
  const { runtime, view } = await setUp(t, {}, { output: 'yaml' });
  await Promise.all([view.update([item('a')]), view.upsert(item('b')), view.upsert(item('c'))]);
  assert.equal(
    runtime
      .stdoutText()
      .match(/name: ./g)
      ?.join(),
    'name: a,name: b,name: c',
  );
});
