import assert from 'node:assert/strict';
import { test } from 'node:test';
import { osinfoOfAgentLine } from '../../../../src/lib/sandbox/drivers/qemu/agent-port.ts';
import {
  ConsoleWatch,
  exitOf,
  mainChannel,
  portChange,
  type MachineEnd,
} from '../../../../src/lib/sandbox/drivers/qemu/events.ts';
import { displayPasswordProblem } from '../../../../src/lib/sandbox/drivers/qemu/password.ts';
import { names } from '../../../../src/lib/sandbox/drivers/qemu/process.ts';
import type { QmpEvent } from '../../../../src/lib/sandbox/drivers/qemu/qmp.ts';
import { startError } from '../../../../src/lib/sandbox/drivers/qemu/start-error.ts';

const server = { port: '5930', family: 'ipv4', host: '127.0.0.1' };

const initialized = (port: string, type: unknown): QmpEvent => ({
  name: 'SPICE_INITIALIZED',
  data: { server, client: { port, host: '127.0.0.1', 'channel-type': type, 'channel-id': 0, tls: false } },
});
const disconnected = (port: string): QmpEvent => ({
  name: 'SPICE_DISCONNECTED',
  data: { server, client: { port, host: '127.0.0.1' } },
});

test('a console is its main channel, told by the client’s port', () => {
  const watch = new ConsoleWatch();
  const take = (event: QmpEvent): unknown => watch.take(event);
  const client = { client: '127.0.0.1', port: 40100 };
  assert.equal(
    take({ name: 'SPICE_CONNECTED', data: { client: { port: '40100', host: '127.0.0.1' } } }),
    undefined,
  );
  assert.deepEqual(take(initialized('40100', 1)), { connected: true, ...client });
  assert.equal(take(initialized('40102', 2)), undefined);
  assert.equal(take(disconnected('40102')), undefined);
  // A takeover: the new one can come first.
  assert.deepEqual(take(initialized('40200', 1)), { connected: true, client: '127.0.0.1', port: 40200 });
  assert.deepEqual(take(disconnected('40100')), { connected: false, ...client });
  assert.equal(take(disconnected('40100')), undefined);
  assert.deepEqual(take(disconnected('40200')), { connected: false, client: '127.0.0.1', port: 40200 });
  assert.equal(take({ name: 'RESET', data: {} }), undefined);
});

test('a console that is known from query-spice is not told twice', () => {
  const watch = new ConsoleWatch();
  const main = mainChannel({ 'channel-type': 1, port: '7', host: '::1' });
  assert.deepEqual(main, { client: '::1', port: 7 });
  assert.equal(main && watch.add(main), true);
  assert.equal(main && watch.add(main), false);
  assert.deepEqual(watch.take(disconnected('7')), { connected: false, client: '::1', port: 7 });
});

test('malformed events mean nothing', () => {
  const watch = new ConsoleWatch();
  for (const type of ['1', undefined, null, {}]) assert.equal(watch.take(initialized('1', type)), undefined);
  assert.equal(watch.take(initialized('x', 1)), undefined);
  assert.equal(watch.take({ name: 'SPICE_INITIALIZED', data: {} }), undefined);
  assert.equal(watch.take({ name: 'SPICE_DISCONNECTED', data: { client: [] } }), undefined);
  assert.equal(portChange({ name: 'VSERPORT_CHANGE', data: { id: 'agent' } }), undefined);
  assert.equal(portChange({ name: 'OTHER', data: { id: 'agent', open: true } }), undefined);
  assert.deepEqual(portChange({ name: 'VSERPORT_CHANGE', data: { id: 'agent', open: true } }), {
    id: 'agent',
    open: true,
  });
});

const ENDS: [MachineEnd, string, RegExp][] = [
  [
    { reason: 'guest-shutdown', asked: false, signal: undefined, lastWords: undefined },
    'guest',
    /the guest powered off/,
  ],
  [
    { reason: 'guest-shutdown', asked: true, signal: undefined, lastWords: undefined },
    'host',
    /powered down/,
  ],
  [{ reason: 'host-qmp-quit', asked: true, signal: undefined, lastWords: undefined }, 'host', /powered down/],
  [
    { reason: 'host-qmp-quit', asked: false, signal: undefined, lastWords: undefined },
    'host',
    /told to quit/,
  ],
  [
    { reason: 'host-signal', asked: false, signal: undefined, lastWords: 'terminating on signal 15' },
    'failed',
    /by a signal/,
  ],
  [{ reason: 'guest-panic', asked: false, signal: undefined, lastWords: undefined }, 'failed', /panicked/],
  [
    { reason: undefined, asked: false, signal: undefined, lastWords: 'Bail out!' },
    'failed',
    /unexpectedly: Bail out!/,
  ],
  [{ reason: undefined, asked: false, signal: undefined, lastWords: undefined }, 'failed', /unexpectedly$/],
  [{ reason: undefined, asked: false, signal: 'SIGSEGV', lastWords: undefined }, 'failed', /by SIGSEGV$/],
];

test('why a machine ended', () => {
  for (const [end, cause, message] of ENDS) {
    const exit = exitOf(end);
    assert.equal(exit.cause, cause, JSON.stringify(end));
    assert.match(exit.message, message);
  }
});

const PASSWORDS: [string | undefined, string | undefined, RegExp | undefined][] = [
  ['geheim', 'now', undefined],
  ['geheim', 'never', undefined],
  [undefined, '+30', undefined],
  [undefined, '1795289866', undefined],
  [undefined, undefined, undefined],
  ['x'.repeat(59), undefined, undefined],
  ['é'.repeat(29), undefined, undefined],
  ['x'.repeat(60), undefined, /59 bytes/],
  ['é'.repeat(30), undefined, /59 bytes/],
  ['', undefined, /empty/],
  ['a\0b', undefined, /no plain text/],
  ['a\ud800', undefined, /no plain text/],
  ['good', 'abc', /none of now/],
  ['good', '', /none of now/],
  ['good', '-5', /none of now/],
  ['good', ' +30', /none of now/],
  ['good', 'never\n', /none of now/],
  ['good', '+', /none of now/],
  ['good', '1e3', /none of now/],
];

test('QEMU checks no expiry and cuts passwords: both are checked first', () => {
  for (const [password, expiry, expected] of PASSWORDS) {
    const problem = displayPasswordProblem(password, expiry);
    if (expected === undefined) assert.equal(problem, undefined, JSON.stringify([password, expiry]));
    else assert.match(problem ?? '', expected, JSON.stringify([password, expiry]));
  }
});

test('the tiny guest’s description of its system', () => {
  assert.deepEqual(osinfoOfAgentLine('110 os {"id":"vmop-guest","n":1}'), { id: 'vmop-guest' });
  for (const line of [
    '110 os',
    '110 os {',
    '110 os []',
    '110 os {"n":1}',
    '110 hello',
    '220 os {"id":"x"}',
    '',
  ]) {
    assert.equal(osinfoOfAgentLine(line), undefined, line);
  }
});

test('a process is a machine’s QEMU only when its command line names the pid file', () => {
  const file = '/run/m/qemu.pid';
  assert.equal(names(['qemu', '-S', '-pidfile', file, ''], file), true);
  assert.equal(names(['qemu', '-pidfile', '/run/m2/qemu.pid'], file), false);
  assert.equal(names(['vi', file], file), false);
  assert.equal(names(['', ''], file), false);
  assert.equal(names([], file), false);
});

const SPICE_PORT_TAKEN = [
  'qemu-system-x86_64: warning: Spice: ../server/reds.cpp:2585:reds_init_socket: binding socket to 127.0.0.1:5933 failed',
  'qemu-system-x86_64: warning: Spice: ../server/reds.cpp:3442:do_spice_init: Failed to open SPICE sockets',
  'qemu-system-x86_64: failed to initialize spice server',
  '',
].join('\n');

const STARTS: [string, RegExp][] = [
  [SPICE_PORT_TAKEN, /^the SPICE port 5933 of d is in use \(QEMU: .*failed to initialize spice server\)$/],
  ['qemu: -spice: invalid option\n', /^this QEMU cannot do SPICE: qemu: -spice: invalid option$/],
  [
    'qemu: -drive file=x: Image is not in qcow2 format\n\n',
    /^QEMU could not start d: qemu: .*not in qcow2 format$/,
  ],
  ['', /^QEMU could not start d: it ended without a word$/],
];

test('what a person is told when QEMU cannot start', () => {
  for (const [log, message] of STARTS) {
    const error = startError({ name: 'd', log, spicePort: 5933 });
    assert.match(error.message, message);
    assert.ok(error.hint);
  }
});
