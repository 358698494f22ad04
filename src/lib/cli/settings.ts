import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { asObject, isObject } from '../cluster/parse.ts';
import { VmopError } from '../errors.ts';
import type { Runtime } from '../io/runtime.ts';
import { configFolder } from './paths.ts';

/** What `config.yaml` may hold, at its top and per context below `contexts`; README.md documents the keys. */
export interface Settings {
  viewer?: string;
  viewerArgs?: string[];
  validitySeconds?: number;
  /** Host names or addresses of the cluster → what reaches them from here. */
  hosts?: Record<string, string>;
  proxy?: string;
  /** A PEM file. */
  ca?: string;
  /** My name in `spec.permissions`. */
  userName?: string;
  /** Groups → the roles that they are in `spec.permissions`. */
  roles?: Record<string, string>;
}

type Parsers = {
  [K in keyof Settings]-?: { wants: string; parse: (value: unknown) => Settings[K] | undefined };
};

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

const map = (value: unknown): Record<string, string> | undefined => {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value).flatMap(([key, entry]) =>
    typeof entry === 'string' ? [[key, entry]] : [],
  );
  return entries.length === Object.keys(value).length ? Object.fromEntries(entries) : undefined;
};

const PARSERS: Parsers = {
  viewer: { wants: 'a command', parse: text },
  viewerArgs: {
    wants: 'a list of arguments',
    parse: (value) =>
      Array.isArray(value) && value.every((entry) => typeof entry === 'string') ? value : undefined,
  },
  validitySeconds: {
    wants: 'a whole number of seconds from 1 to 86400',
    parse: (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 86_400
        ? value
        : undefined,
  },
  hosts: { wants: 'a map from host to host', parse: map },
  proxy: { wants: 'a URL such as http://proxy:3128', parse: text },
  ca: { wants: 'the path of a PEM file', parse: text },
  userName: { wants: 'a name', parse: text },
  roles: { wants: 'a map from group to role', parse: map },
};

const isKey = (key: string): key is keyof Settings => key in PARSERS;

/** Puts one key of the file into `settings`; false when its value does not fit. */
function assign(settings: Settings, key: keyof Settings, value: unknown): boolean {
  const parsed = PARSERS[key].parse(value);
  if (parsed !== undefined) Object.assign(settings, { [key]: parsed });
  return parsed !== undefined;
}

/**
 * The settings for a context of the kubeconfig: its own section over the top of the file.
 * Errors: `usage` naming file, line and key.
 */
export async function loadSettings(
  { env, platform }: Pick<Runtime, 'env' | 'platform'>,
  context: string,
): Promise<Settings> {
  const file = env['VMOP_CONFIG'] || path.join(configFolder(env, platform), 'config.yaml');
  if (!existsSync(file)) return {};
  return parseSettings(file, readFileSync(file, 'utf8'), context);
}

export async function parseSettings(file: string, source: string, context: string): Promise<Settings> {
  const { LineCounter, parseDocument } = await import('yaml');
  const lineCounter = new LineCounter();
  const document = parseDocument(source, { lineCounter });
  const [syntax] = document.errors;
  const fail = (keys: string[], problem: string): VmopError => {
    const node: unknown = keys.length > 0 ? document.getIn(keys, true) : undefined;
    const range = isObject(node) && Array.isArray(node['range']) ? Number(node['range'][0]) : 0;
    const { line } = lineCounter.linePos(syntax?.pos[0] ?? range);
    return new VmopError('usage', `${file}:${line}: ${problem}`, {
      hint: 'README.md lists the keys of config.yaml',
    });
  };
  if (syntax) throw fail([], syntax.message.split('\n')[0] ?? 'not YAML');
  const root: unknown = document.toJS() ?? {};
  if (!isObject(root)) throw fail([], 'the file must be a map of keys');
  const settings: Settings = {};
  const read = (section: Record<string, unknown>, keys: string[]): void => {
    for (const [key, value] of Object.entries(section)) {
      const where = [...keys, key];
      if (keys.length === 0 && key === 'contexts') continue;
      if (!isKey(key))
        throw fail(where, `unknown key ${where.join('.')}; known are ${Object.keys(PARSERS).join(', ')}`);
      if (!assign(settings, key, value))
        throw fail(where, `${where.join('.')} must be ${PARSERS[key].wants}`);
    }
  };
  read(root, []);
  const contexts = root['contexts'] ?? {};
  if (!isObject(contexts)) throw fail(['contexts'], 'contexts must be a map from context to its keys');
  if (contexts[context] !== undefined) {
    if (!isObject(contexts[context])) throw fail(['contexts', context], `contexts.${context} must be a map`);
    read(asObject(contexts[context]), ['contexts', context]);
  }
  return settings;
}
