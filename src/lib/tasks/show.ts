import { isStatus } from '../cluster/api-error.ts';
import { messageOf } from '../errors.ts';
import { compact } from '../cluster/parse.ts';
import { findDisplaySecret } from '../console/secret/display-secret.ts';
import { parseExpiry } from '../console/secret/password.ts';
import { formatAge } from '../output/duration.ts';
import { labelledLines, labelledText, type LabelledLine } from '../output/labelled.ts';
import { formatTime } from '../output/plain.ts';
import { formatBytes } from '../output/quantity.ts';
import { whence } from '../vm/console-client.ts';
import { describeVm, type PasswordState, type VmDetail } from '../vm/detail.ts';
import { eventsOf, REGARDING_EVENTS, type VmEvent } from '../vm/events.ts';
import { withoutLostRunner } from '../vm/lost-runner.ts';
import { refOf } from '../vm/write.ts';
import type { Vm } from '../vm/types.ts';
import type { Context } from '../cli/context.ts';
import { resolveVm } from '../cli/targets.ts';
import { expiryJson, expiryText } from './secret-view.ts';
import { governingPool } from '../vm/inventory.ts';
import { mayText } from './views.ts';

const EVENTS_SHOWN = 10;

/** Prints everything about one VM; on a terminal a missing name is asked for. */
export async function showVm(context: Context, name: string | undefined): Promise<void> {
  const detail = await loadDetail(context, await resolveVm(context, name));
  const now = await context.cluster.now();
  await context.print<VmDetail>(detail, { text: (vm) => detailText(vm, now), name: context.nameOf });
}

/** Everything about a VM; what may not be read is left out and named. */
async function loadDetail(context: Context, found: Vm): Promise<VmDetail> {
  const vm = await withoutLostRunner(context.cluster, found);
  const [subject, pool, events, password] = await Promise.all([
    context.subject(vm.namespace),
    governingPool(context.cluster, vm),
    recentEvents(context, vm),
    passwordState(context, vm),
  ]);
  return describeVm(vm, { pools: pool ? [pool] : [], pool, subject, events, password });
}

async function recentEvents(context: Context, vm: Vm): Promise<VmEvent[]> {
  try {
    const { items } = await context.cluster.list(REGARDING_EVENTS, {
      namespace: vm.namespace,
      fieldSelector: eventsOf(vm.name),
    });
    // An earlier VM of this name had its own.
    const own = items.filter(({ uid }) => uid === undefined || uid === vm.uid).map(({ event }) => event);
    return own.toSorted((a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0)).slice(-EVENTS_SHOWN);
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    context.terminal.warn(`its events may not be read: ${messageOf(error)}`);
    return [];
  }
}

async function passwordState(context: Context, vm: Vm): Promise<PasswordState> {
  const serial = vm.status.displayPasswordSerial;
  try {
    const { secret } = await findDisplaySecret(context.cluster, refOf(vm));
    const expiry = secret && expiryJson(parseExpiry(secret.expiry));
    return compact({ secret: secret?.name, serial, expiry });
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    return compact({ serial, unreadable: messageOf(error) });
  }
}

/** The lines that a person reads. */
export function detailLines(vm: VmDetail, now: Date): LabelledLine[] {
  const ago = (at: Date | undefined): string | undefined =>
    at && `${formatTime(at)} (${formatAge(at, now)} ago)`;
  const size = (bytes: number | undefined): string => (bytes === undefined ? '?' : formatBytes(bytes));
  const { console, password } = vm;
  const consoleText = console.connected
    ? [
        console.user ?? 'somebody',
        console.client && whence(console.client),
        console.since && `since ${formatTime(console.since)}`,
      ]
        .filter(Boolean)
        .join(' ')
    : 'not connected';
  const grants = vm.permissions.map(
    ({ user, role, may }) => `${user ?? `role ${role ?? ''}`}: ${may.join(', ') || 'nothing'}`,
  );
  return [
    { label: 'Name', text: vm.name },
    { label: 'Namespace', text: vm.namespace },
    { label: 'Created', text: ago(vm.createdAt) },
    {
      label: 'State',
      text: vm.state === vm.wantedState.toLowerCase() ? vm.state : `${vm.state}, wanted: ${vm.wantedState}`,
    },
    { label: 'Obstacle', text: vm.obstacle },
    { label: 'Guest', text: vm.guestOs['pretty-name'] ?? vm.guestOs['name'] },
    { label: 'Guest agent', text: vm.guestAgent === 'connected' ? 'has greeted' : 'has not greeted' },
    {
      label: 'Logged in',
      text:
        vm.loggedInUser ?? (vm.wantedUser === undefined ? 'nobody' : `nobody yet, wanted: ${vm.wantedUser}`),
    },
    { label: 'Console', text: consoleText },
    {
      label: 'Display',
      text:
        vm.display &&
        `SPICE port ${vm.display.port}${vm.display.server === undefined ? '' : ` on ${vm.display.server}`}`,
    },
    { label: 'Password', text: passwordText(password, now) },
    { label: 'CPUs', text: `${vm.cpus ?? '?'} of ${vm.maximumCpus ?? '?'}${wanted(vm.wantedCpus)}` },
    {
      label: 'Memory',
      text: `${size(vm.memoryBytes)} of ${size(vm.maximumMemoryBytes)}${wanted(vm.wantedMemoryBytes === undefined ? undefined : size(vm.wantedMemoryBytes))}`,
    },
    { label: 'Pools', text: vm.pools.join(', ') || undefined },
    { label: 'Assigned', text: vm.assignment && `to ${vm.assignment.user} by pool ${vm.assignment.pool}` },
    { label: 'You may', text: mayText(vm.may) ?? 'nothing' },
    ...labelledLines('Permissions', grants),
    ...labelledLines('Problems', vm.problems),
    ...labelledLines(
      'Conditions',
      vm.conditions.map(({ type, status, reason }) => {
        // Left from before its start: the VM is not stopped.
        const stale = type !== 'Running' && reason === 'VmStopped' && vm.state === 'running';
        return `${type}=${status} (${stale ? 'not since its start' : reason})`;
      }),
    ),
    ...labelledLines(
      'Events',
      vm.events.map(({ at, reason, note }) =>
        [at && formatTime(at), reason, note].filter(Boolean).join('  '),
      ),
    ),
  ].flatMap(({ label, text }) => (text === undefined ? [] : [{ label, text }]));
}

function wanted(value: string | number | undefined): string {
  return value === undefined ? '' : `, wanted: ${value}`;
}

function passwordText({ secret, serial, expiry, unreadable }: PasswordState, now: Date): string {
  if (serial === -1) return 'the display asks for none';
  if (unreadable !== undefined) return 'its Secret may not be read';
  if (secret === undefined) return 'there is no Secret';
  const valid = expiry instanceof Date ? expiry > now : undefined;
  return `in ${secret}, ${expiryText(compact({ expiry, valid }))}`;
}

/** `vmop show` as text; a pipe gets it as the terminal does. `now`: by the API server's clock. */
export function detailText(vm: VmDetail, now: Date): string {
  return labelledText(detailLines(vm, now));
}
