import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmopError } from '../../../../src/lib/errors.ts';
import { checkListen, type ListenRequest } from '../../../../src/lib/console/web/listen.ts';

const tls = { certFile: 'cert.pem', keyFile: 'key.pem' };
const PLANS: [string, ListenRequest, ReturnType<typeof checkListen>][] = [
  ['nothing is said', {}, { host: '127.0.0.1', port: 0, name: '127.0.0.1' }],
  ['a port', { address: '127.0.0.1:8080' }, { host: '127.0.0.1', port: 8080, name: '127.0.0.1' }],
  ['localhost', { address: 'localhost:80' }, { host: '127.0.0.1', port: 80, name: '127.0.0.1' }],
  ['another loopback', { address: '127.9.9.9' }, { host: '127.9.9.9', port: 0, name: '127.9.9.9' }],
  ['IPv6 loopback', { address: '[::1]:8080' }, { host: '::1', port: 8080, name: '[::1]' }],
  ['IPv6 without a port', { address: '::1' }, { host: '::1', port: 0, name: '[::1]' }],
  [
    'loopback with TLS',
    { address: '127.0.0.1', ...tls },
    { host: '127.0.0.1', port: 0, name: '127.0.0.1', tls },
  ],
  [
    'others',
    { address: '192.0.2.7:8443', ...tls, forOthers: true },
    { host: '192.0.2.7', port: 8443, name: '192.0.2.7', tls },
  ],
  [
    'others by name',
    { address: '0.0.0.0:8443', ...tls, forOthers: true, name: 'Desk.Example.com' },
    { host: '0.0.0.0', port: 8443, name: 'desk.example.com', tls },
  ],
  [
    'others by IPv6',
    { address: '[2001:DB8::7]:8443', ...tls, forOthers: true },
    { host: '2001:DB8::7', port: 8443, name: '[2001:db8::7]', tls },
  ],
];

for (const [what, request, plan] of PLANS) {
  test(`listens: ${what}`, () => assert.deepEqual(checkListen(request), plan));
}

const REFUSALS: [string, ListenRequest, RegExp][] = [
  ['others without TLS', { address: '192.0.2.7:8443', forOthers: true }, /needs TLS/],
  ['others without a word', { address: '192.0.2.7:8443', ...tls }, /whoever gets the link/],
  ['everything without TLS', { address: '0.0.0.0', forOthers: true }, /needs TLS/],
  [
    'everything without a name',
    { address: '0.0.0.0:1', ...tls, forOthers: true },
    /no address that a browser/,
  ],
  ['IPv6 for everything', { address: '[::]:1', ...tls, forOthers: true }, /no address that a browser/],
  ['mapped IPv4', { address: '[::ffff:192.0.2.7]:1' }, /needs TLS/],
  ['half of TLS', { address: '127.0.0.1', certFile: 'cert.pem' }, /a certificate and its key/],
  ['the other half', { address: '127.0.0.1', keyFile: 'key.pem' }, /a certificate and its key/],
  ['a name', { address: 'desk.example.com:1' }, /no address to listen on/],
  ['a port alone', { address: ':8443' }, /no address to listen on/],
  ['a port beyond', { address: '127.0.0.1:65536' }, /no address to listen on/],
  ['nothing', { address: '' }, /no address to listen on/],
  ['a number', { address: '2130706433' }, /no address to listen on/],
  ['a URL', { address: 'http://127.0.0.1' }, /no address to listen on/],
  ['an IPv4 address in brackets', { address: '[127.0.0.1]:1' }, /no address to listen on/],
  ['no name', { address: '127.0.0.1', name: 'a b' }, /--listen-name/],
];

for (const [what, request, message] of REFUSALS) {
  test(`is refused: ${what}`, () => {
    assert.throws(
      () => checkListen(request),
      (error) => error instanceof VmopError && error.code === 'usage' && message.test(error.message),
    );
  });
}
