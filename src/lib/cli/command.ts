import { Command, type Interfaces } from '@oclif/core';
import { createTerminal } from '../io/terminal.ts';
import { parseOutputFormat, type OutputFormat } from '../output/format.ts';
import { sandboxKubeconfig } from '../sandbox/paths.ts';
import { Context } from './context.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import { runOf } from './run.ts';

type GlobalFlags = Interfaces.InferredFlags<typeof GLOBAL_FLAGS>;

/** What every command of vmop is built on. A command parses, makes one call into src/lib, and renders once. */
export abstract class VmopCommand extends Command {
  static override baseFlags: typeof GLOBAL_FLAGS = GLOBAL_FLAGS;

  #context: Context | undefined;

  /** Makes the context of a command whose flags are parsed. `lines`: it prints several JSON documents. */
  protected async begin(flags: GlobalFlags, { lines = false } = {}): Promise<Context> {
    const run = runOf(this.config.plugins.get(this.config.name));
    if (run === undefined) throw new TypeError('this command belongs to no run of vmop');
    const { runtime } = run;
    const asked: OutputFormat = flags.json ? { kind: 'json' } : parseOutputFormat(flags.output);
    const format = asked.kind === 'json' && lines ? { ...asked, lines } : asked;
    run.format = format;
    const terminal = await createTerminal(runtime, {
      color: flags['no-color'] ? 'never' : 'auto',
      quiet: flags.quiet,
      verbose: flags.verbose,
    });
    const { version } = this.config;
    this.#context = new Context({ runtime, terminal, options: flags, format, version, sandboxKubeconfig });
    return this.#context;
  }

  /** Errors are told in one place: main.ts. */
  protected override catch(error: Error): Promise<never> {
    return Promise.reject(error);
  }

  protected override async finally(): Promise<void> {
    this.#context?.close();
  }
}
