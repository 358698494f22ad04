import { isStatus } from '../../cluster/api-error.ts';
import type { Cluster } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';
import { isOfEarlierVm } from '../../vm/runner-objects.ts';
import type { Vm } from '../../vm/types.ts';
import { briefMessage } from '../../vm/refusal.ts';
import { refOf, vmArgument } from '../../vm/write.ts';
import type { Endpoint } from './address.ts';
import { endpointDial, tunnelDial, type Dial, type PreflightStep, type Tunnel } from './dial.ts';
import { consoleEndpoint } from './endpoint.ts';
import { preflight } from './preflight.ts';
import { reachTarget } from './reach-error.ts';
import type { ConsoleHooks, ConsoleRequest } from '../request.ts';
import { RUNNER_PODS, type RunnerPod } from './runner-pod.ts';

/** A way to a VM's SPICE server that was gone once, up to where the password is due. */
export interface Route {
  /** `tunnel`: through the API server's port-forward. */
  via: 'direct' | 'tunnel';
  /** Where the server is, also behind a tunnel. */
  endpoint: Endpoint;
  /** A new connection on this way. */
  dial: Dial;
}

/** What was tried, and what came of it. */
export interface RouteSearch {
  route: Route | undefined;
  /** Of the way that was found, else of the direct one. */
  steps: PreflightStep[];
  /** Why the direct way was not taken; without a route also why there is none. */
  error: VmopError | undefined;
}

type Asked = Pick<ConsoleRequest, 'overrides' | 'hosts' | 'tunnel' | 'leaving' | 'signal'> & {
  hooks?: Pick<ConsoleHooks, 'onStep' | 'onDetail'>;
};

/**
 * Looks for a way, changing nothing: the direct one, then the one through the API server, as far as `tunnel` allows
 * them. Rejects with what `consoleEndpoint` refuses, and with the signal's reason.
 */
export async function searchRoute(cluster: Cluster, vm: Vm, asked: Asked): Promise<RouteSearch> {
  const { overrides, tunnel, leaving, signal, hooks } = asked;
  hooks?.onStep('looking for its SPICE port');
  const pod = overrides.host || vm.spec.spice?.server ? undefined : await runnerPod(cluster, vm);
  const steps = { signal, onStep: (step: PreflightStep) => hooks?.onDetail(stepLine(step)) };
  let direct: { steps: PreflightStep[]; error: VmopError } | undefined;
  // Where no address is known, or pods may not be read, the API server may still know the way.
  const addressed = overrides.host || vm.spec.spice?.server || (pod?.addresses ?? []).length > 0;
  if (tunnel === 'never' || leaving !== undefined || (tunnel === 'auto' && addressed)) {
    const endpoint = directEndpoint(vm, pod, asked);
    hooks?.onStep(`calling ${reachTarget(endpoint).at}`);
    const reached = await preflight(endpoint, steps);
    if (reached.reachable) {
      const route: Route = { via: 'direct', endpoint, dial: endpointDial(endpoint) };
      return { route, steps: reached.steps, error: undefined };
    }
    direct = reached;
    if (tunnel === 'never') return { route: undefined, ...direct };
  }
  const way = tunnelTo(cluster, vm, pod, asked);
  hooks?.onStep(`calling port ${way.endpoint.port.value} of pod ${vm.name} through the API server`);
  const reached = await preflight(way, steps);
  if (reached.reachable) {
    if (direct && leaving)
      return { route: undefined, steps: direct.steps, error: without(leaving, direct.error) };
    const route: Route = { via: 'tunnel', endpoint: way.endpoint, dial: tunnelDial(way) };
    return { route, steps: reached.steps, error: direct?.error };
  }
  const error = withoutPod(vm, reached.error);
  return {
    route: undefined,
    steps: direct?.steps ?? reached.steps,
    error: direct === undefined ? error : leaving ? direct.error : neither(direct.error, error),
  };
}

/** As `searchRoute`, for a console that shall be opened. Errors: also why there is no way. */
export async function findRoute(
  cluster: Cluster,
  vm: Vm,
  request: ConsoleRequest,
  hooks: ConsoleHooks,
): Promise<Route> {
  const { route, error } = await searchRoute(cluster, vm, { ...request, hooks });
  if (route === undefined) throw error ?? new VmopError('console', `there is no way to ${vm.name}`);
  if (error !== undefined) hooks.onWarning(`${error.message}: going through the API server instead`);
  return route;
}

/** Where a way leads by what the cluster says now: the VM may have moved since. Errors: as `searchRoute`. */
export async function currentEndpoint(
  cluster: Cluster,
  vm: Vm,
  via: Route['via'],
  asked: Asked,
): Promise<Endpoint> {
  const named = asked.overrides.host || vm.spec.spice?.server;
  const pod = named ? undefined : await runnerPod(cluster, vm);
  return via === 'direct' ? directEndpoint(vm, pod, asked) : tunnelTo(cluster, vm, pod, asked).endpoint;
}

/** For messages: where the console is, and how it is reached. */
export function whereOf({ via, endpoint }: Pick<Route, 'via' | 'endpoint'>): string {
  const { at } = reachTarget(endpoint);
  return via === 'direct' ? at : `${at} through the API server`;
}

/** What the API server does not find is the pod. */
function withoutPod(vm: Vm, error: VmopError): VmopError {
  if (!isStatus(error, 404)) return error;
  const hint = `it may be ending, or about to start again: vmop show ${vmArgument(vm)} tells more`;
  return new VmopError('state', `the runner of ${vm.name} has no pod`, { hint, cause: error, vm: vm.name });
}

function neither(direct: VmopError, tunnel: VmopError): VmopError {
  const hint = `the way through the API server fails, too: ${briefMessage(tunnel)}`;
  return new VmopError(direct.code, direct.message, { hint, cause: direct, vm: direct.vm });
}

/** What was asked for cannot go through the API server, where there is a way. */
function without(leaving: string, direct: VmopError): VmopError {
  const tunnel = `without ${leaving} it works, through the API server`;
  const hint = direct.hint === undefined ? tunnel : `${tunnel}; ${direct.hint}`;
  return new VmopError(direct.code, direct.message, { hint, cause: direct, vm: direct.vm });
}

function stepLine({ name, ok, ms, detail }: PreflightStep): string {
  return `${name}: ${ok ? 'ok' : 'failed'} after ${ms} ms${detail === '' ? '' : `: ${detail}`}`;
}

function directEndpoint(vm: Vm, pod: RunnerPod | undefined, { overrides, hosts }: Asked): Endpoint {
  const endpoint = consoleEndpoint(vm, pod, overrides);
  const mapped = overrides.host ? undefined : hosts[endpoint.host.value];
  if (mapped === undefined) return endpoint;
  const host = { value: mapped, source: `hosts of config.yaml, for ${endpoint.host.value}` };
  return consoleEndpoint(vm, pod, { ...overrides, host });
}

/** The runner uses the node's network, so that the pod's port is the VM's. */
function tunnelTo(cluster: Cluster, vm: Vm, pod: RunnerPod | undefined, { overrides }: Asked): Tunnel {
  // Only a name, for messages and certificates: an address is not needed here.
  const unknown = vm.spec.spice?.server === undefined && (pod?.addresses ?? []).length === 0;
  const host = overrides.host ?? (unknown ? { value: vm.name, source: 'the name of its pod' } : undefined);
  const { port } = overrides;
  const proxy = { value: 'none', source: 'the tunnel' };
  const endpoint = consoleEndpoint(vm, pod, { ...overrides, host, proxy });
  const target = port?.value ?? endpoint.port.value;
  return { endpoint, forward: (signal) => cluster.forward(refOf(vm), target, { signal }) };
}

/** Error: `state` when an earlier VM of this name still has its pod there, behind which is that one's display. */
async function runnerPod(cluster: Cluster, vm: Vm): Promise<RunnerPod | undefined> {
  let pod: RunnerPod;
  try {
    pod = await cluster.get(RUNNER_PODS, refOf(vm));
  } catch (error) {
    // Where pods may not be read, the way through them may still be open.
    if (isStatus(error, 404) || isStatus(error, 403)) return undefined;
    throw error;
  }
  if (!isOfEarlierVm(pod.metadata, vm)) return pod;
  throw new VmopError('state', `pod ${vm.name} is still that of an earlier VM of this name`, {
    hint: 'VM-Operator runs this one when that has gone: try again in a moment',
    vm: vm.name,
  });
}
