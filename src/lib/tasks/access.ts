import { applySteps } from '../access/apply.ts';
import { LABELLED_SECRETS, type AccessInput } from '../access/grants.ts';
import { accessObjects, type AccessOptions } from '../access/manifests.ts';
import { planAccess, type AccessScope, type AccessStep } from '../access/plan.ts';
import {
  choosePolicyOptions,
  type GivenPolicyOptions,
  type PolicyOptions,
} from '../access/policies/options.ts';
import { readAccess, readPolicyOptions } from '../access/read.ts';
import type { AccessObject } from '../access/types.ts';
import { AlreadyTold } from '../cli/report.ts';
import type { Context } from '../cli/context.ts';
import { compact } from '../cluster/parse.ts';
import type { ErrorJson } from '../errors.ts';
import type { TextView, View } from '../output/render.ts';
import { renderYaml } from '../output/yaml.ts';
import { sanitize } from '../text.ts';
import { loadInventory } from '../vm/inventory.ts';
import { POOLS } from '../vm/parse.ts';
import { DISPLAY_SECRET_LABELS, labelSelector } from '../vm/runner-objects.ts';
import {
  requireLimits,
  requireReportingRunners,
  warnOfGenerated,
  warnOfInput,
  warnOfTunnels,
} from './access-warnings.ts';

export interface AccessFlags {
  'all-namespaces': boolean;
  users?: string[] | undefined;
  roles?: string[] | undefined;
  'user-prefix'?: string | undefined;
  'exempt-user'?: string[] | undefined;
  'exempt-group'?: string[] | undefined;
  'administrator-verb'?: string | undefined;
  'pool-members': boolean;
  policies: boolean;
  events: boolean;
  tunnel: boolean;
}

/** Of `apply` and `check`, which look at what is there. */
export interface ComparingFlags extends AccessFlags {
  'replace-options': boolean;
}

/** A `List`, as `kubectl apply -f` takes it: the `--json` form of `vmop access generate`. */
export interface AccessList {
  apiVersion: 'v1';
  kind: 'List';
  items: AccessObject[];
}

/** One object of the cluster: the `--json` form of `vmop access check` and `apply`. */
interface AccessRow {
  kind: string;
  /** Empty for a cluster-scoped object. */
  namespace: string;
  name: string;
  /** For whom it is: `user alice`, `role staff`. */
  grantee?: string;
  /** Where it was not what it should be. */
  differences: string[];
}

export interface AccessDrift extends AccessRow {
  /** `foreign`: somebody else's object has the name, which `apply` leaves alone. */
  drift: 'missing' | 'different' | 'unwanted' | 'foreign';
}

export interface AccessChange extends AccessRow {
  change: 'created' | 'changed' | 'unchanged' | 'pruned' | 'failed';
  dryRun: boolean;
  error?: ErrorJson;
}

export async function generateAccess(context: Context, flags: AccessFlags): Promise<void> {
  const { cluster } = context;
  const [given, stored] = await Promise.all([givenOptions(context, flags), readPolicyOptions(cluster)]);
  // For git, and perhaps for another cluster: what differs is told, not refused.
  const options = choosePolicyOptions(given, stored, true);
  const items = await wantedAccess(context, flags, options);
  warnOfTunnels(context, items);
  warnOfGenerated(context, flags, options, stored);
  if (context.format.kind === 'name') {
    const name = ({ kind, metadata }: AccessObject): string => `${kind}/${metadata.name}`;
    await context.print(items, { text: name, name });
    return;
  }
  const manifests = await Promise.all(items.map(async (item) => `---\n${await renderYaml(item)}`));
  const view: TextView<AccessList> = { text: () => manifests.join(''), name: ({ kind }) => kind };
  await context.print<AccessList>({ apiVersion: 'v1', kind: 'List', items }, view);
}

/** Exits with `conflict` when the cluster is not as spec.permissions says. */
export async function checkAccess(context: Context, flags: ComparingFlags): Promise<void> {
  const { steps } = await plannedSteps(context, flags);
  const drift = steps.flatMap((step): AccessDrift[] =>
    step.state === 'same' ? [] : [{ ...rowOf(step), drift: step.state }],
  );
  await context.print(drift, DRIFT_VIEW);
  const { terminal } = context;
  if (drift.length === 0) {
    terminal.info(`${steps.length} objects are as spec.permissions says`);
    return;
  }
  terminal.error(`error: ${drift.length} of ${steps.length} objects are not as spec.permissions says`);
  terminal.info('  vmop access apply, with the same flags, makes them so');
  throw new AlreadyTold('conflict', 'the cluster is not as spec.permissions says');
}

export async function applyAccess(
  context: Context,
  flags: ComparingFlags & { 'dry-run': boolean; unlimited: boolean },
): Promise<void> {
  const { cluster, signal, terminal } = context;
  const dryRun = flags['dry-run'];
  const { steps, options } = await plannedSteps(context, flags);
  if (!flags.policies && !flags.unlimited) await requireLimits(context, steps, options);
  warnOfTunnels(
    context,
    steps.flatMap(({ wanted }) => wanted ?? []),
  );
  const failures = await applySteps(cluster, steps, { dryRun, signal });
  await context.print(
    steps.map((step): AccessChange => {
      const error = failures.get(step);
      const row = { ...rowOf(step), dryRun };
      if (error === undefined) return { ...row, change: CHANGES[step.state] };
      return { ...row, change: 'failed', error: error.toJSON() };
    }),
    CHANGE_VIEW,
  );
  if (dryRun) terminal.info('dry run: nothing was changed');
  for (const [step, { message, hint }] of failures) {
    terminal.error(sanitize(`error: ${objectText(step)}: ${message}`));
    if (hint !== undefined) terminal.info(sanitize(`  ${hint}`));
  }
  if (failures.size > 0) throw new AlreadyTold('failed', `${failures.size} of ${steps.length} failed`);
}

const CHANGES: Record<AccessStep['state'], AccessChange['change']> = {
  missing: 'created',
  different: 'changed',
  foreign: 'failed',
  same: 'unchanged',
  unwanted: 'pruned',
};

function rowOf({ kind, namespace, name, grantee, differences }: AccessStep): AccessRow {
  return compact({ kind, namespace, name, grantee, differences });
}

async function plannedSteps(
  context: Context,
  flags: ComparingFlags,
): Promise<{ steps: AccessStep[]; options: PolicyOptions }> {
  const { cluster } = context;
  const [given, stored] = await Promise.all([givenOptions(context, flags), readPolicyOptions(cluster)]);
  const options = choosePolicyOptions(given, stored, flags['replace-options']);
  const wanted = await wantedAccess(context, flags, options);
  const scope = scopeOf(context, flags);
  const steps = planAccess(wanted, await readAccess(cluster, scope), scope);
  if (flags.policies) await requireReportingRunners(context, whereOf(context, flags), options);
  return { steps, options };
}

async function givenOptions(context: Context, flags: AccessFlags): Promise<GivenPolicyOptions> {
  const { roles } = await context.settings;
  return {
    userPrefix: flags['user-prefix'],
    groupRoles: roles,
    // An empty one says: nobody.
    exemptUsers: flags['exempt-user']?.filter((name) => name !== ''),
    exemptGroups: flags['exempt-group']?.filter((name) => name !== ''),
    administratorVerb: flags['administrator-verb'],
  };
}

async function wantedAccess(
  context: Context,
  flags: AccessFlags,
  policyOptions: PolicyOptions,
): Promise<AccessObject[]> {
  const input = await readInput(context, flags);
  const options: AccessOptions = {
    ...policyOptions,
    users: flags.users,
    roles: flags.roles,
    poolMembers: flags['pool-members'],
    policies: flags.policies,
    events: flags.events,
    tunnel: flags.tunnel,
  };
  warnOfInput(context, input, options);
  return accessObjects(input, options);
}

async function readInput(context: Context, flags: AccessFlags): Promise<AccessInput> {
  const { cluster } = context;
  const where = whereOf(context, flags);
  const [{ vms }, pools, secrets] = await Promise.all([
    loadInventory(cluster, where),
    cluster.list(POOLS, { namespace: where }),
    cluster.list(LABELLED_SECRETS, { namespace: where, labelSelector: labelSelector(DISPLAY_SECRET_LABELS) }),
  ]);
  return { vms, pools: pools.items, secrets: secrets.items };
}

/** undefined: all namespaces. */
function whereOf(context: Context, flags: Pick<AccessFlags, 'all-namespaces'>): string | undefined {
  return flags['all-namespaces'] ? undefined : context.namespace;
}

function scopeOf(context: Context, { users, roles, policies, ...flags }: AccessFlags): AccessScope {
  const chosen = [
    ...(users ?? []).map((name) => `user ${name}`),
    ...(roles ?? []).map((name) => `role ${name}`),
  ];
  return {
    namespace: whereOf(context, flags),
    policies,
    grantees: users === undefined && roles === undefined ? undefined : new Set(chosen),
  };
}

function objectText({ kind, namespace, name }: AccessRow | AccessStep): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
}

const nameOf = ({ kind, name }: AccessRow): string => `${kind}/${name}`;

const CHANGE_VIEW: View<AccessChange> = {
  columns: [
    { header: 'CHANGE', value: ({ change }) => change },
    { header: 'KIND', value: ({ kind }) => kind },
    { header: 'NAMESPACE', value: ({ namespace }) => namespace || undefined },
    { header: 'NAME', value: ({ name }) => name, flexible: true },
    { header: 'FOR', value: ({ grantee }) => grantee },
  ],
  wideColumns: [{ header: 'DIFFERENCES', value: ({ differences }) => differences.join('; ') || undefined }],
  name: nameOf,
};

const DRIFT_VIEW: TextView<AccessDrift> = {
  text: ({ drift, ...row }) => {
    const { grantee, differences } = row;
    const whom = grantee === undefined ? '' : ` (${grantee})`;
    const lines = [
      `${drift.padEnd(9)}  ${objectText(row)}${whom}`,
      ...differences.map((line) => `    ${line}`),
    ];
    return lines.map((line) => `${sanitize(line)}\n`).join('');
  },
  name: nameOf,
};
