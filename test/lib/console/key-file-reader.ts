/** A reader of GLib key files, written from their specification: what a viewer would understand. */
export interface KeyFile {
  group: string;
  /** In the order of the file; a key that stands twice is there twice. */
  entries: { key: string; value: string }[];
}

const ESCAPED: Record<string, string> = { s: ' ', n: '\n', t: '\t', r: '\r', '\\': '\\' };

export function readKeyFile(text: string): KeyFile {
  let group = '';
  const entries: KeyFile['entries'] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const header = /^\[([^[\]]*)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      if (group !== '') throw new Error(`a second group: ${header}`);
      group = header;
      continue;
    }
    const at = line.indexOf('=');
    if (at < 1) throw new Error(`neither a group nor a key: ${line}`);
    const raw = line.slice(at + 1).replace(/^\s+/, '');
    const value = raw.replace(/\\(.?)/gs, (_, letter: string) => {
      const character = ESCAPED[letter];
      if (character === undefined) throw new Error(`an unknown escape: \\${letter}`);
      return character;
    });
    entries.push({ key: line.slice(0, at).trimEnd(), value });
  }
  return { group, entries };
}
