import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { OUTPUT_FORMATS, parseOutputFormat } from '../../../src/lib/output/format.ts';
import { render, type RenderTarget, type View } from '../../../src/lib/output/render.ts';
import { plainPaint } from '../../../src/lib/text.ts';

interface Item {
  name: string;
  state?: string | undefined;
  memoryBytes?: number;
  createdAt?: Date;
}

const VIEW: View<Item> = {
  columns: [
    { header: 'NAME', value: ({ name }) => name },
    { header: 'STATE', value: ({ state }) => state },
  ],
  wideColumns: [{ header: 'MEMORY', value: ({ memoryBytes }) => memoryBytes?.toString(), align: 'right' }],
  name: ({ name }) => `item/${name}`,
};
const ITEMS: Item[] = [
  { name: 'a', state: 'Running', memoryBytes: 1024, createdAt: new Date('2026-11-22T04:53:46.5Z') },
  { name: 'b', state: undefined },
];
const PIPE: RenderTarget = { isScreen: false, columns: undefined, paint: plainPaint };
const SCREEN: RenderTarget = { isScreen: true, columns: 80, paint: plainPaint };

const show = (format: string | undefined, data: Item | Item[] = ITEMS, target = PIPE) =>
  render(parseOutputFormat(format), data, VIEW, target);

test('every format of a list', async () => {
  const cases: [string | undefined, string][] = [
    [undefined, 'NAME   STATE\na      Running\nb      -\n'],
    ['table', 'NAME   STATE\na      Running\nb      -\n'],
    ['wide', 'NAME   STATE     MEMORY\na      Running     1024\nb      -              -\n'],
    ['name', 'item/a\nitem/b\n'],
    [
      'json',
      `[
  {
    "name": "a",
    "state": "Running",
    "memoryBytes": 1024,
    "createdAt": "2026-11-22T04:53:46Z"
  },
  {
    "name": "b"
  }
]
`,
    ],
    [
      'yaml',
      '- name: a\n  state: Running\n  memoryBytes: 1024\n  createdAt: "2026-11-22T04:53:46Z"\n- name: b\n',
    ],
    ['jsonpath={.items[*].name}', 'a b'],
    ['custom-columns=N:.name,S:.state', 'N   S\na   Running\nb   <none>\n'],
    [
      "custom-columns=BOTH:['name','state'],M:{.memoryBytes}",
      'BOTH        M\na,Running   1024\nb           <none>\n',
    ],
  ];
  for (const [format, expected] of cases) assert.equal(await show(format), expected);
});

test('an empty list and a single object', async () => {
  const [first] = ITEMS;
  assert.ok(first);
  const cases: [string, Item | Item[], string][] = [
    ['table', [], ''],
    ['json', [], '[]\n'],
    ['yaml', [], '[]\n'],
    ['name', [], ''],
    ['jsonpath={.items[*].name}', [], ''],
    ['custom-columns=N:.name', [], ''],
    ['table', first, 'NAME   STATE\na      Running\n'],
    ['jsonpath={.name}', first, 'a'],
    ['name', first, 'item/a\n'],
  ];
  for (const [format, data, expected] of cases) assert.equal(await show(format, data), expected, format);
});

test('hostile text is harmless in every format and the machine formats keep its value', async () => {
  const name = 'x\x1b]0;t\x07\x9b2J\u202e\u2028"\\\n\ty';
  const hostile: Item = { name };
  for (const format of [...OUTPUT_FORMATS.slice(0, 5), 'jsonpath={.name}', 'custom-columns=N:.name']) {
    const text = await show(format, [hostile], SCREEN);
    assert.doesNotMatch(text, /[^\P{Cc}\n\t]|[\u2028\u202e]/u, format);
  }
  assert.deepEqual(JSON.parse(await show('json', hostile)), hostile);
  assert.deepEqual(parse(await show('yaml', hostile)), hostile);
  assert.equal(await show('jsonpath={.name}', hostile), name);
});

test('jsonpath on a terminal ends its line, in a pipe it is exact', async () => {
  assert.equal(await show('jsonpath={[0].name}', ITEMS, SCREEN), 'a\n');
  assert.equal(await show('jsonpath={[0].name}{"\\n"}', ITEMS, SCREEN), 'a\n');
  assert.equal(await show('jsonpath={.missing}', ITEMS, SCREEN), '');
});

test('YAML quotes what would be read as something else', async () => {
  for (const text of [
    'yes',
    'no',
    'on',
    '012',
    '0x1f',
    '1e3',
    '1:30',
    '~',
    'null',
    'true',
    '2026-11-22',
    '',
    '- a',
  ]) {
    const yaml = await show('yaml', { name: text });
    assert.match(yaml, /^name: ["'].*["']\n$/, text);
    assert.deepEqual(parse(yaml), { name: text });
  }
  assert.equal(await show('yaml', { name: 'x '.repeat(100).trim() }), `name: ${'x '.repeat(100).trim()}\n`);
});

test('templates and columns from files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'vmop-output-'));
  t.after(() => rm(folder, { recursive: true }));
  const template = join(folder, 'template');
  const columns = join(folder, 'columns');
  await writeFile(template, '{range [*]}{.name}\n{end}');
  await writeFile(columns, 'N    S\n.name .state\n');
  assert.equal(await show(`jsonpath-file=${template}`), 'a\nb\n');
  assert.equal(await show(`custom-columns-file=${columns}`), 'N   S\na   Running\nb   <none>\n');
  await writeFile(columns, 'N S\n.name\n');
  assert.throws(() => parseOutputFormat(`custom-columns-file=${columns}`), { code: 'usage' });
  assert.throws(() => parseOutputFormat(`jsonpath-file=${folder}/none`), {
    code: 'usage',
    message: /ENOENT/,
  });
});

test('unknown formats are usage errors that list the choices', () => {
  for (const format of ['xml', '', 'jsonpath', 'jsonpath=', 'custom-columns', 'go-template={{.a}}', 'JSON']) {
    assert.throws(
      () => parseOutputFormat(format),
      { code: 'usage', hint: /table, wide, json, yaml, name/ },
      format,
    );
  }
  for (const format of [
    'custom-columns=NAME',
    'custom-columns=:.a',
    'custom-columns=A:',
    'custom-columns=A:.a[',
  ]) {
    assert.throws(() => parseOutputFormat(format), { code: 'usage' }, format);
  }
});
