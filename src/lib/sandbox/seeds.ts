import { createServer } from 'node:net';
import { isStatus } from '../cluster/api-error.ts';
import type { Cluster, JsonObject } from '../cluster/types.ts';
import { POOLS, VMS } from '../vm/parse.ts';

const NAMESPACE = 'default';
export const SEED_NAMES = ['desktop-1', 'desktop-2', 'desktop-3'] as const;
const POOL = 'desktops';

/** The VMs that a new sandbox has, one SPICE port for each, with permissions for the person who started it. */
function seedVms(person: string, ports: readonly number[]): JsonObject[] {
  const settings: JsonObject[] = [
    { permissions: [{ user: person, may: ['*'] }] },
    { pools: [POOL], permissions: [{ user: person, may: ['start', 'stop', 'reset', 'accessConsole'] }] },
    {
      pools: [POOL],
      permissions: [
        { role: 'staff', may: ['accessConsole'] },
        { user: person, may: ['start', 'stop', 'accessConsole'] },
      ],
    },
  ];
  return SEED_NAMES.map((name, index) => ({
    metadata: { name },
    spec: {
      ...settings[index],
      vm: {
        state: 'Stopped',
        maximumCpus: 2,
        currentCpus: 2,
        maximumRam: '1Gi',
        currentRam: '512Mi',
        powerdownTimeout: 20,
        display: { spice: { port: ports[index] ?? 5900 + index } },
      },
    },
  }));
}

function seedPool(person: string): JsonObject {
  const permissions = [{ user: person, may: ['*'] }, { role: 'staff' }];
  return { metadata: { name: POOL }, spec: { retention: 'PT1H', loginOnAssignment: true, permissions } };
}

/** Makes them; what is there already stays as it is. */
export async function createSeeds(cluster: Cluster, person: string): Promise<void> {
  const ports = await freePorts(SEED_NAMES.length);
  const results = await Promise.allSettled([
    cluster.create(POOLS, NAMESPACE, seedPool(person)),
    ...seedVms(person, ports).map((vm) => cluster.create(VMS, NAMESPACE, vm)),
  ]);
  for (const result of results) {
    if (result.status === 'rejected' && !isStatus(result.reason, 409)) throw result.reason;
  }
}

/** Ports of loopback that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject);
            server.listen(0, '127.0.0.1', () => {
              const address = server.address();
              if (typeof address === 'object' && address !== null) resolve(address.port);
            });
          }),
      ),
    );
  } finally {
    for (const server of servers) server.close();
  }
}
