import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { asInteger, asObject, asString, isObject, parseJson } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import type { StoreRecord } from './store.ts';

/** What a journal holds: the objects that are left and the version that the last change had. */
export interface JournalState {
  version: number;
  objects: Map<string, JsonObject[]>;
}

export interface Journal {
  /** What was in the file when it was opened. */
  readonly state: JournalState;
  /** One write to the file; when it throws, the file is as before. */
  append(record: StoreRecord): void;
  close(): void;
}

/** Rewritten when it has grown by this much and is mostly history. */
const COMPACT_BYTES = 64 * 1024 * 1024;

/**
 * The journal `objects.jsonl` (0600) in `directory`: a line with the version, then one line per change. Opening it
 * drops what is history and a last line that a killed process left unfinished. One process at a time.
 */
export function openJournal(directory: string, compactBytes = COMPACT_BYTES): Journal {
  const file = join(directory, 'objects.jsonl');
  const state = replay(readLines(file));
  let current = rewrite(file, state);
  return {
    state,
    append({ collection, type, current: { object, text, version } }) {
      if (current.size > Math.max(compactBytes, 4 * current.compactSize)) {
        const compacted = rewrite(file, replay(readLines(file)));
        closeSync(current.descriptor);
        current = compacted;
      }
      const change = type === 'put' ? `"object":${text}` : `"removed":${JSON.stringify(nameOf(object))}`;
      const line = Buffer.from(
        `{"collection":${JSON.stringify(collection)},"version":${version},${change}}\n`,
      );
      try {
        if (writeSync(current.descriptor, line) < line.length) throw new Error('the disk is full');
        current.size += line.length;
      } catch (error) {
        ftruncateSync(current.descriptor, current.size);
        throw error;
      }
    },
    close() {
      closeSync(current.descriptor);
    },
  };
}

interface OpenFile {
  descriptor: number;
  size: number;
  compactSize: number;
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    if (isObject(error) && error['code'] === 'ENOENT') return [];
    throw error;
  }
}

/** The state after the lines; those after a broken one are not believed. */
export function replay(lines: readonly string[]): JournalState {
  let version = 1;
  const collections = new Map<string, Map<string, JsonObject>>();
  for (const line of lines) {
    const change = parseJson(line);
    if (!isObject(change)) break;
    version = asInteger(change['version']) ?? version;
    const collection = asString(change['collection']);
    if (collection === undefined) continue;
    let objects = collections.get(collection);
    if (objects === undefined) collections.set(collection, (objects = new Map()));
    if (isObject(change['object'])) objects.set(nameOf(change['object']), change['object']);
    else objects.delete(asString(change['removed']) ?? '');
  }
  const objects = new Map([...collections].map(([name, found]) => [name, [...found.values()]]));
  return { version, objects };
}

function nameOf(object: JsonObject): string {
  const metadata = asObject(object['metadata']);
  return `${asString(metadata['namespace']) ?? ''}/${asString(metadata['name']) ?? ''}`;
}

/** Replaces the file whole, so that a crash leaves either the old or the new one. */
function rewrite(file: string, { version, objects }: JournalState): OpenFile {
  const unfinished = `${file}.new`;
  const descriptor = openSync(unfinished, 'w', 0o600);
  try {
    let size = 0;
    const write = (line: string): void => {
      const bytes = Buffer.from(`${line}\n`);
      for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
      size += bytes.length;
    };
    write(JSON.stringify({ version }));
    for (const [collection, found] of objects) {
      for (const object of found) write(JSON.stringify({ collection, object }));
    }
    fdatasyncSync(descriptor);
    renameSync(unfinished, file);
    return { descriptor, size, compactSize: size };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
