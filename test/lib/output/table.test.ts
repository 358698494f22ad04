import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderTable, type Column } from '../../../src/lib/output/table.ts';

interface Item {
  name: string;
  state?: string;
  count?: number;
}

const COLUMNS: Column<Item>[] = [
  { header: 'NAME', value: ({ name }) => name },
  {
    header: 'STATE',
    value: ({ state }) => state,
    style: (cell) => (cell === 'Running' ? 'good' : undefined),
  },
  { header: 'COUNT', value: ({ count }) => count?.toString(), align: 'right' },
];

const ROWS: Item[] = [
  { name: 'desktop-1', state: 'Running', count: 2 },
  { name: 'd2', count: 128 },
];

test('columns are as wide as their content, numbers stand right', () => {
  assert.equal(
    renderTable(COLUMNS, ROWS),
    ['NAME        STATE     COUNT', 'desktop-1   Running       2', 'd2          -           128', ''].join(
      '\n',
    ),
  );
});

test('no rows, no header', () => {
  assert.equal(renderTable(COLUMNS, []), '');
});

test('no spaces at the end of a line', () => {
  const columns = COLUMNS.slice(0, 2);
  assert.equal(renderTable(columns, [{ name: 'a', state: '' }]), 'NAME   STATE\na\n');
});

test('colours take no width', () => {
  const paint = (role: string, text: string) => `<${role}>${text}</>`;
  assert.equal(
    renderTable(COLUMNS, ROWS.slice(0, 1), { paint }),
    '<header>NAME</>        <header>STATE</>     <header>COUNT</>\ndesktop-1   <good>Running</>       2\n',
  );
});

test('wide characters and marks are counted as a terminal shows them', () => {
  assert.equal(
    renderTable(COLUMNS.slice(0, 2), [
      { name: '東京', state: 'a' },
      { name: 'Mu\u0308ller', state: 'b' },
      { name: '👩‍💻', state: 'c' },
    ]),
    'NAME     STATE\n東京     a\nMu\u0308ller   b\n👩‍💻       c\n',
  );
});

test('control characters in cells are shown, not sent', () => {
  assert.equal(renderTable(COLUMNS.slice(0, 1), [{ name: 'a\x1b[2J\nb' }]), 'NAME\na\\x1b[2J\\nb\n');
});

test('a narrow terminal cuts the flexible column, and the last one without any', () => {
  const rows: Item[] = [{ name: 'a-very-long-name', state: 'Running for days', count: 1 }];
  const twoColumns = COLUMNS.slice(0, 2);
  assert.equal(
    renderTable(twoColumns, rows, { width: 30 }),
    'NAME               STATE\na-very-long-name   Running fo…\n',
  );
  const flexible = twoColumns.map((column, index) => ({ ...column, flexible: index === 0 }));
  assert.equal(
    renderTable(flexible, rows, { width: 30 }),
    'NAME          STATE\na-very-lon…   Running for days\n',
  );
});

test('a cut column keeps its header; what still does not fit is left to the terminal', () => {
  const rows: Item[] = [{ name: 'a-very-long-name', state: 'Running for days' }];
  assert.equal(
    renderTable(COLUMNS.slice(0, 2), rows, { width: 10 }),
    'NAME               STATE\na-very-long-name   Runn…\n',
  );
});

test('clipped lines fit whatever the width', () => {
  const rows: Item[] = [{ name: 'a-very-long-name', state: 'Running', count: 1 }];
  const cases: [number, string][] = [
    [34, 'NAME               STATE     COUNT\na-very-long-name   Running       1\n'],
    [33, 'NAME               STATE     COU…\na-very-long-name   Running      1\n'],
    [26, 'NAME               STATE\na-very-long-name   Running\n'],
    [20, 'NAME               …\na-very-long-name   …\n'],
    [18, 'NAME\na-very-long-name\n'],
    [6, 'NAME\na-ver…\n'],
    [2, 'N…\na…\n'],
  ];
  for (const [width, expected] of cases) {
    assert.equal(renderTable(COLUMNS, rows, { width, clip: true }), expected, String(width));
  }
});

test('ten thousand rows', () => {
  const rows = Array.from({ length: 10_000 }, (_, index) => ({ name: `desktop-${index}`, state: 'Running' }));
  assert.equal(renderTable(COLUMNS, rows).split('\n').length, 10_002);
});
