import { Command, type Interfaces } from '@oclif/core';
import type { Runtime } from '../io/runtime.ts';
import { createTerminal } from '../io/terminal.ts';
import { parseOutputFormat, type OutputFormat } from '../output/format.ts';
import { sandboxKubeconfig } from '../sandbox/paths.ts';
import { Context } from './context.ts';
import { GLOBAL_FLAGS } from './flags.ts';

/** The process that a run of vmop, as oclif knows it, belongs to: tests bring their own. */
const runtimes = new WeakMap<object, Runtime>();

export function setRuntime(plugin: Interfaces.Plugin, runtime: Runtime): void {
  runtimes.set(plugin, runtime);
}

type GlobalFlags = Interfaces.InferredFlags<typeof GLOBAL_FLAGS>;

/** What every command of vmop is built on. A command parses, makes one call into src/lib, and renders once. */
export abstract class VmopCommand extends Command {
  static override baseFlags: typeof GLOBAL_FLAGS = GLOBAL_FLAGS;

  #context: Context | undefined;

  /** Makes the context of a command whose flags are parsed. */
  protected async begin(flags: GlobalFlags): Promise<Context> {
    const plugin = this.config.plugins.get(this.config.name);
    const runtime = plugin && runtimes.get(plugin);
    if (runtime === undefined) throw new TypeError('this run of vmop has no runtime');
    const format: OutputFormat = flags.json ? { kind: 'json' } : parseOutputFormat(flags.output);
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
