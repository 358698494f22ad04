import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseObject } from '../../../../src/lib/cluster/parse.ts';
import { publicProxy, type Endpoint } from '../../../../src/lib/console/reach/address.ts';
import { whereOf } from '../../../../src/lib/console/reach/route.ts';
import { consoleEndpoint, type EndpointOverrides } from '../../../../src/lib/console/reach/endpoint.ts';
import { RUNNER_PODS } from '../../../../src/lib/console/reach/runner-pod.ts';
import { errorOf } from '../helpers.ts';
import { vmOf } from '../objects.ts';

const pod = (status: unknown) =>
  RUNNER_PODS.parse(
    parseObject(
      { metadata: { name: 'desktop-1', namespace: 'ns' }, status },
      { apiVersion: 'v1', kind: 'Pod' },
    ),
  );
const DUAL = { podIP: '10.0.0.7', podIPs: [{ ip: '10.0.0.7' }, { ip: '2001:db8::7' }], hostIP: '10.0.0.7' };
const spice = (fields: object) => vmOf({ vm: { display: { spice: { port: 5910, ...fields } } } });
const flag = <T>(value: T, name: string) => ({ value, source: name });
const POD_SOURCE = "status.podIPs of the runner's pod";
const PORT = { value: 5910, source: 'spec.vm.display.spice.port' };

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

interface Case {
  fields?: object;
  status?: unknown;
  overrides?: EndpointOverrides;
  expected: Endpoint;
}
const CASES: Record<string, Case> = {
  'the pod': { expected: { host: flag('10.0.0.7', POD_SOURCE), port: PORT } },
  'the pod has addresses of both families, IPv6 first': {
    status: { podIPs: [{ ip: '2001:db8::7' }, { ip: '10.0.0.7' }] },
    expected: { host: flag('10.0.0.7', POD_SOURCE), port: PORT },
  },
  'the pod has only an IPv6 address': {
    status: { podIP: '2001:db8::7' },
    expected: { host: flag('2001:db8::7', POD_SOURCE), port: PORT },
  },
  'only the node has an address': {
    status: { hostIP: '10.0.0.9' },
    expected: { host: flag('10.0.0.9', POD_SOURCE), port: PORT },
  },
  'the VM names a server': {
    fields: { server: 'node.example', proxyUrl: 'http://proxy.example:3128' },
    expected: {
      host: flag('node.example', 'spec.vm.display.spice.server'),
      port: PORT,
      proxy: flag('http://proxy.example:3128', 'spec.vm.display.spice.proxyUrl'),
    },
  },
  'the user names all': {
    fields: { server: 'bad host', proxyUrl: 'socks5://x:1' },
    overrides: {
      host: flag('::1', '--host'),
      port: flag(6000, '--port'),
      proxy: flag('p:1', 'VMOP_PROXY'),
      ca: flag(PEM, '--ca'),
    },
    expected: {
      host: flag('::1', '--host'),
      port: flag(6000, '--port'),
      proxy: flag('p:1', 'VMOP_PROXY'),
      tls: { ca: flag(PEM, '--ca') },
    },
  },
  'the user wants no proxy': {
    fields: { proxyUrl: 'socks5://x:1' },
    overrides: { proxy: flag('none', '--proxy') },
    expected: { host: flag('10.0.0.7', POD_SOURCE), port: PORT },
  },
};
for (const [what, { fields = {}, status = DUAL, overrides = {}, expected }] of Object.entries(CASES)) {
  test(`endpoint: ${what}`, () => {
    assert.deepEqual(consoleEndpoint(spice(fields), pod(status), overrides), expected);
  });
}

test('no display, and no address yet', () => {
  const blind = errorOf(() => consoleEndpoint(vmOf({ vm: { display: {} } }), pod(DUAL)));
  assert.deepEqual([blind.code, blind.message], ['state', 'desktop-1 has no SPICE display']);
  for (const none of [undefined, pod({}), pod(undefined), pod({ podIP: 5, podIPs: 'x' })]) {
    const error = errorOf(() => consoleEndpoint(spice({}), none));
    assert.deepEqual([error.code, error.message], ['state', 'desktop-1 has no address yet']);
    assert.match(error.hint ?? '', /--host/);
  }
});

test('hostile values are refused where they come from', () => {
  const server = errorOf(() => consoleEndpoint(spice({ server: 'evil\npassword=x' }), pod(DUAL)));
  assert.deepEqual(
    [server.code, server.message],
    ['console', 'spec.vm.display.spice.server: "evil\\npassword=x" is neither an IP address nor a DNS name'],
  );
  assert.match(
    errorOf(() => consoleEndpoint(spice({ port: 70_000 }), pod(DUAL))).message,
    /^spec\.vm\.display\.spice\.port: /,
  );
  assert.match(
    errorOf(() => consoleEndpoint(spice({ proxyUrl: 'socks5://x:1' }), pod(DUAL))).message,
    /proxyUrl: /,
  );
  const host = errorOf(() => consoleEndpoint(spice({}), pod(DUAL), { host: flag('a:1', '--host') }));
  assert.deepEqual(
    [host.code, host.message],
    ['usage', '--host: "a:1" carries a port, which is given on its own'],
  );
  assert.match(errorOf(() => consoleEndpoint(spice({}), pod({ podIP: 'a b' }))).message, /^status\.podIPs/);
  const ca = errorOf(() => consoleEndpoint(spice({}), pod(DUAL), { ca: flag('PEM', '--ca') }));
  assert.deepEqual([ca.code, ca.message], ['usage', '--ca: holds no certificate in PEM form']);
});

test('a proxy is shown without its credentials', () => {
  assert.equal(
    publicProxy({ value: 'http://bob:secret@[fd00::1]:3128', source: '--proxy' }),
    'http://[fd00::1]:3128',
  );
});

test('where a console is, in words: an IPv6 address has its brackets', () => {
  const source = 'test';
  const at = (value: string) => ({ host: { value, source }, port: { value: 5900, source } });
  const words: [via: 'direct' | 'tunnel', host: string, expected: string][] = [
    ['direct', '10.0.0.7', '10.0.0.7:5900'],
    ['direct', 'fd00::1', '[fd00::1]:5900'],
    ['direct', '[fd00::1]', '[fd00::1]:5900'],
    ['tunnel', 'fd00::1', '[fd00::1]:5900 through the API server'],
  ];
  for (const [via, host, expected] of words) assert.equal(whereOf({ via, endpoint: at(host) }), expected);
});
