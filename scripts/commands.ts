/**
 * Writes src/commands/index.ts, oclif.manifest.json and README's list of commands from the files in src/commands;
 * `--check` only compares.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from '@oclif/core';
import * as prettier from 'prettier';

const root = path.join(import.meta.dirname, '..');
const INDEX = 'src/commands/index.ts';
const MANIFEST = 'oclif.manifest.json';
const README = 'README.md';

const files = globSync('src/commands/**/*.ts', { cwd: root })
  .filter((file) => file !== INDEX)
  .sort();
const idOf = (file: string): string =>
  file
    .replace(/^src\/commands\//, '')
    .replace(/\.ts$/, '')
    .replaceAll('/', ':');

async function indexText(): Promise<string> {
  const lines = files.map((file) => {
    const module = file.replace('src/commands/', './');
    return `  '${idOf(file)}': () => import('${module}'),`;
  });
  const source = `// Made by \`npm run commands\`: every command, loaded when it runs.
import type { CommandLoaders } from '../lib/cli/plugin.ts';

export const COMMANDS: CommandLoaders = {
${lines.join('\n')}
};
`;
  const options = await prettier.resolveConfig(path.join(root, INDEX));
  return prettier.format(source, { ...options, parser: 'typescript' });
}

const classes: Record<string, Command.Class> = {};
for (const file of files) {
  const module: { default: Command.Class } = await import(pathToFileURL(path.join(root, file)).href);
  classes[idOf(file)] = module.default;
}

async function readmeText(): Promise<string> {
  const rows = Object.entries(classes)
    .filter(([, command]) => !command.hidden)
    .map(([id, { summary, args }]) => {
      const names = Object.entries(args ?? {}).map(
        ([name, arg]) => name.toUpperCase() + (arg.multiple ? '...' : ''),
      );
      return `| \`${['vmop', id.replaceAll(':', ' '), ...names].join(' ')}\` | ${summary ?? ''} |`;
    });
  const table = ['| command | what it does |', '|---|---|', ...rows].join('\n');
  const text = readFileSync(path.join(root, README), 'utf8');
  const between = /(<!-- commands: [^\n]* -->\n)[^]*?(<!-- \/commands -->)/;
  const options = await prettier.resolveConfig(path.join(root, README));
  return prettier.format(text.replace(between, `$1\n${table}\n\n$2`), { ...options, parser: 'markdown' });
}

async function manifestText(): Promise<string> {
  // oclif keeps the function that makes a manifest's entry to itself; its own tool would need a compiled tree.
  const core = path.dirname(createRequire(import.meta.url).resolve('@oclif/core'));
  const { cacheCommand } = await import(pathToFileURL(path.join(core, 'util/cache-command.js')).href);
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const commands: Record<string, unknown> = {};
  for (const [id, command] of Object.entries(classes)) {
    command.id = id;
    commands[id] = await cacheCommand(command, { name: 'vmop', alias: 'vmop', type: 'core' }, true);
  }
  return `${JSON.stringify({ commands, version }, undefined, 2)}\n`;
}

const check = process.argv.includes('--check');
let drifted = false;
for (const [file, text] of [
  [INDEX, await indexText()],
  [MANIFEST, await manifestText()],
  [README, await readmeText()],
] as const) {
  const target = path.join(root, file);
  let current = '';
  try {
    current = readFileSync(target, 'utf8');
  } catch {
    // Not there yet.
  }
  if (current === text) continue;
  if (check) {
    process.stderr.write(`${file} is not what src/commands says: run npm run commands\n`);
    drifted = true;
  } else {
    writeFileSync(target, text);
    process.stderr.write(`wrote ${file}\n`);
  }
}
process.exitCode = drifted ? 1 : 0;
