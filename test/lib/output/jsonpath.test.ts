import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJsonPath, parseJsonPathTemplate } from '../../../src/lib/output/jsonpath-parser.ts';
import { fillJsonPathTemplate } from '../../../src/lib/output/jsonpath.ts';
import type { Plain } from '../../../src/lib/output/plain.ts';

const VM: Plain = {
  name: 'desktop-1',
  cpus: 2,
  running: true,
  user: null,
  labels: { 'app.kubernetes.io/name': 'vm', tier: 'a' },
  conditions: [
    { type: 'Running', status: 'True', age: 5 },
    { type: 'Booted', status: 'False', age: 10, reason: 'none' },
  ],
  nested: { a: { b: 'deep' } },
};
const LIST: Plain = [
  { name: 'a', state: 'Running', cpus: 1 },
  { name: 'b', state: 'Stopped', cpus: 4 },
  { name: 'c', cpus: 2 },
];

function fill(template: string, data: Plain): string {
  return fillJsonPathTemplate(parseJsonPathTemplate(template), data);
}

test('templates on one object', () => {
  const cases: [string, string][] = [
    ['{.name}', 'desktop-1'],
    ['.name', 'desktop-1'],
    ['name', 'desktop-1'],
    ['$.name', 'desktop-1'],
    ['{$.name}', 'desktop-1'],
    ['{@.name}', 'desktop-1'],
    ['{.cpus}', '2'],
    ['{.running}', 'true'],
    ['{.user}', ''],
    ['{.missing}', ''],
    ['{.missing.deeper[0].x}', ''],
    ['{.constructor}{.__proto__}{.name.length}', ''],
    ['{.nested}', '{"a":{"b":"deep"}}'],
    ['{.nested.a.b}', 'deep'],
    ["{['nested']['a']['b']}", 'deep'],
    ["{['nested.a.b']}", 'deep'],
    ["{.labels['app.kubernetes.io/name']}", 'vm'],
    ['{.labels["app.kubernetes.io/name"]}', 'vm'],
    ['{.labels.app\\.kubernetes\\.io/name}', 'vm'],
    ["{.labels['app\\.kubernetes\\.io/name']}", 'vm'],
    ['.labels.app\\.kubernetes\\.io/name', 'vm'],
    ['{.labels.*}', 'vm a'],
    ["{['name', 'cpus']}", 'desktop-1 2'],
    ["{.conditions[*]['type', 'status']}", 'Running Booted True False'],
    ['{.conditions[0].type}', 'Running'],
    ['{.conditions[-1].type}', 'Booted'],
    ['{.conditions[-1:].type}', 'Booted'],
    ['{.conditions[7].type}', ''],
    ['{.conditions[*].type}', 'Running Booted'],
    ['{.conditions[0,1].status}', 'True False'],
    ['{.conditions[0:1].type}', 'Running'],
    ['{.conditions[::2].type}', 'Running'],
    ['{.conditions[?(@.type=="Booted")].status}', 'False'],
    ["{.conditions[?(@.type=='Booted')].status}", 'False'],
    ['{.conditions[?( @.type != "Booted" )].status}', 'True'],
    ['{.conditions[?(@.age>5)].type}', 'Booted'],
    ['{.conditions[?(@.age>=5)].type}', 'Running Booted'],
    ['{.conditions[?(@.age<5.5)].type}', 'Running'],
    ['{.conditions[?(@.age<="5")].type}', ''],
    ['{.conditions[?(@.reason)].type}', 'Booted'],
    ['{..type}', 'Running Booted'],
    ['{..b}', 'deep'],
    ['{.name}:{.cpus}', 'desktop-1:2'],
    ['{.name}{"\\t"}{.cpus}{"\\n"}', 'desktop-1\t2\n'],
    ["{.name}{'\\n'}", 'desktop-1\n'],
    ['{.name "-" .cpus}', 'desktop-1-2'],
    ['VM {.name}\\n', 'VM desktop-1\\n'],
    ['{ .name }', 'desktop-1'],
    ['{range .conditions[*]}{.type}={.status};{end}', 'Running=True;Booted=False;'],
    ['{range .conditions[*]}{$.name}/{.type} {end}!', 'desktop-1/Running desktop-1/Booted !'],
    ['{range .missing[*]}{.x}{end}', ''],
    ['{"{}"}', '{}'],
    ['{.name}{"\\""}', 'desktop-1"'],
  ];
  for (const [template, expected] of cases) assert.equal(fill(template, VM), expected, template);
});

test('a list is an array, with or without items', () => {
  const cases: [string, string][] = [
    ['{.items[*].name}', 'a b c'],
    ['{[*].name}', 'a b c'],
    ['{.[*].name}', 'a b c'],
    ['{$[*].name}', 'a b c'],
    ['[*].name', 'a b c'],
    ['{.items[0].name}', 'a'],
    ['{[-1].name}', 'c'],
    ['{..name}', 'a b c'],
    ['{range .items[*]}{.name}{"\\t"}{.state}{"\\n"}{end}', 'a\tRunning\nb\tStopped\nc\t\n'],
    ['{range [*]}{.name},{end}', 'a,b,c,'],
    ['{range .items[?(@.state=="Running")]}{.name}{end}', 'a'],
    ['{[?(@.cpus>1)].name}', 'b c'],
    ['{range [*]}{range [?(@.x)]}{end}{.name}{end}', 'abc'],
    ['{.name}', ''],
  ];
  for (const [template, expected] of cases) assert.equal(fill(template, LIST), expected, template);
  assert.equal(fill('{.items[*].name}', { items: [{ name: 'own' }] }), 'own');
});

test('what cannot be read is a usage error that names the place', () => {
  const cases: [string, RegExp][] = [
    ['{.name', /missing } at character 7/],
    ['{range .items[*]}{.name}', /missing \{end\}/],
    ['{end}', /\{end\} without \{range\}/],
    ['{.a[}', /expected an index/],
    ['{.a[0}', /expected \]/],
    ['{.a[?(@.b=="c" && @.d)]}', /one comparison/],
    ['{.a[?(@.b=~"c")]}', /expected/],
    ['{.a[::0]}', /must be positive/],
    ['{"a}', /missing "/],
    ['{.a..}', /after \.\./],
    ['{=}', /unexpected =/],
    ['.a}b', /unexpected text/],
    ['{.a[?(process.exit())]}', /expected/],
  ];
  for (const [template, message] of cases) {
    assert.throws(() => parseJsonPathTemplate(template), { code: 'usage', message }, template);
  }
  assert.throws(() => parseJsonPath('{.a}{.b}'), { code: 'usage' });
});
