import { isIPv6 } from 'node:net';
import { VmopError } from '../../errors.ts';
import type { Vm } from '../../vm/types.ts';
import { checkedHost, checkedPort, checkedProxy, type Endpoint, type Given } from './address.ts';
import { checkedCertificates, checkedSubject } from './certificates.ts';
import type { RunnerPod } from './runner-pod.ts';

/** What flags, variables and the configuration say instead of the VM. */
export interface EndpointOverrides {
  host?: Given | undefined;
  port?: Given<number> | undefined;
  /** `none`: no proxy, whatever the VM says. */
  proxy?: Given | undefined;
  /** PEM. With `ca` or `hostSubject` the port speaks TLS. */
  ca?: Given | undefined;
  hostSubject?: Given | undefined;
}

/**
 * Where a VM's console is: what the user says, else what the VM says, else its pod. All of it is checked.
 * Errors: `state` without a display or an address, `console` or `usage` for a value that cannot be used.
 */
export function consoleEndpoint(
  vm: Vm,
  pod: RunnerPod | undefined,
  overrides: EndpointOverrides = {},
): Endpoint {
  const { spice } = vm.spec;
  if (spice === undefined) {
    throw new VmopError('state', `${vm.name} has no SPICE display`, {
      hint: 'a console needs spec.vm.display.spice',
      vm: vm.name,
    });
  }
  const host = overrides.host ?? given(spice.server, 'spec.vm.display.spice.server') ?? podHost(pod);
  if (host === undefined) {
    throw new VmopError('state', `${vm.name} has no address yet`, {
      hint: 'its runner has no pod with an address: try again in a moment, or name one with --host',
      vm: vm.name,
    });
  }
  const port = overrides.port ?? { value: spice.port, source: 'spec.vm.display.spice.port' };
  const wantedProxy = overrides.proxy ?? given(spice.proxyUrl, 'spec.vm.display.spice.proxyUrl');
  const proxy = wantedProxy?.value === 'none' ? undefined : wantedProxy;
  checkedHost(host);
  checkedPort(port);
  if (proxy) checkedProxy(proxy);
  const { ca, hostSubject } = overrides;
  if (ca) checkedCertificates(ca);
  if (hostSubject) checkedSubject(hostSubject);
  const tls = { ...(ca && { ca }), ...(hostSubject && { hostSubject }) };
  return { host, port, ...(ca || hostSubject ? { tls } : {}), ...(proxy && { proxy }) };
}

function given(value: string | undefined, source: string): Given | undefined {
  return value === undefined ? undefined : { value, source };
}

/** The pod's first IPv4 address, as VM-Operator prefers them, else its first. */
function podHost(pod: RunnerPod | undefined): Given | undefined {
  const addresses = pod?.addresses ?? [];
  const address = addresses.find((candidate) => !isIPv6(candidate)) ?? addresses[0];
  return given(address, "status.podIPs of the runner's pod");
}
