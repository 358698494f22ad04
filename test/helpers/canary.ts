import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** Whether a text holds a secret: as it is, as it stands in a Secret, or as it stands in a URL. */
export function holds(text: string | Buffer, secret: string): boolean {
  const forms = [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)];
  return forms.some((form) => text.includes(form));
}

/** The files below a folder, relative to it, that hold a secret. */
export async function filesThatHold(folder: string, secret: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((each) => each.isFile())) {
    const file = path.join(entry.parentPath, entry.name);
    // It may be gone by now.
    const content = await readFile(file).catch(() => '');
    if (holds(content, secret)) found.push(path.relative(folder, file));
  }
  return found.sort((a, b) => a.localeCompare(b));
}

/** Of these processes, those whose arguments or environment hold a secret: `PID cmdline`, `PID environ`. */
export async function processesThatHold(pids: readonly number[], secret: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of pids) {
    for (const part of ['cmdline', 'environ']) {
      const content = await readFile(`/proc/${pid}/${part}`).catch(() => '');
      if (holds(content, secret)) found.push(`${pid} ${part}`);
    }
  }
  return found;
}

/** The parts of a process's memory that hold a secret, as they are called in its `maps`. */
export async function memoryThatHolds(pid: number, secret: string): Promise<string[]> {
  const found: string[] = [];
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')) {
      const [, from = '', to = '', name = ''] = /^(\w+)-(\w+) rw\S+ \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      if (!(end > start)) continue;
      const content = Buffer.alloc(end - start);
      // It may be gone by now.
      await memory.read(content, 0, content.length, start).catch(() => {});
      if (content.includes(secret)) found.push(name);
    }
  } finally {
    await memory.close();
  }
  return found;
}
