/**
 * The embedded API with VMs of about 3 kB, in a process of its own: `node startup-api.ts VMS KUBECONFIG`. Says "ready"
 * when the VMs are there and the kubeconfig file is written; ends with its stdin.
 */
import { writeFileSync } from 'node:fs';
import { loadKubeconfig, openCluster } from '../src/lib/cluster/index.ts';
import type { JsonObject } from '../src/lib/cluster/types.ts';
import { startApi } from '../src/lib/sandbox/api/index.ts';
import { kubeconfigText } from '../src/lib/sandbox/kubeconfig.ts';
import { VMS } from '../src/lib/vm/parse.ts';

const NAMESPACE = 'default';
const TOKEN = 'bench';
const AT_ONCE = 8;

function virtualMachine(name: string): JsonObject {
  const spec = {
    permissions: [
      { user: 'alice', may: ['start', 'stop', 'accessConsole'] },
      { role: 'staff', may: ['accessConsole'] },
    ],
    vm: {
      state: 'Running',
      maximumCpus: 4,
      currentCpus: 2,
      maximumRam: '8Gi',
      currentRam: '4Gi',
      display: { spice: { port: 5900 } },
    },
  };
  // As `kubectl apply` leaves it, with the notes that fill a real one.
  const applied = JSON.stringify({ spec, notes: 'x'.repeat(1400) });
  return {
    metadata: { name, annotations: { 'kubectl.kubernetes.io/last-applied-configuration': applied } },
    spec,
  };
}

function runningStatus(now: string): JsonObject {
  const condition = (type: string): JsonObject => ({
    type,
    status: 'True',
    reason: 'Observed',
    message: '',
    lastTransitionTime: now,
    observedGeneration: 1,
  });
  return {
    cpus: 2,
    ram: '4Gi',
    nodeName: 'node-1',
    nodeAddresses: ['192.0.2.7'],
    conditions: ['Running', 'Booted', 'VmopAgentConnected', 'UserLoggedIn', 'ConsoleConnected'].map(
      condition,
    ),
  };
}

const [count = '10', file = ''] = process.argv.slice(2);
const { url, caPem } = await startApi({
  tokens: { [TOKEN]: { username: 'admin', groups: ['system:masters'] } },
});
writeFileSync(file, kubeconfigText({ url, caPem, userName: 'admin', token: TOKEN }), { mode: 0o600 });
const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'bench', timeoutMs: 30_000 });
const names = Array.from({ length: Number(count) }, (_, index) => `desktop-${index + 1}`);
const status = runningStatus(new Date().toISOString());
const createNext = async (): Promise<void> => {
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    await cluster.create(VMS, NAMESPACE, virtualMachine(name));
    const body = { status };
    await cluster.patch(
      VMS,
      { namespace: NAMESPACE, name },
      { type: 'merge', body },
      { subresource: 'status' },
    );
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, createNext));
cluster.close();
process.stdin.on('end', () => process.exit()).resume();
console.log('ready');
