import { isStatus } from '../../cluster/api-error.ts';
import type { Cluster, ObjectRef } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { VMS } from '../../vm/parse.ts';
import type { Vm } from '../../vm/types.ts';
import { consoleGates, gateError } from '../gates.ts';
import type { PreparedConsole } from '../prepare.ts';
import { currentEndpoint, whereOf, type Route } from '../reach/route.ts';
import type { ConsoleRequest } from '../request.ts';
import type { LinkTarget } from '../web/ticket.ts';

/** What a link is for: not another machine of the name, nor one that is elsewhere. */
export function linkTarget({ namespace, name, uid }: Vm, route: Pick<Route, 'via' | 'endpoint'>): LinkTarget {
  return { vm: `${namespace}/${name} ${uid}`, destination: whereOf(route) };
}

/**
 * Looks at the VM anew, at the moment at which somebody wants to connect to a console that was prepared some time
 * before. Resolves to what they would open. Errors: `notFound`; the first gate's that is shut now; as `findRoute`.
 */
export async function admitNow(
  cluster: Cluster,
  { vm: { namespace, name }, route: { via }, admission }: PreparedConsole,
  request: ConsoleRequest,
): Promise<LinkTarget> {
  const vm = await present(cluster, { namespace, name });
  const gates = consoleGates(vm, { ...request, name: request.me });
  const shut = gateError(
    vm,
    gates.filter(({ name: gate }) => gate === 'running'),
  );
  if (shut) throw shut;
  await admission.check();
  return linkTarget(vm, { via, endpoint: await currentEndpoint(cluster, vm, via, request) });
}

async function present(cluster: Cluster, ref: ObjectRef): Promise<Vm> {
  try {
    return await cluster.get(VMS, ref);
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
    throw new VmopError('notFound', `${ref.name} was deleted`, { cause: error, vm: ref.name });
  }
}
