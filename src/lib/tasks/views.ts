import { formatAge } from '../output/duration.ts';
import { formatBytes } from '../output/quantity.ts';
import type { View } from '../output/render.ts';
import { PERMISSIONS, type Permission } from '../vm/types.ts';
import type { VmSummary } from '../vm/summary.ts';

const SHORT: Record<Permission, string> = {
  start: 'start',
  stop: 'stop',
  reset: 'reset',
  accessConsole: 'console',
  takeConsole: 'take',
};

/** `*` for everything, else the permissions' short names. */
export function mayText(may: readonly Permission[]): string | undefined {
  if (may.length === PERMISSIONS.length) return '*';
  const shown = may.filter((permission) => permission !== 'accessConsole' || !may.includes('takeConsole'));
  return shown.length === 0 ? undefined : shown.map((permission) => SHORT[permission]).join(',');
}

function consoleText({ console }: VmSummary): string | undefined {
  return console.connected ? (console.user ?? console.client ?? 'in use') : undefined;
}

function poolText({ assignment, pools }: VmSummary): string | undefined {
  if (assignment) return `${assignment.pool} (${assignment.user})`;
  return pools.length === 0 ? undefined : pools.join(',');
}

/** `vmop list`. */
export function vmListView(
  now: () => Date,
  allNamespaces: boolean,
  nameOf: (vm: VmSummary) => string,
): View<VmSummary> {
  return {
    columns: [
      ...(allNamespaces ? [{ header: 'NAMESPACE', value: (vm: VmSummary) => vm.namespace }] : []),
      { header: 'NAME', value: (vm) => vm.name },
      {
        header: 'STATE',
        value: (vm) => (vm.problems.length > 0 ? `${vm.state} (!)` : vm.state),
        style: (_cell, vm) => (vm.state === 'running' ? 'good' : vm.state === 'stopped' ? 'dim' : 'warn'),
      },
      { header: 'USER', value: (vm) => vm.loggedInUser },
      { header: 'CONSOLE', value: consoleText },
      { header: 'POOL', value: poolText },
      { header: 'CPUS', value: (vm) => vm.cpus?.toString(), align: 'right' },
      {
        header: 'MEMORY',
        value: (vm) => (vm.memoryBytes === undefined ? undefined : formatBytes(vm.memoryBytes)),
        align: 'right',
      },
      { header: 'MAY', value: (vm) => mayText(vm.may), flexible: true },
      {
        header: 'AGE',
        value: (vm) => (vm.createdAt === undefined ? undefined : formatAge(vm.createdAt, now())),
        align: 'right',
      },
    ],
    wideColumns: [
      { header: 'WANTED', value: (vm) => vm.wantedState },
      { header: 'CLIENT', value: (vm) => vm.console.client },
      {
        header: 'SINCE',
        value: (vm) => (vm.console.since === undefined ? undefined : formatAge(vm.console.since, now())),
      },
      { header: 'PROBLEMS', value: (vm) => vm.problems.join('; ') || undefined },
    ],
    name: nameOf,
  };
}
