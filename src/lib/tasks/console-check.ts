import { asVmopError, AlreadyTold } from '../cli/report.ts';
import type { Context } from '../cli/context.ts';
import { onTargets, WAITING_CONCURRENCY } from '../cli/many.ts';
import type { TargetFlags } from '../cli/targets.ts';
import { hostInUrl } from '../console/reach/address.ts';
import type { PreflightStep } from '../console/reach/dial.ts';
import { gateError, runningGate } from '../console/gates.ts';
import { searchRoute, type RouteSearch } from '../console/reach/route.ts';
import type { ErrorJson, VmopError } from '../errors.ts';
import type { View } from '../output/render.ts';
import type { Vm } from '../vm/types.ts';
import { consoleWay, type WayFlags } from './console-way.ts';

/** Whether a VM's console can be reached: the `--json` form of `vmop console --check`. */
export interface ConsoleCheck {
  name: string;
  namespace: string;
  reachable: boolean;
  /** The way that works; absent when none does. */
  via?: 'direct' | 'tunnel';
  host?: string;
  port?: number;
  /** In the order in which they were gone; the last is the one that failed. */
  steps: PreflightStep[];
  /** Why the console cannot be reached, or why the direct way was not taken. */
  error?: ErrorJson;
}

export type ConsoleCheckFlags = TargetFlags & WayFlags;

/**
 * Calls the SPICE ports of VMs, changing nothing, and tells what is found. Rejects when one is not reached: with its own
 * error's code where one VM was named, else as `failed`.
 */
export async function checkConsoles(
  context: Context,
  names: readonly string[],
  flags: ConsoleCheckFlags,
): Promise<void> {
  const settings = await context.settings;
  const { cluster, signal } = context;
  const asked = { ...(await consoleWay(flags, settings)), signal };
  const failed: ConsoleCheck[] = [];
  await onTargets<ConsoleCheck>(context, names, flags, {
    permissions: ['accessConsole'],
    act: async ({ vm }, progress) => {
      const hooks = {
        onStep: (text: string) => progress.row(vm.name, text),
        onDetail: (text: string) => context.terminal.detail(`${vm.name}: ${text}`),
      };
      const check = await checkConsole(vm, () => searchRoute(cluster, vm, { ...asked, hooks }));
      if (!check.reachable) failed.push(check);
      return check;
    },
    // Names are fed to other commands: what is not reached is not among them.
    sentence: { ...CHECK_VIEW, name: (check) => (check.reachable ? context.nameOf(check) : undefined) },
    concurrency: WAITING_CONCURRENCY,
  });
  const [first] = failed;
  if (first?.error === undefined) return;
  const several = flags.all === true || flags.selector !== undefined || names.length > 1;
  if (!several && first.error.hint !== undefined) context.terminal.info(first.error.hint);
  const code = several ? 'failed' : first.error.code;
  throw new AlreadyTold(code, `${failed.length} consoles are not reached`);
}

async function checkConsole(vm: Vm, search: () => Promise<RouteSearch>): Promise<ConsoleCheck> {
  const base = { name: vm.name, namespace: vm.namespace };
  const refused = (error: VmopError): ConsoleCheck => ({
    ...base,
    reachable: false,
    steps: [],
    error: error.toJSON(),
  });
  const shut = gateError(vm, [runningGate(vm)]);
  if (shut) return refused(shut);
  try {
    const { route, steps, error } = await search();
    return {
      ...base,
      reachable: route !== undefined,
      ...(route && { via: route.via, host: route.endpoint.host.value, port: route.endpoint.port.value }),
      steps,
      ...(error && { error: error.toJSON() }),
    };
  } catch (error) {
    return refused(asVmopError(error));
  }
}

const CHECK_VIEW: Omit<View<ConsoleCheck>, 'name'> = {
  columns: [
    { header: 'NAME', value: ({ name }) => name },
    { header: 'CONSOLE', value: ({ reachable }) => (reachable ? 'reached' : 'not reached') },
    { header: 'WAY', value: ({ via }) => via },
    { header: 'AT', value: addressOf },
    { header: 'TOOK', value: ({ steps }) => (steps.length === 0 ? undefined : `${total(steps)} ms`) },
    { header: 'WHY', value: ({ error }) => error?.message, flexible: true },
  ],
  wideColumns: [
    {
      header: 'STEPS',
      value: ({ steps }) =>
        steps.map(({ name, ok, ms }) => `${name} ${ok ? `${ms} ms` : 'failed'}`).join(', '),
    },
  ],
};

function addressOf({ host, port }: ConsoleCheck): string | undefined {
  return host === undefined ? undefined : `${hostInUrl(host)}:${port}`;
}

function total(steps: readonly PreflightStep[]): number {
  return steps.reduce((sum, { ms }) => sum + ms, 0);
}
