import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../../src/lib/console/reach/address.ts';
import { connectionFile, type ConnectionRequest } from '../../../src/lib/console/connection-file.ts';
import type { ErrorCode } from '../../../src/lib/errors.ts';
import { errorOf } from './helpers.ts';
import { readKeyFile } from './key-file-reader.ts';

const given = <T>(value: T, source = 'spec.vm.display.spice.server') => ({ value, source });
const ENDPOINT: Endpoint = { host: given('10.0.0.7'), port: given(5900) };

function read(request: Partial<ConnectionRequest>): Map<string, string> {
  const { group, entries } = readKeyFile(connectionFile({ endpoint: ENDPOINT, ...request }));
  assert.equal(group, 'virt-viewer');
  assert.equal(new Set(entries.map(({ key }) => key)).size, entries.length, 'each key stands once');
  return new Map(entries.map(({ key, value }) => [key, value]));
}

function refused(request: Partial<ConnectionRequest>): { code: ErrorCode; message: string } {
  return errorOf(() => connectionFile({ endpoint: ENDPOINT, ...request }));
}

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\nAAA=\n-----END CERTIFICATE-----\n';

test('the whole file, as the viewer gets it', () => {
  assert.equal(
    connectionFile({
      endpoint: { ...ENDPOINT, proxy: given('proxy.example:3128') },
      password: 'k/9+==',
      title: 'desktop-1',
      fullScreen: true,
      deleteThisFile: true,
    }),
    `[virt-viewer]
type=spice
host=10.0.0.7
port=5900
proxy=http://proxy.example:3128
password=k/9+==
title=desktop-1
fullscreen=1
delete-this-file=1
toggle-fullscreen=shift+f11
release-cursor=shift+f12
secure-attention=ctrl+alt+end
`,
  );
});

test('a socket of this machine stands in place of host and port', () => {
  const file = read({ endpoint: { unixPath: '/run/user/1000/vmop/s.sock' }, password: 'token' });
  assert.equal(file.get('unix-path'), '/run/user/1000/vmop/s.sock');
  for (const key of ['host', 'port', 'tls-port', 'proxy']) assert.equal(file.has(key), false, key);
  assert.match(refused({ endpoint: { unixPath: 'relative.sock' } }).message, /not the path of a socket/);
  assert.match(refused({ endpoint: { unixPath: `/${'x'.repeat(107)}` } }).message, /not the path/);
});

test('with TLS the plain port is not named, and of the PEM only certificates are', () => {
  const ca = given(`-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\r\n${PEM}${PEM}`, '--ca');
  const hostSubject = given('O=My Org, CN=desktop', '--host-subject');
  const file = read({ endpoint: { ...ENDPOINT, tls: { ca, hostSubject } } });
  assert.equal(file.has('port'), false);
  assert.equal(file.get('tls-port'), '5900');
  assert.equal(file.get('ca'), `${PEM.trim()}\n${PEM.trim()}\n`);
  assert.equal(file.get('host-subject'), 'O=My Org,CN=desktop');
  assert.match(
    refused({ endpoint: { ...ENDPOINT, tls: { ca: given('no pem', '--ca') } } }).message,
    /^--ca: /,
  );
  const subject = given('O=x\nhost=evil', '--host-subject');
  assert.equal(refused({ endpoint: { ...ENDPOINT, tls: { hostSubject: subject } } }).code, 'usage');
});

const HOSTS: [given: string, written: string][] = [
  ['10.0.0.7', '10.0.0.7'],
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '[::1]'],
  ['[::1]', '[::1]'],
  ['2001:db8::10', '[2001:db8::10]'],
  ['::ffff:10.0.0.7', '[::ffff:10.0.0.7]'],
  ['node-3.example.org', 'node-3.example.org'],
  ['node-3.example.org.', 'node-3.example.org.'],
  ['localhost', 'localhost'],
  ['my_host', 'my_host'],
  ['3com.example', '3com.example'],
  ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
];
for (const [host, written] of HOSTS) {
  test(`host ${host} is written ${written}`, () => {
    assert.equal(read({ endpoint: { ...ENDPOINT, host: given(host) } }).get('host'), written);
  });
}

const HOSTILE_HOSTS: [host: string, why: RegExp][] = [
  ['', /neither an IP address nor a DNS name/],
  ['10.0.0.7:5960', /carries a port/],
  ['host:5960', /carries a port/],
  ['[::1]:5960', /neither/],
  ['10.0.0.7\npassword=x', /"10\.0\.0\.7\\npassword=x" is neither/],
  ['10.0.0.7\r', /\\r/],
  ['10.0.0.7 ', /neither/],
  [' 10.0.0.7', /neither/],
  ['\u001b[31mhost', /\\x1b/],
  ['host\0', /\\x00/],
  ['fe80::1%eth0', /zone/],
  ['[fe80::1%25eth0]', /zone|brackets/],
  ['[10.0.0.7]', /brackets/],
  ['[host]', /brackets/],
  ['0.0.0.0', /names no machine/],
  ['::', /names no machine/],
  ['0:0:0:0:0:0:0:0', /names no machine/],
  ['10.0.0', /looks like an IP address/],
  ['10.0.0.256', /looks like an IP address/],
  ['2130706433', /looks like an IP address/],
  ['0x7f.1', /looks like an IP address/],
  ['-oProxyCommand=x', /neither/],
  ['-host', /neither/],
  ['host-.example', /neither/],
  ['a..b', /neither/],
  ['münchen.example', /neither/],
  ['user@host', /neither/],
  ['host/path', /neither/],
  ['spice://host', /neither/],
  ['$(id)', /neither/],
  ['host\u202egro', /\\u202e/],
  ['\ud800', /neither/],
  [`${'a'.repeat(64)}.example`, /neither/],
  [Array.from({ length: 130 }, () => 'a').join('.'), /neither/],
];
for (const [host, why] of HOSTILE_HOSTS) {
  test(`host ${JSON.stringify(host)} is refused`, () => {
    const { code, message } = refused({ endpoint: { ...ENDPOINT, host: given(host) } });
    assert.equal(code, 'console');
    assert.match(message, /^spec\.vm\.display\.spice\.server: /);
    assert.match(message, why);
    assert.doesNotMatch(message, /[\p{Cc}\u202e]/u);
    assert.ok(message.length < 250, message);
  });
}

test('a value from a flag is a usage error that names the flag', () => {
  const { code, message } = refused({ endpoint: { ...ENDPOINT, host: given('a b', '--host') } });
  assert.equal(code, 'usage');
  assert.equal(message, '--host: "a b" is neither an IP address nor a DNS name');
});

for (const port of [0, -1, 65536, 5900.5, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`port ${port} is refused`, () => {
    const { message } = refused({
      endpoint: { ...ENDPOINT, port: given(port, 'spec.vm.display.spice.port') },
    });
    assert.equal(message, `spec.vm.display.spice.port: ${port} is not a port (1 to 65535)`);
  });
}

const PROXIES: [given: string, written: string][] = [
  ['proxy.example:3128', 'http://proxy.example:3128'],
  ['http://proxy.example:3128', 'http://proxy.example:3128'],
  ['HTTP://proxy.example:3128/', 'http://proxy.example:3128'],
  ['http://[2001:db8::1]:3128', 'http://[2001:db8::1]:3128'],
  ['[2001:db8::1]:3128', 'http://[2001:db8::1]:3128'],
  ['http://alice:s3:cret@10.0.0.1:8080', 'http://alice:s3:cret@10.0.0.1:8080'],
  // Without a scheme the viewer takes the user for one and connects directly.
  ['alice:s3cret@10.0.0.1:8080', 'http://alice:s3cret@10.0.0.1:8080'],
];
for (const [proxy, written] of PROXIES) {
  test(`proxy ${proxy} is written ${written}`, () => {
    assert.equal(read({ endpoint: { ...ENDPOINT, proxy: given(proxy) } }).get('proxy'), written);
  });
}

const HOSTILE_PROXIES: [proxy: string, why: RegExp][] = [
  ['', /no host with a port/],
  ['socks5://10.0.0.1:1080', /of the kind socks5:/],
  ['https://10.0.0.1:3128', /of the kind https:/],
  ['javascript://10.0.0.1:3128', /of the kind javascript:/],
  ['http://10.0.0.1', /no host with a port/],
  ['http://10.0.0.1:3128/path', /has a path/],
  ['http://10.0.0.1:3128?x', /no host with a port/],
  ['http://10.0.0.1:0', /not a port/],
  ['http://10.0.0.1:99999', /not a port/],
  ['http://::1:3128', /no host with a port/],
  ['http://a b:3128', /neither an IP address/],
  ['http://host:3128\nhost=evil', /no host with a port|has a path/],
  ['http://alice@10.0.0.1:3128', /not user:password/],
  ['http://:pw@10.0.0.1:3128', /not user:password/],
  ['http://alice:hunter2%40@10.0.0.1:3128', /%-escapes/],
  ['http://alice:hun@ter2@10.0.0.1:3128', /characters that the viewer cannot hand on/],
  ['http://alice:hunter2\n@10.0.0.1:3128', /characters|no host/],
  ['ftp://alice:hunter2@10.0.0.1:3128', /of the kind ftp:/],
];
for (const [proxy, why] of HOSTILE_PROXIES) {
  test(`proxy ${JSON.stringify(proxy)} is refused, its password not shown`, () => {
    const proxyUrl = given(proxy, 'spec.vm.display.spice.proxyUrl');
    const { code, message } = refused({ endpoint: { ...ENDPOINT, proxy: proxyUrl } });
    assert.equal(code, 'console');
    assert.match(message, why);
    assert.doesNotMatch(message, /hunter2|hun@|ter2|\p{Cc}/u);
  });
}

const TITLES: [title: string, shown: string | undefined][] = [
  ['desktop-1', 'desktop-1'],
  ['  desktop-1  ', 'desktop-1'],
  ['a\nhost=evil', 'a host=evil'],
  ['\u001b]0;forged\u0007', ']0;forged'],
  ['a\u202eb', 'a b'],
  ['100%d and %d', '100%\u2060d and %\u2060d'],
  ['50% %n', '50% %n'],
  ['Büro 日本 🖥', 'Büro 日本 🖥'],
  ['a\ud800b', 'a\ufffdb'],
  ['\t', undefined],
];
for (const [title, shown] of TITLES) {
  test(`title ${JSON.stringify(title)}`, () => {
    assert.equal(read({ title }).get('title'), shown);
  });
}

test('without a password there is no such key; an empty one is written', () => {
  assert.equal(read({}).has('password'), false);
  assert.equal(read({ password: '' }).get('password'), '');
});

for (const password of ['a\0b', 'a\ud800', '\udc00']) {
  test(`password ${JSON.stringify(password)} is refused and not shown`, () => {
    const { code, message } = refused({ password });
    assert.equal(code, 'console');
    assert.equal(message, 'the password holds a NUL or half a character, which no connection file can carry');
  });
}

test('whatever a password holds, it comes back as it was and adds no key', () => {
  const pieces = [
    '\n',
    '\r',
    '\t',
    '\\',
    '\\n',
    '\\s',
    ' ',
    '=',
    '#',
    ';',
    '[x]',
    '"',
    "'",
    '%',
    '$',
    '&',
    'é',
    '日',
    '🖥',
    '\u0001',
    '\u2028',
    'host=evil',
    'type=vnc',
    'a',
  ];
  // A fixed linear congruential generator: the same thousand cases in every run.
  let seed = 1;
  const next = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  const keys = [...read({ password: 'x' }).keys()];
  for (let round = 0; round < 1000; round++) {
    const password = Array.from({ length: next(12) }, () => pieces[next(pieces.length)]).join('');
    const file = read({ password });
    assert.equal(file.get('password'), password);
    assert.deepEqual([...file.keys()], keys);
  }
});
