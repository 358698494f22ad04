import { collectGrants, takenSecrets, type AccessInput } from '../access/grants.ts';
import type { AccessOptions } from '../access/manifests.ts';
import type { AccessStep } from '../access/plan.ts';
import { missingLimits } from '../access/read.ts';
import { optionChanges, type PolicyOptions } from '../access/policies/options.ts';
import { granteesWithTunnel } from '../access/roles.ts';
import { lockedOutRunners } from '../access/runner-accounts.ts';
import type { AccessObject } from '../access/types.ts';
import type { Context } from '../cli/context.ts';
import { VmopError } from '../errors.ts';
import { sanitize } from '../text.ts';
import { poolOf } from '../vm/permissions.ts';

/** What in the cluster or in the flags gives nobody what somebody may have meant. */
export function warnOfInput({ terminal, nameOf }: Context, input: AccessInput, options: AccessOptions): void {
  const warn = (sentence: string): void => terminal.warn(sanitize(sentence));
  for (const vm of input.vms) {
    const { assignment } = vm.status;
    if (assignment !== undefined && poolOf(vm, input.pools) === undefined) {
      warn(`${nameOf(vm)} is assigned by pool ${assignment.pool}, which is gone: nobody may use it`);
    }
    for (const problem of vm.problems.filter((one) => one.startsWith('spec.permissions')))
      warn(`${nameOf(vm)}: ${problem}`);
  }
  for (const pool of input.pools)
    for (const problem of pool.problems) warn(`pool ${nameOf(pool)}: ${problem}`);
  for (const { vm, secret } of takenSecrets(input)) {
    const whose = secret.vm === '' ? 'no VM’s' : `that of ${secret.vm}`;
    warn(
      `${nameOf(vm)}: Secret ${secret.name} has the name of its display Secret and is labelled as ${whose}: ` +
        'nobody is let to its display password',
    );
  }
  const named = collectGrants(input, options).map(({ grantee }) => grantee);
  for (const [kind, names] of [
    ['user', options.users ?? []],
    ['role', options.roles ?? []],
  ] as const) {
    const unknown = names.filter((name) => !named.some((one) => one.kind === kind && one.name === name));
    for (const name of unknown) warn(`no spec.permissions gives anything to ${kind} ${name}`);
  }
}

/** Whoever runs the machines must be able to say what becomes of them. Error: `conflict`. */
export async function requireReportingRunners(
  { cluster, terminal }: Context,
  where: string | undefined,
  options: PolicyOptions,
): Promise<void> {
  const { administratorVerb, exemptUsers, exemptGroups } = options;
  const lockedOut = await lockedOutRunners(cluster, where, options);
  if (lockedOut.length > 0) {
    const flag = lockedOut.map((user) => `--exempt-user ${user}`).join(' ');
    throw new VmopError(
      'conflict',
      `the policies would keep runners from reporting on their VMs: ${lockedOut.join(', ')}`,
      { hint: `exempt them: ${flag}` },
    );
  }
  if (administratorVerb !== 'patch' && exemptUsers.length + exemptGroups.length === 0) {
    terminal.warn(
      `VM-Operator's own service account must be allowed to ${administratorVerb} VMs, or be exempt: --exempt-user`,
    );
  }
}

const TOLD_GRANTEES = 10;

/** Runner pods use the network of their node, and no port-forward can be kept to one port. */
export function warnOfTunnels({ terminal }: Context, objects: readonly AccessObject[]): void {
  const whom = granteesWithTunnel(objects);
  if (whom.length === 0) return;
  const more = whom.length > TOLD_GRANTEES ? ` and ${whom.length - TOLD_GRANTEES} more` : '';
  const sentence =
    `port-forwards let ${whom.slice(0, TOLD_GRANTEES).join(', ')}${more} reach every port of the nodes that their VMs ` +
    'run on, those of its loopback included, since runners use the network of their node; --no-tunnel leaves them out';
  terminal.warn(sanitize(sentence));
}

/**
 * Roles alone hand out whole objects. Error: `conflict` where the policies that limit them are not there; where one may
 * not look, it is told.
 */
export async function requireLimits(
  { cluster, terminal }: Context,
  steps: readonly AccessStep[],
  options: PolicyOptions,
): Promise<void> {
  const granting = steps.filter(({ state, wanted }) => wanted !== undefined && state !== 'same');
  const namespaces = [...new Set(granting.map(({ namespace }) => namespace))];
  if (namespaces.length === 0) return;
  const missing = await missingLimits(cluster, namespaces, options);
  if (missing === undefined) {
    terminal.warn(`whether the admission policies are there you may not see; ${WHOLE_OBJECTS}`);
  } else if (missing.length > 0) {
    throw new VmopError('conflict', `${WHOLE_OBJECTS}: ${missing.join('; ')}`, {
      hint: 'have vmop access apply done by somebody who may change the cluster; --unlimited gives Roles nevertheless',
    });
  }
}

const WHOLE_OBJECTS =
  'without the admission policies a Role lets its user change every field of a VM, spec.permissions included';

/** What is right for this cluster may not be what was asked for. */
export function warnOfGenerated(
  { terminal }: Context,
  { policies }: { policies: boolean },
  options: PolicyOptions,
  stored: PolicyOptions | undefined,
): void {
  if (!policies) terminal.warn(WHOLE_OBJECTS);
  const changes = stored === undefined ? [] : optionChanges(stored, options);
  if (changes.length === 0) return;
  terminal.warn(sanitize(`the policies in this cluster were made with other options: ${changes.join('; ')}`));
}
