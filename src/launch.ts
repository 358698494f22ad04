/**
 * Runs the bundle with V8's code cache: the functions that earlier runs used need not be parsed and compiled again,
 * which takes a fifth off the time of `vmop list`. Node's own compile cache keeps only what is compiled before a file
 * runs, a few functions. docs/adr/0006-start-up.md has the figures.
 */
import { hash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import path from 'node:path';
import { Script } from 'node:vm';
import { cacheFolder } from './lib/cli/paths.ts';

/** Names what is in the bundle; scripts/build.ts puts it in. V8 itself compares only the length of a file. */
declare const BUILD: string;

const DIGEST = 'sha1';
const DIGEST_BYTES = 20;

/** Code of other versions of vmop or Node that has not been used for so long is thrown away. */
const MAX_AGE_MS = 30 * 24 * 3600_000;

interface LoadedFile {
  script: Script;
  module: { exports: unknown };
}

/** Runs `entry`, a file of the bundle, and returns its exports. `nodeRequire` gets Node's own modules. */
export function launch(entry: string, nodeRequire: (name: string) => unknown): unknown {
  const all = path.join(cacheFolder(process.env, process.platform), 'code');
  const folder = path.join(all, `${process.version}-${process.arch}-${BUILD}`);
  const usable = isPrivate(folder);
  const loaded = new Map<string, LoadedFile>();
  let complete = true;

  const load = (file: string): unknown => {
    const known = loaded.get(file);
    if (known) return known.module.exports;
    const cachedData = usable ? readCode(codeFile(folder, file)) : undefined;
    const script = new Script(readFileSync(file, 'latin1'), {
      filename: file,
      ...(cachedData ? { cachedData } : {}),
    });
    if (cachedData === undefined || script.cachedDataRejected === true) complete = false;
    const module = { exports: {} };
    loaded.set(file, { script, module });
    const body: unknown = script.runInThisContext();
    if (typeof body !== 'function') throw new TypeError(`${file} is no part of the bundle`);
    const here = path.dirname(file);
    const require = (name: string): unknown =>
      name.startsWith('.') ? load(path.join(here, name)) : nodeRequire(name);
    Reflect.apply(body, undefined, [module.exports, require, module, file, here]);
    return module.exports;
  };

  // Only now is it known which functions are used. A file that ran for the first time used functions of the others.
  process.once('exit', () => {
    if (!complete) storeCode(all, folder, loaded);
  });
  return load(entry);
}

function codeFile(folder: string, file: string): string {
  return path.join(folder, `${path.basename(file)}.code`);
}

/** Whether nobody else can put code into the folder. */
function isPrivate(folder: string): boolean {
  let stats: Stats;
  try {
    stats = statSync(folder);
  } catch {
    return false;
  }
  return process.getuid === undefined || (stats.uid === process.getuid() && (stats.mode & 0o022) === 0);
}

/** V8 checks neither whether the code is whole nor what is in it, so it has its digest before it. */
function readCode(file: string): Buffer | undefined {
  try {
    const stored = readFileSync(file);
    const code = stored.subarray(DIGEST_BYTES);
    return hash(DIGEST, code, 'buffer').equals(stored.subarray(0, DIGEST_BYTES)) ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Each file is there whole or not at all. What cannot be stored is compiled again next time. */
function storeCode(all: string, folder: string, loaded: Map<string, LoadedFile>): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!isPrivate(folder)) return;
    for (const [file, { script }] of loaded) {
      const code = script.createCachedData();
      const target = codeFile(folder, file);
      writeFileSync(`${target}.${process.pid}`, Buffer.concat([hash(DIGEST, code, 'buffer'), code]), {
        mode: 0o600,
      });
      renameSync(`${target}.${process.pid}`, target);
    }
    for (const other of readdirSync(all)) {
      const old = path.join(all, other);
      if (statSync(old).mtimeMs < Date.now() - MAX_AGE_MS) rmSync(old, { recursive: true, force: true });
    }
  } catch {
    return;
  }
}
