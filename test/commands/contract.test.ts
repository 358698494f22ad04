import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { asArray, asObject, parseJson } from '../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../src/lib/cluster/types.ts';
import { startFakeSpice, type FakeSpice } from '../e2e/fake-spice.ts';
import { assertGolden } from './golden.ts';
import { commandSuite } from './suite.ts';

const MANIFEST = path.join(import.meta.dirname, '../../oclif.manifest.json');

const suite = commandSuite(
  {
    pools: [{ name: 'desks', spec: { permissions: [{ user: 'admin', may: ['*'] }] } }],
    vms: [
      {
        name: 'rich',
        spec: {
          pools: ['desks'],
          permissions: [
            { user: 'alice', may: ['start'] },
            { role: 'staff', may: ['*'] },
          ],
          vm: {
            state: 'Running',
            maximumRam: 'lots',
            display: { loggedInUser: 'alice', spice: { server: 'desk', proxyUrl: 'http://proxy' } },
          },
        },
        status: { assignment: { pool: 'desks', user: 'alice' } },
      },
      { name: 'held', spec: { vm: { state: 'Running', currentCpus: 1 } } },
    ],
  },
  async (sandbox) => {
    await sandbox.waitFor('rich', ({ status }) => status.loggedInUser === 'alice');
    await sandbox.patchStatus('rich', { consoleUser: 'alice', ram: '1Gi' });
    sandbox.driver.machine('rich')?.connectConsole('10.0.0.7');
    await sandbox.waitFor('rich', ({ status }) => status.consoleClient !== undefined);
    await sandbox.waitFor('held', ({ status }) => status.runnerVersion !== undefined);
    spice = await startFakeSpice('accepts');
  },
);
let spice: FakeSpice | undefined;
after(async () => await spice?.close());
/** Stands for the way to a display that answers. */
const DISPLAY = 'DISPLAY';

/** Lines that together show every field that a command's JSON can have. */
const LINES: Record<string, string[]> = {
  console: [
    `console rich --file console.vv --take ${DISPLAY}`,
    `console --check rich ${DISPLAY}`,
    'console --check rich --host 127.0.0.1 --port 1 --proxy none --tunnel never',
    `console --check rich held ${DISPLAY}`,
  ],
  'can-i': ['can-i start rich', 'can-i --list rich'],
  list: ['list'],
  login: ['login rich -u alice', 'login rich nope -u alice'],
  logout: ['logout rich --dry-run'],
  'permissions:grant': [
    'permissions grant rich --user carol --may start',
    'permissions grant held --role r --may start',
  ],
  'permissions:list': ['permissions list'],
  'permissions:revoke': ['permissions revoke rich --user carol', 'permissions revoke held --role r'],
  reset: ['reset rich --yes'],
  restart: ['restart held --dry-run'],
  'secret:expire': ['secret expire rich'],
  'secret:rotate': ['secret rotate rich --reveal', 'secret rotate held'],
  'secret:set': ['secret set rich'],
  'secret:show': ['secret show rich --reveal'],
  show: ['show rich', 'show held'],
  start: ['start rich'],
  stop: ['stop rich --dry-run'],
  wait: ['wait rich --for running'],
  whoami: ['whoami'],
};

const ERRORS = ['start nope', 'list --nope'];

/** `a.b[].c: number` for everything in a JSON value; `guestOs` and the like are maps whose keys are not ours. */
function fieldsOf(value: unknown, prefix: string, fields: Set<string>): Set<string> {
  if (Array.isArray(value)) {
    for (const item of asArray(value)) fieldsOf(item, `${prefix}[]`, fields);
    return fields;
  }
  if (typeof value !== 'object' || value === null) return fields.add(`${prefix}: ${typeof value}`);
  if (prefix.endsWith('guestOs')) return fields.add(`${prefix}: map`);
  for (const [key, item] of Object.entries(value))
    fieldsOf(item, prefix === '' ? key : `${prefix}.${key}`, fields);
  return fields;
}

async function fieldsOfLines(lines: readonly string[]): Promise<string[]> {
  const fields = new Set<string>();
  for (const line of lines) {
    const display = `--host 127.0.0.1 --port ${spice?.port} --proxy none`;
    const folder = suite.sandbox.folder;
    const whole = line.replace(DISPLAY, display).replace('console.vv', `${folder}/console.vv`);
    const { stdout } = await suite.run(`${whole} --json`, { input: 'chosen\n' });
    fieldsOf(parseJson(stdout), '', fields);
  }
  return [...fields].sort();
}

/** The commands that people are told of. */
async function listedCommands(): Promise<[string, JsonObject][]> {
  const { commands } = asObject(parseJson(await readFile(MANIFEST, 'utf8')));
  return Object.entries(asObject(commands)).flatMap(([id, value]) => {
    const command = asObject(value);
    return command['hidden'] === true ? [] : [[id, command]];
  });
}

test('commands, arguments and flags', async () => {
  const commands = (await listedCommands()).map(([id, { args, flags, aliases }]) => ({
    name: id.replaceAll(':', ' '),
    aliases: asArray(aliases),
    args: Object.entries(asObject(args)).map(([name, arg]) => `${name}${described(arg)}`),
    flags: Object.entries(asObject(flags)).map(([name, flag]) => `--${name}${described(flag)}`),
  }));
  const [first] = commands;
  const everywhere = first?.flags.filter((flag) => commands.every(({ flags }) => flags.includes(flag))) ?? [];
  const text = commands.map(({ name, aliases, args, flags }) =>
    [[name, ...aliases].join(', '), ...args, ...flags.filter((flag) => !everywhere.includes(flag))].join(
      '\n  ',
    ),
  );
  assertGolden(
    'contract-commands.txt',
    `${[['every command', ...everywhere].join('\n  '), ...text].join('\n\n')}\n`,
    [],
  );
});

/** What of an argument or a flag scripts rely on. */
function described(value: unknown): string {
  const { char, type, multiple, allowNo, required, env, ...rest } = asObject(value);
  return [
    typeof char === 'string' ? `, -${char}` : '',
    type === 'boolean' ? '' : ' VALUE',
    multiple === true ? '...' : '',
    allowNo === true ? ', or --no-' : '',
    required === true ? ', required' : '',
    typeof rest['default'] === 'string' || rest['default'] === true
      ? `, default ${String(rest['default'])}`
      : '',
    typeof env === 'string' ? `, $${env}` : '',
  ].join('');
}

test('fields of JSON results and errors', async () => {
  const fields: Record<string, string[]> = { error: await fieldsOfLines(ERRORS) };
  for (const [id, lines] of Object.entries(LINES))
    fields[id.replaceAll(':', ' ')] = await fieldsOfLines(lines);
  assertGolden('contract-json.json', `${JSON.stringify(fields, undefined, 2)}\n`, []);
});

// The sandbox is a process of its own, access the RBAC of a real API server: their tests are elsewhere.
test('every other command is asked for its result here', async () => {
  const ids = (await listedCommands()).map(([id]) => id);
  assert.deepEqual(
    ids.filter((id) => !(id in LINES) && !/^(?:access|sandbox):/.test(id)),
    [],
  );
});
