import { StringDecoder } from 'node:string_decoder';
import { VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import type { InputStream, OutputStream, Runtime } from './runtime.ts';

export interface Choice {
  name: string;
  value: string;
  description?: string;
}

/** A person's Ctrl-C, or a signal, as the error that ends the command. */
export function interruption(signal: AbortSignal): VmopError {
  return signal.reason === 'SIGTERM'
    ? new VmopError('terminated', 'terminated')
    : new VmopError('interrupted', 'interrupted');
}

/** The choices that hold every word of the search term, wherever, in any case. */
export function matchingChoices(choices: readonly Choice[], term: string | undefined): Choice[] {
  const words = (term ?? '').toLowerCase().split(/\s+/);
  return choices.filter(({ name, description }) => {
    const text = `${name} ${description ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

const PROMPT_ENDED = ['ExitPromptError', 'AbortPromptError'];
const same = (text: string): string => text;
const PLAIN_THEME = {
  prefix: '?',
  style: {
    answer: same,
    message: same,
    error: (text: string) => `> ${text}`,
    defaultAnswer: (text: string) => `(${text})`,
    help: same,
    highlight: same,
    key: (text: string) => `<${text}>`,
    disabled: same,
    searchTerm: same,
    description: same,
  },
};

async function prompted<T>(runtime: Runtime, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Error && PROMPT_ENDED.includes(error.name)) throw interruption(runtime.signal);
    throw error;
  }
}

const streams = (runtime: Runtime) => ({
  input: runtime.stdin,
  output: runtime.stderr,
  signal: runtime.signal,
});

/** Asks yes or no; Enter alone means no. */
export async function askToConfirm(runtime: Runtime, question: string, colour: boolean): Promise<boolean> {
  const { default: confirm } = await import('@inquirer/confirm');
  const message = sanitize(question);
  return prompted(runtime, () =>
    confirm({ message, default: false, ...(colour ? {} : { theme: PLAIN_THEME }) }, streams(runtime)),
  );
}

/** A list to search in; resolves to the `value` of the choice. */
export async function askToChoose(
  runtime: Runtime,
  message: string,
  choices: readonly Choice[],
  colour: boolean,
): Promise<string> {
  const { default: search } = await import('@inquirer/search');
  const safe = choices.map(({ name, value, description }) => ({
    name: sanitize(name),
    value,
    ...(description === undefined ? {} : { description: sanitize(description) }),
  }));
  return prompted(runtime, () =>
    search<string>(
      {
        message: sanitize(message),
        source: (term) => matchingChoices(safe, term),
        pageSize: 10,
        ...(colour ? {} : { theme: PLAIN_THEME }),
      },
      streams(runtime),
    ),
  );
}

const CTRL_C = '\x03';
const CTRL_D = '\x04';
const CTRL_U = '\x15';

/** The line so far after more keys; `end` says why it is over. */
export function typeSecret(line: string, keys: string): { line: string; end?: 'entered' | 'interrupted' } {
  let typed = line;
  for (const key of keys) {
    if (key === '\r' || key === '\n' || key === CTRL_D) return { line: typed, end: 'entered' };
    if (key === CTRL_C) return { line: '', end: 'interrupted' };
    if (key === '\b' || key === '\x7f') typed = Array.from(typed).slice(0, -1).join('');
    else if (key === CTRL_U) typed = '';
    else if (key >= ' ') typed += key;
  }
  return { line: typed };
}

/** Longest line that is read; a password never is this long. */
const LINE_LIMIT = 64 * 1024;

/** Feeds `stdin` to `take` until it gives a result; leaves no listener behind. */
function readUntil<T>(
  stdin: InputStream,
  signal: AbortSignal,
  take: (text: string, ended: boolean) => T | undefined,
): Promise<T> {
  const decoder = new StringDecoder('utf8');
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      stdin.off('error', onError);
      signal.removeEventListener('abort', onAbort);
      stdin.pause();
      settle();
    };
    const attempt = (text: string, ended: boolean): void => {
      try {
        const result = take(text, ended);
        if (result !== undefined) finish(() => resolve(result));
      } catch (error) {
        onError(error);
      }
    };
    const onData = (chunk: Buffer | string): void =>
      attempt(typeof chunk === 'string' ? chunk : decoder.write(chunk), false);
    const onEnd = (): void => attempt(decoder.end(), true);
    const onError = (error: unknown): void =>
      finish(() => reject(error instanceof Error ? error : new Error(String(error))));
    const onAbort = (): void => onError(interruption(signal));
    if (signal.aborted) return onAbort();
    if (!stdin.readable) return attempt('', true);
    signal.addEventListener('abort', onAbort);
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    stdin.on('error', onError);
    stdin.resume();
  });
}

/** The first line of a stream that is not a terminal. */
async function readFirstLine(stdin: InputStream, signal: AbortSignal): Promise<string> {
  let read = '';
  return readUntil(stdin, signal, (text, ended) => {
    read += text;
    const end = read.indexOf('\n');
    if (end < 0 && !ended && read.length < LINE_LIMIT) return undefined;
    return (end < 0 ? read : read.slice(0, end)).replace(/\r$/, '');
  });
}

async function typeUnseen(
  stdin: InputStream,
  stderr: OutputStream,
  signal: AbortSignal,
  prompt: string,
): Promise<string> {
  stderr.write(`${sanitize(prompt)}: `);
  stdin.setRawMode?.(true);
  let line = '';
  try {
    return await readUntil(stdin, signal, (keys, ended) => {
      const typed = typeSecret(line, keys);
      line = typed.line;
      if (typed.end === 'interrupted') throw new VmopError('interrupted', 'interrupted');
      return typed.end === 'entered' || ended ? line : undefined;
    });
  } finally {
    stdin.setRawMode?.(false);
    stderr.write('\n');
  }
}

/** A secret typed without being shown, or the first line of standard input where that is no terminal. */
export async function askForSecret(runtime: Runtime, prompt: string): Promise<string> {
  const { stdin, stderr, signal } = runtime;
  return stdin.isTTY ? typeUnseen(stdin, stderr, signal, prompt) : readFirstLine(stdin, signal);
}
