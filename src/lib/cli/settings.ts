import { existsSync, readFileSync, statSync } from 'node:fs';
import { devNull } from 'node:os';
import path from 'node:path';
import { isObject } from '../cluster/parse.ts';
import {
  DISCONNECT_ACTIONS,
  isValidity,
  LONGEST_VALIDITY_SECONDS,
  TUNNEL_CHOICES,
  type DisconnectAction,
  type TunnelChoice,
} from '../console-choices.ts';
import { messageOf, VmopError } from '../errors.ts';
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
  /** The subject of a VM's certificate. */
  hostSubject?: string;
  /** Whether a console goes through the API server. */
  tunnel?: TunnelChoice;
  /** What becomes of the desktop when its console session ends. */
  onDisconnect?: DisconnectAction;
  /** My name in `spec.permissions`. */
  userName?: string;
  /** Groups → the roles that they are in `spec.permissions`. */
  roles?: Record<string, string>;
}

const oneOf =
  <T extends string>(choices: readonly T[]) =>
  (value: unknown): T | undefined =>
    choices.find((choice) => choice === value);

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
    wants: `a whole number of seconds from 1 to ${LONGEST_VALIDITY_SECONDS}`,
    parse: (value) => (typeof value === 'number' && isValidity(value) ? value : undefined),
  },
  hosts: { wants: 'a map from host to host', parse: map },
  proxy: { wants: 'a URL such as http://proxy:3128', parse: text },
  ca: { wants: 'the path of a PEM file', parse: text },
  tunnel: { wants: TUNNEL_CHOICES.join(' or '), parse: oneOf(TUNNEL_CHOICES) },
  onDisconnect: {
    wants: DISCONNECT_ACTIONS.join(' or '),
    parse: oneOf(DISCONNECT_ACTIONS),
  },
  hostSubject: { wants: 'a subject such as O=example,CN=desktop', parse: text },
  userName: { wants: 'a name', parse: text },
  roles: { wants: 'a map from group to role', parse: map },
};

const isKey = (key: string): key is keyof Settings => Object.hasOwn(PARSERS, key);

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
  const named = env['VMOP_CONFIG'] || undefined;
  const file = named ?? path.join(configFolder(env, platform), 'config.yaml');
  if (named === undefined && !existsSync(file)) return {};
  return parseSettings(file, readText(file), context);
}

function readText(file: string): string {
  try {
    const kind = statSync(file);
    if (kind.isDirectory()) throw new Error('it is a folder');
    // Some never end. /dev/null is how one says that there shall be none.
    if ((kind.isCharacterDevice() || kind.isBlockDevice()) && file !== devNull)
      throw new Error('it is a device');
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new VmopError('usage', `the configuration ${file} cannot be read: ${messageOf(error)}`, {
      hint: 'README.md says where it is looked for, and what it may hold',
      cause: error,
    });
  }
}

export async function parseSettings(file: string, source: string, context: string): Promise<Settings> {
  const { isMap, LineCounter, parseDocument } = await import('yaml');
  const lineCounter = new LineCounter();
  const document = parseDocument(source, { lineCounter });
  const fail = (offset: number, problem: string): VmopError =>
    new VmopError('usage', `${file}:${lineCounter.linePos(offset).line}: ${problem}`, {
      hint: 'README.md lists the keys of config.yaml',
    });
  /** At the line of the key that the path ends with. */
  const failAt = (keys: string[], problem: string): VmopError => {
    const parent: unknown = document.getIn(keys.slice(0, -1), true);
    const pair = isMap(parent) ? parent.items.find(({ key }) => String(key) === keys.at(-1)) : undefined;
    const key: unknown = pair?.key;
    return fail(isObject(key) && Array.isArray(key['range']) ? Number(key['range'][0]) : 0, problem);
  };
  const settings: Settings = {};
  const read = (section: Record<string, unknown>, keys: string[]): void => {
    for (const [key, value] of Object.entries(section)) {
      if (keys.length === 0 && key === 'contexts') continue;
      const where = [...keys, key];
      const name = where.join('.');
      if (!isKey(key))
        throw failAt(where, `unknown key ${name}; known are ${Object.keys(PARSERS).join(', ')}`);
      if (!assign(settings, key, value)) throw failAt(where, `${name} must be ${PARSERS[key].wants}`);
    }
  };
  const [syntax] = document.errors;
  if (syntax) throw fail(syntax.pos[0], syntax.message.split('\n')[0] ?? 'not YAML');
  let root: unknown;
  try {
    root = document.toJS() ?? {};
  } catch (error) {
    // An alias that names nothing, or far too many of them.
    throw fail(source.indexOf('*'), messageOf(error));
  }
  if (!isObject(root)) throw fail(0, 'the file must be a map of keys');
  read(root, []);
  const contexts = root['contexts'] ?? {};
  if (!isObject(contexts)) throw failAt(['contexts'], 'contexts must be a map from context to its keys');
  const section = (Object.hasOwn(contexts, context) ? contexts[context] : undefined) ?? {};
  if (!isObject(section)) throw failAt(['contexts', context], `contexts.${context} must be a map`);
  read(section, ['contexts', context]);
  return settings;
}
