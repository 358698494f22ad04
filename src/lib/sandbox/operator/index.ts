import type { Cluster, ObjectRef } from '../../cluster/types.ts';
import type { Driver } from '../drivers/driver.ts';
import { Manager } from './manager.ts';
import { RunnerHost } from './runner-host.ts';
import type { RunnerLog } from './runner-log.ts';

export { RunnerLog, type LogLine } from './runner-log.ts';

export interface OperatorOptions {
  /** With the rights of an administrator of the namespaces. */
  cluster: Cluster;
  /** As the runners, which read their VMs and report on them; default: as the operator. */
  runnerCluster?: Cluster | undefined;
  /** undefined: all. */
  namespace?: string | undefined;
  driver: Driver;
  /** Holds one private folder per machine; at most about 60 bytes long, so that sockets fit below it. */
  machinesFolder: string;
  /** What the runners' pods run as; it has to exist where the API server checks that. */
  serviceAccountName?: string | undefined;
  /** One line for the sandbox's own log. */
  log: (line: string) => void;
}

export interface Operator {
  /** What the runner of a pod has logged; undefined when there is no such runner. */
  logOf(pod: ObjectRef): RunnerLog | undefined;
  /**
   * `detach` leaves the machines to a later operator; `end` asks the guests to power down and ends after
   * `withinSeconds` what has not. Resolves when nothing is under way any more.
   */
  stop(machines: { detach: true } | { withinSeconds: number }): Promise<void>;
}

/**
 * VM-Operator's observable behaviour for the VMs of a cluster, with machines run by `driver` on this machine. A plain
 * client of the API server. Resolves when it has seen everything once; rejects when a listing is refused.
 */
export async function startOperator(options: OperatorOptions): Promise<Operator> {
  const { cluster, namespace, driver, machinesFolder, serviceAccountName = 'default', log } = options;
  const { runnerCluster = cluster } = options;
  const host = new RunnerHost({ cluster, runnerCluster, namespace, driver, machinesFolder, log });
  const manager = new Manager({ cluster, namespace, serviceAccountName, log });
  const stop: Operator['stop'] = async (machines) => {
    await manager.stop();
    await ('detach' in machines ? host.detach() : host.end(machines.withinSeconds));
  };
  try {
    // The host first: it takes over what still runs before anything is changed.
    await host.start();
    await manager.start();
  } catch (error) {
    await stop({ detach: true });
    throw error;
  }
  return { logOf: (pod) => host.logOf(pod), stop };
}
