import { plainPaint, type Paint, type Role } from '../text.ts';
import type { OutputStream } from './runtime.ts';

export type ColourChoice = 'auto' | 'never';

/** Whether a stream is a terminal that understands more than plain lines. */
export function isScreen(stream: OutputStream, env: Record<string, string | undefined>): boolean {
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

/**
 * Whether a stream gets colours. `--no-color` wins, then FORCE_COLOR (`0` and `false` mean no), NO_COLOR, and
 * whether it is a terminal.
 */
export function wantsColour(
  stream: OutputStream,
  env: Record<string, string | undefined>,
  choice: ColourChoice,
): boolean {
  if (choice === 'never') return false;
  const forced = env['FORCE_COLOR'];
  if (forced) return forced !== '0' && forced !== 'false';
  if (env['NO_COLOR']) return false;
  return isScreen(stream, env);
}

/** The library is read only where there is colour: most runs in scripts never need it. */
export async function createPaint(colour: boolean): Promise<Paint> {
  if (!colour) return plainPaint;
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  const looks: Record<Role, (text: string) => string> = {
    good: chalk.green,
    bad: chalk.red,
    warn: chalk.yellow,
    dim: chalk.dim,
    bold: chalk.bold,
    header: chalk.bold,
  };
  return (role, text) => (text === '' ? text : looks[role](text));
}
