import type { Interfaces } from '@oclif/core';
import type { Runtime } from '../io/runtime.ts';
import type { OutputFormat } from '../output/format.ts';

/** One run of vmop. */
export interface VmopRun {
  /** The process that it belongs to: tests bring their own. */
  runtime: Runtime;
  /** How its result, and so its error, is printed; undefined until the arguments are parsed. */
  format?: OutputFormat;
}

/** oclif hands its plugin to every command, and nothing else of ours. */
const runs = new WeakMap<object, VmopRun>();

export function setRun(plugin: Interfaces.Plugin, run: VmopRun): void {
  runs.set(plugin, run);
}

export function runOf(plugin: Interfaces.Plugin | undefined): VmopRun | undefined {
  return plugin && runs.get(plugin);
}
