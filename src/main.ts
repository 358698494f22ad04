import type { Interfaces } from '@oclif/core';
// Its listener on stdout must be there when `start` takes it away.
import '@oclif/core/command';
import { run } from '@oclif/core/run';
import manifest from '../oclif.manifest.json' with { type: 'json' };
import packageJson from '../package.json' with { type: 'json' };
import { COMMANDS } from './commands/index.ts';
import { memoryPlugin } from './lib/cli/plugin.ts';
import { AlreadyTold, asVmopError, quietExit, reportError } from './lib/cli/report.ts';
import { setRun, type VmopRun } from './lib/cli/run.ts';
import { VmopError } from './lib/errors.ts';
import { processRuntime, type Runtime } from './lib/io/runtime.ts';
import { isOutputClosed } from './lib/io/terminal.ts';
import { sanitizeLines } from './lib/text.ts';

/** vmop as oclif loads it, for one run. `root` is the package's folder. */
function loadOptions(root: string, vmop: VmopRun): Interfaces.Options {
  // The user's theme is not read: vmop colours by roles of its own.
  process.env['VMOP_DISABLE_THEME'] ??= '1';
  const { name, version, description, oclif } = packageJson;
  const pjson: Interfaces.PJSON = {
    name,
    version,
    description,
    oclif: { ...oclif, topicSeparator: ' ', commands: '' },
  };
  const plugin = memoryPlugin(root, pjson, manifest, COMMANDS);
  setRun(plugin, vmop);
  return { root, pjson, plugins: new Map([[plugin.name, plugin]]) };
}

/** Runs one command; resolves to its exit code, everything told. Never rejects. */
export async function main(argv: string[], runtime: Runtime, root: string): Promise<number> {
  const vmop: VmopRun = { runtime };
  try {
    await run(argv, loadOptions(root, vmop));
    return 0;
  } catch (thrown) {
    if (isOutputClosed(thrown)) return 0;
    if (thrown instanceof AlreadyTold) return thrown.exitCode;
    const quiet = quietExit(thrown);
    if (quiet !== undefined) return quiet;
    // What a signal cuts short fails in many ways; the signal is the reason.
    const error = asVmopError(runtime.signal.aborted && !isEnd(thrown) ? runtime.signal.reason : thrown);
    const debug = Boolean(runtime.env['VMOP_DEBUG']);
    const { format } = vmop;
    const lines = format?.kind === 'json' && format.lines === true;
    const json = lines ? 'lines' : format === undefined ? asksForJson(argv) : format.kind === 'json';
    const { stdout, stderr } = reportError(error, { json, debug });
    if (stdout !== '') runtime.stdout.write(stdout);
    runtime.stderr.write(sanitizeLines(stderr));
    return error.exitCode;
  }
}

function isEnd(thrown: unknown): boolean {
  return thrown instanceof VmopError && (thrown.code === 'interrupted' || thrown.code === 'terminated');
}

/** For errors of the parsing itself; afterwards the command knows its format. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  return options.some(
    (argument, index) =>
      /^(?:--json|--output=json|-[A-Za-z]*o=?json)$/.test(argument) ||
      (argument === 'json' && /^(?:--output|-[A-Za-z]*o)$/.test(options[index - 1] ?? '')),
  );
}

/** vmop as a process: what bin/run.js and bin/dev.js call. `root` is the package's folder. */
export async function start(root: string): Promise<void> {
  // oclif throws whatever goes wrong on stdout as an uncaught error; `Terminal` tells it to whoever writes.
  process.stdout.removeAllListeners('error');
  process.stdout.on('error', () => (process.exitCode ||= 1));
  process.exitCode = await main(process.argv.slice(2), processRuntime(), root);
}
