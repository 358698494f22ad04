import { rulesAllow } from '../cluster/access-rules.ts';
import { isStatus } from '../cluster/api-error.ts';
import type { AccessAttributes, Cluster } from '../cluster/types.ts';
import { findDisplaySecret } from '../console/secret/display-secret.ts';
import { VmopError } from '../errors.ts';
import type { TextView, View } from '../output/render.ts';
import { inParallel } from '../parallel.ts';
import {
  actionRequests,
  actionVerdict,
  parseAction,
  vmActions,
  type ActionVerdict,
  type Asker,
  type ReviewedRequest,
} from '../vm/actions.ts';
import type { VmAction } from '../vm/action-requests.ts';
import { governingPool } from '../vm/inventory.ts';
import { inScope, poolOf } from '../vm/permissions.ts';
import { generatedSecretName } from '../vm/runner-objects.ts';
import type { Vm } from '../vm/types.ts';
import { refOf } from '../vm/write.ts';
import type { Context } from '../cli/context.ts';
import { AlreadyTold } from '../cli/report.ts';
import { readInventory } from '../cli/inventory.ts';
import { resolveVm } from '../cli/targets.ts';

/** Says whether the API server's rules allow a request. */
type Oracle = (request: AccessAttributes) => Promise<boolean>;

/** How many reviews are asked for at once. */
const REVIEWS = 16;

/** Prints whether I may do something with a VM. Errors: `forbidden` for no; `usage`; what reading the VM says. */
export async function canI(context: Context, action: string, name: string | undefined): Promise<void> {
  const verdict = await verdictOn(context, action, name);
  await context.print(verdict, { ...VERDICT_VIEW, name: context.nameOf });
  verdictReasons(verdict).forEach((reason) => context.terminal.info(reason));
  if (!verdict.allowed) throw new AlreadyTold('forbidden', 'no');
}

/** Prints what I may do with a VM, or with each that I may use. */
export async function listVerdicts(context: Context, name: string | undefined): Promise<void> {
  await context.print(await allVerdicts(context, name), { ...VERDICTS_VIEW, name: context.nameOf });
}

async function verdictOn(context: Context, action: string, name: string | undefined): Promise<ActionVerdict> {
  const wanted = parseAction(action);
  const asker = await askerFor(context, name);
  const [verdict] = await verdictsOn(context.cluster, asker, [wanted], reviewOracle(context.cluster));
  if (verdict === undefined) throw new VmopError('failed', `nothing is known of ${wanted}`);
  return verdict;
}

async function allVerdicts(context: Context, name: string | undefined): Promise<ActionVerdict[]> {
  const { cluster } = context;
  if (name !== undefined) {
    const asker = await askerFor(context, name);
    return verdictsOn(cluster, asker, vmActions(), reviewOracle(cluster));
  }
  const { vms, pools, subject } = await readInventory(context, context.namespace);
  const mine = vms.filter((vm) => inScope(vm, pools, subject, 'usable'));
  // One answer is for all of them, where the API server knows all its rules.
  const rules = await cluster.rules(context.namespace);
  const oracle: Oracle = rules.incomplete
    ? reviewOracle(cluster)
    : async (request) => rulesAllow(rules, request);
  const verdicts = await inParallel(mine, REVIEWS, (vm) =>
    verdictsOn(cluster, { vm, pool: poolOf(vm, pools), subject }, vmActions(), oracle),
  );
  return verdicts.flat();
}

async function askerFor(context: Context, name: string | undefined): Promise<Asker> {
  const vm = await resolveVm(context, name);
  const [pool, subject] = await Promise.all([
    governingPool(context.cluster, vm),
    context.subject(vm.namespace),
  ]);
  return { vm, pool, subject };
}

/** An access review per request, asked for once however many actions need it. */
function reviewOracle(cluster: Cluster): Oracle {
  const asked = new Map<string, Promise<boolean>>();
  return (request) => {
    const key = JSON.stringify(request);
    const answer = asked.get(key) ?? cluster.canI(request).then(({ allowed }) => allowed);
    asked.set(key, answer);
    return answer;
  };
}

async function verdictsOn(
  cluster: Cluster,
  asker: Asker,
  actions: readonly VmAction[],
  oracle: Oracle,
): Promise<ActionVerdict[]> {
  const secret = await secretName(cluster, asker.vm, actions);
  return Promise.all(
    actions.map(async (action) => {
      const requests = actionRequests(action, asker.vm, secret);
      return actionVerdict(action, asker, await inParallel(requests, REVIEWS, reviewed(oracle)));
    }),
  );
}

function reviewed(
  oracle: Oracle,
): (asked: { request: AccessAttributes; needed: boolean }) => Promise<ReviewedRequest> {
  return async ({ request, needed }) => {
    const { verb, resource, subresource, name = '' } = request;
    const full = subresource === undefined ? resource : `${resource}/${subresource}`;
    return { verb, resource: full, name, allowed: await oracle(request), needed };
  };
}

/** The Secret's name may be any; where nobody may look for it, it is the one that VM-Operator gives. */
async function secretName(
  cluster: Cluster,
  vm: Vm,
  actions: readonly VmAction[],
): Promise<string | undefined> {
  const asked = actions.some((action) =>
    actionRequests(action, vm, '').some(({ request }) => request.resource === 'secrets'),
  );
  if (!asked) return undefined;
  try {
    return (await findDisplaySecret(cluster, refOf(vm))).secret?.name;
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    return generatedSecretName(vm);
  }
}

/** What a person reads besides yes or no. */
function verdictReasons({ permissions, server, difference }: ActionVerdict): string[] {
  return [
    `spec.permissions: ${[permissions.because, permissions.hint].filter(Boolean).join('; ')}`,
    `API server: ${server.because}`,
    ...(difference === undefined ? [] : [`They differ: ${difference}`]),
  ];
}

const VERDICT_VIEW: Omit<TextView<ActionVerdict>, 'name'> = {
  text: ({ allowed }) => (allowed ? 'yes\n' : 'no\n'),
};

const yesNo = (allowed: boolean): string => (allowed ? 'yes' : 'no');

const VERDICTS_VIEW: Omit<View<ActionVerdict>, 'name'> = {
  columns: [
    { header: 'NAME', value: (verdict) => verdict.name },
    { header: 'ACTION', value: (verdict) => verdict.action },
    {
      header: 'ALLOWED',
      value: (verdict) => yesNo(verdict.allowed),
      style: (_cell, verdict) => (verdict.allowed ? 'good' : 'dim'),
    },
    { header: 'PERMISSIONS', value: (verdict) => yesNo(verdict.permissions.allowed) },
    { header: 'SERVER', value: (verdict) => yesNo(verdict.server.allowed) },
    {
      header: 'BECAUSE',
      value: ({ permissions, server }) =>
        permissions.allowed ? (server.allowed ? permissions.because : server.because) : permissions.because,
      flexible: true,
    },
  ],
};
