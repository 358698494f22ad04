import { kubectlArgument, refOf, specVmPatch, vmArgument, type WriteMode } from './write.ts';
import { VmopError } from '../errors.ts';
import { modify } from '../cluster/modify.ts';
import { asObject, asString } from '../cluster/parse.ts';
import type { Cluster, KubeObject, ObjectMeta, Patch, Resource } from '../cluster/types.ts';
import { isStatus } from '../cluster/api-error.ts';
import { VMS } from './parse.ts';
import { raiseResetCounter } from './reset-counter.ts';
import { isOfEarlierVm } from './runner-objects.ts';
import { condition, isRunning, phaseOf, startObstacle } from './state.ts';
import type { PowerState, Vm } from './types.ts';
import type { Lateness, Verdict } from './follow.ts';

/** Asks the operator for a power state; `written` is false when it was wanted already. */
export async function setPowerState(
  cluster: Cluster,
  vm: Vm,
  state: PowerState,
  mode: WriteMode = {},
): Promise<{ object: Vm; written: boolean }> {
  const decide = (current: Vm): Patch | undefined =>
    current.spec.state === state ? undefined : specVmPatch(current, { state });
  return modify(cluster, VMS, refOf(vm), decide, { ...mode, first: vm });
}

/** Waiting for a start: done when the guest's CPUs run. */
export function startedVerdict(vm: Vm): Verdict<Vm> {
  if (phaseOf(vm) === 'running') return { done: vm };
  if (vm.spec.state === 'Stopped') {
    const error = new VmopError(
      'conflict',
      `${vm.name} is to be stopped again: somebody changed it, or its guest powered off`,
      {
        hint: `vmop show ${vmArgument(vm)} tells what happened`,
        vm: vm.name,
      },
    );
    return { failed: error };
  }
  return undefined;
}

/** Waiting for a stop: done when the machine is gone. */
export function stoppedVerdict(vm: Vm): Verdict<Vm> {
  if (phaseOf(vm) === 'stopped') return { done: vm };
  if (vm.spec.state === 'Running') {
    const error = new VmopError('conflict', `${vm.name} is to run again: somebody started it meanwhile`, {
      vm: vm.name,
    });
    return { failed: error };
  }
  return undefined;
}

/** The clause for a start that takes too long. */
export function describeLateStart(vm: Vm | undefined): Lateness {
  if (vm === undefined) return { state: 'nothing is known of it' };
  const running = condition(vm, 'Running');
  const why =
    running === undefined || running.reason === '' ? '' : ` (Running=${running.status}, ${running.reason})`;
  const obstacle = startObstacle(vm);
  if (vm.status.runnerVersion === undefined && running?.reason !== 'RunnerStarted') {
    return {
      state: `still not running${why}`,
      hint: `no runner has reported: is VM-Operator running, and can its pod be scheduled? kubectl describe pod ${kubectlArgument(vm)}`,
    };
  }
  return { state: `still not running${why}`, hint: obstacle ?? `vmop show ${vmArgument(vm)} tells more` };
}

/** The clause for a stop that takes too long. */
export function describeLateStop(vm: Vm | undefined): Lateness {
  if (vm === undefined) return { state: 'nothing is known of it' };
  const hint = `the guest has up to ${vm.spec.powerdownTimeoutSeconds} s to power down; vmop stop --force ${vmArgument(vm)} ends it now`;
  return { state: isRunning(vm) ? 'still shutting down' : 'still stopping', hint };
}

interface Raw {
  name: string;
  object: KubeObject;
}

const keep = (object: KubeObject): Raw => ({ name: object.metadata.name, object });

const CONFIG_MAPS: Resource<Raw> = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
  parse: keep,
};

const PODS: Resource<Raw> = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
  parse: keep,
};

const CONFIG_KEY = 'config.yaml';
const CM_VERSION = 'vmrunner.jdrupes.org/cmVersion';

/**
 * Resets the machine as its reset button would: raises `resetCounter` in the runner's configuration and touches the
 * pod, so that the kubelet hands the change on at once. VM-Operator reports nothing back.
 * Errors: `state` when the VM has no runner.
 */
export async function resetMachine(cluster: Cluster, vm: Vm, mode: WriteMode = {}): Promise<void> {
  if (phaseOf(vm) !== 'running') {
    throw new VmopError('state', `${vm.name} is ${phaseOf(vm)}: only a running VM can be reset`, {
      hint: `vmop start ${vmArgument(vm)}`,
      vm: vm.name,
    });
  }
  const yaml = await import('yaml');
  const decide = ({ object }: Raw): Patch => {
    if (isOfEarlierVm(object.metadata, vm)) throw noRunner(vm);
    const text = raiseResetCounter(asString(asObject(object['data'])[CONFIG_KEY]) ?? '', yaml);
    const { resourceVersion } = object.metadata;
    return { type: 'merge', body: { metadata: { resourceVersion }, data: { [CONFIG_KEY]: text } } };
  };
  try {
    await modify(cluster, CONFIG_MAPS, refOf(vm), decide, mode);
    const annotations = { [CM_VERSION]: `vmop-${Date.now()}` };
    await cluster.patch(PODS, refOf(vm), { type: 'merge', body: { metadata: { annotations } } }, mode);
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
    throw noRunner(vm, error);
  }
}

function noRunner(vm: Vm, cause?: unknown): VmopError {
  return new VmopError('state', `${vm.name} has no runner to reset it`, {
    hint: `vmop restart ${vmArgument(vm)} stops and starts it`,
    vm: vm.name,
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Ends the machine without asking the guest: the runner's pod is deleted with no time to power down. The pod of an
 * earlier VM of this name is left alone.
 */
export async function killMachine(cluster: Cluster, vm: Vm, mode: WriteMode = {}): Promise<void> {
  try {
    const pod = await readPod(cluster, vm);
    if (pod !== undefined && isOfEarlierVm(pod, vm)) return;
    await cluster.delete(PODS, refOf(vm), { ...mode, graceSeconds: 0, uid: pod?.uid });
  } catch (error) {
    // Another pod meanwhile is not the one that was to go.
    if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
  }
}

/** Undefined where pods may be deleted and not read. */
async function readPod(cluster: Cluster, vm: Vm): Promise<ObjectMeta | undefined> {
  try {
    return (await cluster.get(PODS, refOf(vm))).object.metadata;
  } catch (error) {
    if (isStatus(error, 403)) return undefined;
    throw error;
  }
}
