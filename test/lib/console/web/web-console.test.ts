import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { asObject, parseJson } from '../../../../src/lib/cluster/parse.ts';
import { startWebConsole } from '../../../../src/lib/console/web/index.ts';
import { checkListen } from '../../../../src/lib/console/web/listen.ts';
import { VmopError } from '../../../../src/lib/errors.ts';
import {
  ask,
  enter,
  LIMIT_MS,
  load,
  message,
  opened,
  openSession,
  raw,
  redeem,
  refusedWith,
  socketTo,
  TARGET,
  testConsole,
  type Ask,
} from './wire.ts';

/** A connection that is not ended when the other side ends its half. */
async function connected(t: TestContext, port: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Resolves when the other side has hung up. */
async function dropped(socket: Socket): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  if (socket.closed || socket.readableEnded) return;
  await Promise.race([once(socket.resume(), 'end', { signal }), once(socket, 'close', { signal })]);
}

test('the page and its parts, each with the headers that keep others out', async (t) => {
  const console = await testConsole(t);
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/page.js', 'text/javascript; charset=utf-8'],
    ['/page.css', 'text/css; charset=utf-8'],
    ['/spice-client/index.js', 'text/javascript; charset=utf-8'],
    ['/spice-client/LICENSE', 'text/plain; charset=utf-8'],
  ] as const) {
    const { status, headers, body } = await ask(console, { path });
    assert.deepEqual([status, headers['content-type']], [200, type], path);
    assert.ok(body.length > 0);
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
    assert.equal(headers['set-cookie'], undefined);
    const policy = headers['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
  }
  const { body } = await ask(console);
  assert.doesNotMatch(body, /desktop-1/, 'the VM is named only to who has the link');
});

test('the SPICE client is the package’s own file', async (t) => {
  const { body } = await ask(await testConsole(t), { path: '/spice-client/index.js' });
  const { readFile } = await import('node:fs/promises');
  const own = new URL('../../../../node_modules/spice-client/dist/esm/index.js', import.meta.url);
  assert.equal(body, await readFile(own, 'utf8'));
});

const json = (value: unknown): string => JSON.stringify(value);

const REFUSED: [string, number, (host: string, ticket: string) => Ask][] = [
  ['no Host', 400, () => ({ host: null })],
  ['localhost', 421, (host) => ({ host: host.replace('127.0.0.1', 'localhost') })],
  [
    'a name that points here (DNS rebinding)',
    421,
    (host) => ({ host: `evil.example:${host.split(':')[1]}` }),
  ],
  ['Host without the port', 421, () => ({ host: '127.0.0.1' })],
  ['Host with another port', 421, () => ({ host: '127.0.0.1:1' })],
  ['Host twice', 421, (host) => ({ lines: [`Host: ${host}`] })],
  ['a path beside', 404, () => ({ path: '/nothing' })],
  ['path traversal', 404, () => ({ path: '/../../../../../etc/passwd' })],
  ['path traversal, escaped', 404, () => ({ path: '/%2e%2e/%2e%2e/etc/passwd' })],
  ['path traversal below a folder', 404, () => ({ path: '/spice-client/../../package.json' })],
  ['a file with a query', 404, () => ({ path: '/page.js?x' })],
  ['a whole URL', 404, () => ({ path: 'http://evil.example/' })],
  ['its own source', 404, () => ({ path: '/tsconfig.json' })],
  ['HEAD', 405, () => ({ method: 'HEAD' })],
  ['PUT', 405, () => ({ method: 'PUT' })],
  ['OPTIONS, which asks whether other sites may', 405, () => ({ method: 'OPTIONS', path: '/session' })],
  ['a session by GET', 405, () => ({ path: '/session' })],
  ['a POST elsewhere', 405, () => ({ method: 'POST' })],
];

for (const [what, status, request] of REFUSED) {
  test(`a request is refused: ${what}`, async (t) => {
    const console = await testConsole(t);
    const answer = await ask(console, request(console.host, console.ticket));
    assert.equal(answer.status, status);
    if (status !== 400) assert.match(answer.headers['content-security-policy'] ?? '', /default-src 'none'/);
    assert.equal((await redeem(console)).status, 200, 'the link is still good');
  });
}

const NO_SESSION: [string, number, (host: string, ticket: string) => Ask][] = [
  ['no Origin', 403, () => ({ origin: null })],
  ['a page of another port', 403, () => ({ origin: 'http://127.0.0.1:1' })],
  ['localhost as Origin', 403, (host) => ({ origin: `http://${host.replace('127.0.0.1', 'localhost')}` })],
  ['another scheme', 403, (host) => ({ origin: `https://${host}` })],
  ['a sandboxed frame', 403, () => ({ origin: 'null' })],
  ['Origin twice', 403, (host) => ({ lines: [`Origin: http://${host}`] })],
  ['a form', 415, () => ({ type: 'application/x-www-form-urlencoded' })],
  ['text, which needs no permission', 415, () => ({ type: 'text/plain' })],
  ['no ticket', 403, () => ({ body: '{}' })],
  ['another ticket', 403, (_host, ticket) => ({ body: json({ ticket: `${ticket.slice(0, -2)}AA` }) })],
  ['a part of the ticket', 403, (_host, ticket) => ({ body: json({ ticket: ticket.slice(0, -1) }) })],
  ['a list', 403, (_host, ticket) => ({ body: json({ ticket: [ticket] }) })],
  ['no JSON', 403, (_host, ticket) => ({ body: ticket })],
  ['a long body', 413, (_host, ticket) => ({ body: json({ ticket, more: 'x'.repeat(2000) }) })],
  ['a body that says it is long', 413, () => ({ body: '{}', lines: ['Content-Length: 99999999'] })],
  [
    'a long body in pieces',
    413,
    () => ({ body: `7d0\r\n${'x'.repeat(2000)}\r\n`, lines: ['Transfer-Encoding: chunked'] }),
  ],
];

for (const [what, status, request] of NO_SESSION) {
  test(`a session is refused: ${what}`, async (t) => {
    const console = await testConsole(t);
    const answer = await redeem(console, request(console.host, console.ticket));
    assert.equal(answer.status, status);
    assert.doesNotMatch(answer.body, /spice|control/);
    const refused = console.events.filter(({ type }) => type === 'refused');
    assert.equal(refused.length, 1);
    assert.ok(!json(console.events).includes(console.ticket), 'the ticket is not told');
    assert.equal((await redeem(console)).status, 200, 'the link is still good');
  });
}

test('the link is good once', async (t) => {
  const console = await testConsole(t);
  await openSession(console);
  const again = await redeem(console);
  assert.deepEqual([again.status, again.body], [403, json({ reason: 'used', open: false })]);
});

test('a page that is loaded anew before it has its session gets it, and nobody else does', async (t) => {
  const admitted = Promise.withResolvers<typeof TARGET>();
  const first = Promise.withResolvers<undefined>();
  let asked = 0;
  const console = await testConsole(t, {
    admit: async () => {
      asked += 1;
      first.resolve(undefined);
      return await admitted.promise;
    },
  });
  const { ticket } = console;
  const as = (page?: string): Ask => ({ body: json({ ticket, page }) });
  const before = redeem(console, as('1-2-3-4'));
  await first.promise;
  const anew = redeem(console, as('1-2-3-4'));
  admitted.resolve(TARGET);
  const { status, body } = await before;
  assert.equal(status, 200);
  assert.equal((await anew).body, body);
  assert.equal((await redeem(console, as('1-2-3-4'))).body, body, 'the answer did not arrive');
  assert.equal(asked, 1);
  assert.equal(console.events.filter(({ type }) => type === 'opened').length, 1);
  for (const other of ['1-2-3', '', undefined]) {
    assert.equal((await redeem(console, as(other))).body, json({ reason: 'used', open: false }));
  }
  const wrong = await redeem(console, { body: json({ ticket: 'x', page: '1-2-3-4' }) });
  assert.equal(asObject(parseJson(wrong.body))['reason'], 'wrong', 'it is worth nothing without the ticket');
  const { control } = asObject(parseJson(body));
  await opened(socketTo(console, String(control), { protocol: 'vmop.console' }));
  const late = await redeem(console, as('1-2-3-4'));
  assert.deepEqual([late.status, late.body], [403, json({ reason: 'used', open: true })], 'it is there');
});

test('a page that was not admitted is asked for anew when it is loaded anew', async (t) => {
  let refused = true;
  const console = await testConsole(t, {
    admit: async () => await (refused ? Promise.reject(BOB) : Promise.resolve(TARGET)),
  });
  const body = json({ ticket: console.ticket, page: '1-2-3-4' });
  assert.equal((await redeem(console, { body })).status, 403);
  refused = false;
  assert.equal((await redeem(console, { body })).status, 200);
});

for (const [what, now, message] of [
  ['has moved', { ...TARGET, destination: '10.0.0.8:5900' }, /elsewhere/],
  ['is another machine', { ...TARGET, vm: 'default/desktop-1 anew' }, /another machine/],
] as const) {
  test(`the link is good for what it was made for: the VM ${what}`, async (t) => {
    const console = await testConsole(t, { admit: async () => await Promise.resolve(now) });
    const { status, body } = await redeem(console);
    const { reason, text, hint } = asObject(parseJson(body));
    assert.deepEqual(
      [status, reason, hint],
      [403, 'notAdmitted', 'vmop console desktop-1 --web gives another'],
    );
    assert.match(String(text), message);
    const [event] = console.events;
    assert.ok(event?.type === 'notAdmitted' && event.error.code === 'state');
    assert.equal(console.bridges.made, 0);
  });
}

const BOB = new VmopError('conflict', 'bob is connected to desktop-1', { hint: 'ask bob to leave' });

test('who is connected by the time the link is used is not thrown out, and the page says who', async (t) => {
  const console = await testConsole(t, { admit: async () => await Promise.reject(BOB) });
  const { status, body } = await redeem(console);
  assert.equal(status, 403);
  assert.deepEqual(parseJson(body), { reason: 'notAdmitted', text: BOB.message, hint: BOB.hint });
  assert.deepEqual(console.events, [{ type: 'notAdmitted', error: BOB }]);
  assert.equal(console.bridges.made, 0, 'no channel could be opened');
});

test('it is asked anew when the page is loaded anew', async (t) => {
  let refused = false;
  const console = await testConsole(t, {
    admit: async () => await (refused ? Promise.reject(BOB) : Promise.resolve(TARGET)),
  });
  const { page, control } = await enter(console);
  page.terminate();
  refused = true;
  const told = console.heard('notAdmitted');
  await opened(socketTo(console, control, { protocol: 'vmop.console' }));
  assert.deepEqual(await told, { type: 'notAdmitted', error: BOB });
  assert.deepEqual(console.bridges, { made: 1, closed: 1 });
});

test('who does not have the link makes nobody ask the cluster', async (t) => {
  let asked = 0;
  const console = await testConsole(t, {
    admit: async () => {
      asked += 1;
      return await Promise.resolve(TARGET);
    },
  });
  await redeem(console, { body: json({ ticket: 'x' }) });
  assert.equal(asked, 0);
  await openSession(console);
  await redeem(console);
  assert.equal(asked, 1);
});

test('each load of the page has a bridge of its own, after the one before is closed', async (t) => {
  const console = await testConsole(t);
  const first = await enter(console);
  const channel = await opened(socketTo(console, first.spice));
  const cut = once(channel, 'close');
  first.page.terminate();
  const second = await load(console, first);
  await cut;
  assert.notEqual(second.password, first.password);
  assert.deepEqual(console.bridges, { made: 2, closed: 1 });
  const again = message(second.page);
  console.web.reopen();
  const { password } = asObject(await again);
  assert.notEqual(password, second.password);
  assert.deepEqual(console.bridges, { made: 3, closed: 2 });
  await console.web.close();
  assert.deepEqual(console.bridges, { made: 3, closed: 3 });
});

test('there are no channels before the page is there, nor while vmop has paused them', async (t) => {
  const console = await testConsole(t);
  const session = await openSession(console);
  assert.equal(await refusedWith(socketTo(console, session.spice)), 503);
  const { page } = await load(console, session);
  const paused = message(page);
  console.web.pause({ text: 'a moment' });
  assert.deepEqual(await paused, { type: 'paused', text: 'a moment' });
  page.terminate();
  const reloaded = socketTo(console, session.control, { protocol: 'vmop.console' });
  assert.deepEqual(await message(reloaded), { type: 'paused', text: 'a moment' });
  assert.equal(await refusedWith(socketTo(console, session.spice)), 503);
  const open = message(reloaded);
  console.web.reopen();
  assert.equal(asObject(await open)['type'], 'open');
});

test('the link ends, and with it the server', async (t) => {
  const console = await testConsole(t, { linkValidMs: 1 });
  assert.deepEqual(await console.web.ended, { kind: 'neverOpened' });
  await assert.rejects(fetch(`http://${console.host}/`));
});

test('WebSockets are refused', async (t) => {
  const console = await testConsole(t);
  const early = socketTo(console, '/spice/');
  assert.equal(await refusedWith(early), 403, 'before there is a session');
  const { spice, control } = await enter(console);
  const evil = `evil.example:${console.port}`;
  const refused: [string, number, Parameters<typeof socketTo>[1], Parameters<typeof socketTo>[2]][] = [
    ['a wrong session', 403, `${spice.slice(0, -2)}AA`, {}],
    ['a part of the session', 403, spice.slice(0, -1), {}],
    ['more than the session', 403, `${spice}/x`, {}],
    ['no session', 403, '/spice/', {}],
    ['a wrong session for control', 403, '/control/AAAA', { protocol: 'vmop.console' }],
    ['another path', 404, spice.replace('/spice/', '/ws/'), {}],
    ['no Origin', 403, spice, { origin: '' }],
    ['a page of another port', 403, spice, { origin: 'http://127.0.0.1:1' }],
    ['a name that points here', 421, spice, { as: evil, origin: `http://${evil}` }],
    ['localhost', 421, spice, { as: `localhost:${console.port}` }],
    ['no subprotocol', 400, spice, { protocol: '' }],
    ['another subprotocol', 400, control, { protocol: 'binary' }],
  ];
  for (const [what, status, path, options] of refused) {
    assert.equal(await refusedWith(socketTo(console, path, options)), status, what);
  }
  assert.equal(console.streams.length, 0, 'the bridge was not asked');
  const told = json(console.events);
  assert.ok(!told.includes(spice.slice('/spice/'.length)), 'the session is not told');
});

test('a session has many channels, and binary messages arrive as bytes in order', async (t) => {
  const console = await testConsole(t);
  const { spice } = await enter(console);
  for (let channel = 0; channel < 4; channel++) {
    const socket = await opened(socketTo(console, spice));
    assert.equal(socket.protocol, 'binary');
    assert.equal(socket.extensions, '', 'nothing is compressed');
    const stream = console.streams[channel];
    assert.ok(stream);
    let text = '';
    const sent = new Promise<void>((resolve) => {
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text === 'to the VM') resolve();
      });
    });
    socket.send(Buffer.from('to the '));
    socket.send(Buffer.from('VM'));
    await sent;
    const answer = once(socket, 'message');
    stream.write('from the VM');
    assert.equal(String((await answer)[0]), 'from the VM');
    const ended = once(stream, 'end');
    socket.close();
    await ended;
  }
});

test('more channels than any client has are refused', async (t) => {
  const console = await testConsole(t);
  const { spice } = await enter(console);
  for (let channel = 0; channel < 32; channel++) await opened(socketTo(console, spice));
  assert.equal(await refusedWith(socketTo(console, spice)), 503);
});

test('the VM’s side hangs up, and the page hears of it', async (t) => {
  const console = await testConsole(t);
  const { spice } = await enter(console);
  const orderly = await opened(socketTo(console, spice));
  const closed = once(orderly, 'close');
  console.streams[0]?.end('last words');
  await closed;
  const abrupt = await opened(socketTo(console, spice));
  const cut = once(abrupt, 'close');
  console.streams[1]?.destroy();
  await cut;
});

test('page and vmop tell each other', async (t) => {
  const console = await testConsole(t);
  const present = console.heard('page');
  const { page, attempt } = await enter(console);
  assert.deepEqual(await present, { type: 'page', present: true });

  const lost = console.heard('lost');
  for (const text of ['no JSON', '[]', json({ type: 'ended', text: 'x' }), json({ type: 'nothing' })]) {
    page.send(text);
  }
  page.send(json({ type: 'lost', text: 'of the one before', attempt: attempt - 1 }));
  page.send(json({ type: 'lost', text: `\u001b[2J${'x'.repeat(1000)}`, attempt }));
  const event = await lost;
  assert.ok(event.type === 'lost');
  assert.match(event.text, /^\\x1b\[2Jx+…$/, 'sanitized and short');
  const known = console.events.map(({ type }) => type);
  assert.deepEqual(known, ['opened', 'page', 'lost']);

  const asked = message(page);
  console.web.ask({ text: 'is it wanted?' });
  assert.deepEqual(await asked, { type: 'asked', text: 'is it wanted?' });
  const again = console.heard('again');
  page.send(json({ type: 'again' }));
  await again;

  const last = message(page);
  const closed = once(page, 'close');
  await console.web.close({ text: 'bob has taken the console', hint: 'ask bob' });
  assert.deepEqual(await last, { type: 'ended', text: 'bob has taken the console', hint: 'ask bob' });
  await closed;
  assert.deepEqual(await console.web.ended, { kind: 'closed' });
});

test('too much on the page’s own connection ends that connection', async (t) => {
  const console = await testConsole(t);
  const { control } = await openSession(console);
  const page = await opened(socketTo(console, control, { protocol: 'vmop.console' }));
  const closed = once(page, 'close');
  page.send('x'.repeat(5000));
  assert.equal((await closed)[0], 1009);
});

test('a page that reloads keeps its session, one that stays away ends it', async (t) => {
  const console = await testConsole(t, { awayMs: 500 });
  const { control, spice } = await openSession(console);
  for (let visit = 0; visit < 3; visit++) {
    const { page } = await load(console, { control, spice });
    await opened(socketTo(console, spice));
    const away = console.heard('page');
    page.terminate();
    assert.deepEqual(await away, { type: 'page', present: false });
  }
  assert.deepEqual(await console.web.ended, { kind: 'pageClosed' });
  assert.ok(console.streams.every(({ destroyed }) => destroyed));
  await assert.rejects(fetch(`http://${console.host}/`));
});

test('a second window takes over from the first, which says so', async (t) => {
  const console = await testConsole(t, { awayMs: 500 });
  const { page: first, ...session } = await enter(console);
  const told = message(first);
  const closed = once(first, 'close');
  const { page: second } = await load(console, session);
  assert.deepEqual(await told, { type: 'elsewhere' });
  await closed;
  const notice = message(second);
  console.web.pause({ text: 'still here' });
  assert.deepEqual(await notice, { type: 'paused', text: 'still here' });
});

test('who comes with a link that was used is told whether its console is open', async (t) => {
  const console = await testConsole(t);
  const { page } = await enter(console);
  assert.deepEqual(parseJson((await redeem(console)).body), { reason: 'used', open: true });
  const away = console.heard('page');
  page.terminate();
  await away;
  assert.deepEqual(parseJson((await redeem(console)).body), { reason: 'used', open: false });
});

test('an interruption ends everything', async (t) => {
  const console = await testConsole(t);
  const { page, spice } = await enter(console);
  const channel = await opened(socketTo(console, spice));
  const last = message(page);
  const gone = Promise.all([once(page, 'close'), once(channel, 'close')]);
  console.abort();
  assert.deepEqual(await last, { type: 'ended', text: 'vmop was interrupted.' });
  await gone;
  assert.deepEqual(await console.web.ended, { kind: 'closed' });
});

test('an end does not wait for a page that does not listen', async (t) => {
  const console = await testConsole(t);
  const { control } = await openSession(console);
  const page = await opened(socketTo(console, control, { protocol: 'vmop.console' }));
  page.pause();
  await console.web.close();
  assert.deepEqual(await console.web.ended, { kind: 'closed' });
  page.terminate();
});

test('an end waits for no connection that was left open', async (t) => {
  const console = await testConsole(t);
  const { control } = await openSession(console);
  const wrong = [
    `GET ${control}x HTTP/1.1`,
    `Host: ${console.host}`,
    `Origin: http://${console.host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Protocol: vmop.console',
  ];
  const [refused, silent] = await Promise.all([connected(t, console.port), connected(t, console.port)]);
  refused.write(`${wrong.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(refused, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 403/);
  silent.write('GET / HT');
  const began = performance.now();
  await console.web.close();
  assert.ok(performance.now() - began < 5000);
});

test('hundreds of silent connections keep nobody from the page', async (t) => {
  const console = await testConsole(t);
  const { control } = await openSession(console);
  const page = await opened(socketTo(console, control, { protocol: 'vmop.console' }));
  const silent: Socket[] = [];
  for (let count = 0; count < 300; count++) silent.push(await connected(t, console.port));
  assert.equal((await ask(console)).status, 200);
  const first = silent[0];
  assert.ok(first);
  await dropped(first);
  assert.equal(page.readyState, page.OPEN, 'the page’s own connections stay');
});

test('a connection that says nothing, or says it slowly, is dropped after ten seconds', async (t) => {
  const console = await testConsole(t);
  const sockets = await Promise.all([connected(t, console.port), connected(t, console.port)]);
  const began = performance.now();
  sockets[1]?.write('GET / HTTP/1.1\r\nHost: ');
  await Promise.all(sockets.map(dropped));
  assert.ok(performance.now() - began < 15_000);
});

test('interrupted before it began, and an address that is taken', async (t) => {
  const options = {
    bridge: async () => await Promise.reject(new Error('nobody asks for it')),
    vm: { namespace: 'default', name: 'desktop-1', argument: 'desktop-1' },
    target: TARGET,
    admit: async () => await Promise.resolve(TARGET),
    plan: checkListen(),
    linkValidMs: LIMIT_MS,
  };
  await assert.rejects(
    startWebConsole({ ...options, signal: AbortSignal.abort(new Error('no more')) }),
    /no more/,
  );
  const { host } = await testConsole(t);
  const { signal } = new AbortController();
  await assert.rejects(
    startWebConsole({ ...options, plan: checkListen({ address: host }), signal }),
    /nothing can listen on 127.0.0.1/,
  );
});

test('garbage is no request', async (t) => {
  const console = await testConsole(t);
  assert.equal((await raw(console.port, 'hello\r\n\r\n')).status, 0);
  assert.equal((await redeem(console)).status, 200);
});
