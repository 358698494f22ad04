import { messageOf, VmopError, type ErrorCode } from '../errors.ts';
import { renderJson, renderJsonLine } from '../output/json.ts';

/** Everything was told already; only the exit code is left to say. */
export class AlreadyTold extends VmopError {
  override readonly name = 'AlreadyTold';
}

/** oclif's own errors (unknown command or flag, missing argument) carry the exit code 2. */
function isUsageError(error: Error): boolean {
  return 'oclif' in error && typeof error.oclif === 'object' && error.oclif !== null && 'exit' in error.oclif;
}

/** oclif's text without its heading and its own hint. */
function usageMessage(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !/^The following errors? occurred:$|^See more help/.test(line))
    .map((line) => line.replace(/^Missing required flag (\S+)$/, 'missing flag --$1'))
    .join('\n  ');
}

/** Anything thrown as the error that a person is told. */
export function asVmopError(error: unknown): VmopError {
  if (error instanceof VmopError) return error;
  if (error === 'SIGINT') return new VmopError('interrupted', 'interrupted');
  if (error === 'SIGTERM') return new VmopError('terminated', 'terminated');
  if (error instanceof Error && isUsageError(error)) {
    const unknown = /^command (.*) not found\.?$/i.exec(error.message)?.[1];
    if (unknown !== undefined) {
      return new VmopError('usage', `there is no command "${unknown.replaceAll(':', ' ')}"`, {
        hint: 'vmop --help lists the commands',
        cause: error,
      });
    }
    return new VmopError('usage', usageMessage(error.message), {
      hint: 'add --help to see what it takes',
      cause: error,
    });
  }
  return new VmopError('failed', messageOf(error), {
    hint: 'this is not expected: VMOP_DEBUG=1 shows where it happened',
    cause: error,
  });
}

/** The exit code of `oclif`'s own ways out (`--help`), undefined for a real error. */
export function quietExit(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && error.code === 'EEXIT' && 'oclif' in error) {
    const { oclif } = error;
    if (typeof oclif === 'object' && oclif !== null && 'exit' in oclif) return Number(oclif.exit);
  }
  return undefined;
}

export interface ErrorReport {
  stdout: string;
  stderr: string;
  code: ErrorCode;
}

/** What is printed about an error. With `json` it is an object on stdout, with `lines` on one line. */
export function reportError(
  error: VmopError,
  { json, debug }: { json: boolean | 'lines'; debug: boolean },
): ErrorReport {
  const stack = debug ? `${stackOf(error)}\n` : '';
  if (json) {
    const render = json === 'lines' ? renderJsonLine : renderJson;
    return { stdout: render({ error }), stderr: stack, code: error.code };
  }
  const hint = error.hint === undefined ? '' : `  ${error.hint}\n`;
  return { stdout: '', stderr: `error: ${error.message}\n${hint}${stack}`, code: error.code };
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
