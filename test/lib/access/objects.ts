import type { AccessInput } from '../../../src/lib/access/grants.ts';
import type { AccessOptions } from '../../../src/lib/access/manifests.ts';
import type { JsonObject } from '../../../src/lib/cluster/types.ts';
import { parsePool, parseVm } from '../../../src/lib/vm/parse.ts';
import { GROUP, VERSION, type Vm, type VmPool } from '../../../src/lib/vm/types.ts';

const apiVersion = `${GROUP}/${VERSION}`;

export function vmOf(
  name: string,
  permissions: unknown,
  rest: { spec?: JsonObject; status?: JsonObject } = {},
): Vm {
  return parseVm({
    apiVersion,
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'desks' },
    spec: { permissions, vm: { maximumCpus: 2, display: { spice: {} } }, ...rest.spec },
    status: rest.status,
  });
}

export function poolNamed(name: string, permissions: unknown): VmPool {
  return parsePool({
    apiVersion,
    kind: 'VmPool',
    metadata: { name, namespace: 'desks' },
    spec: { permissions },
  });
}

export function inputOf(vms: Vm[], pools: VmPool[] = [], secrets: AccessInput['secrets'] = []): AccessInput {
  return { vms, pools, secrets };
}

/** As the command line gives them by default. */
export const OPTIONS: AccessOptions = {
  users: undefined,
  roles: undefined,
  poolMembers: false,
  userPrefix: '',
  groupRoles: {},
  exemptUsers: [],
  exemptGroups: [],
  administratorVerb: 'patch',
  policies: true,
  events: true,
  tunnel: true,
};
