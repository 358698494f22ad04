import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { generate } from 'selfsigned';
import { WebSocket } from 'ws';
import { asObject, asString, parseJson } from '../../../../src/lib/cluster/parse.ts';
import { checkListen, type ListenRequest } from '../../../../src/lib/console/web/listen.ts';
import { testConsole, type TestConsole } from './wire.ts';

const NAME = 'desk.example.com';

let folder: string;
let ca: string;
let files: { certFile: string; keyFile: string };
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  const made = await generate([{ name: 'commonName', value: NAME }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: NAME }] }],
  });
  ca = made.cert;
  files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
  await writeFile(files.certFile, made.cert);
  await writeFile(files.keyFile, made.private);
});
after(async () => await rm(folder, { recursive: true, force: true }));

/** As for others, but where only this computer can ask. */
const listen = (request: ListenRequest = {}): ReturnType<typeof checkListen> =>
  checkListen({ address: '127.0.0.1', name: NAME, forOthers: true, ...files, ...request });

interface Answer {
  status: number | undefined;
  body: string;
}

async function ask({ port }: TestConsole, options: https.RequestOptions, body?: string): Promise<Answer> {
  const request = https.request({ host: '127.0.0.1', port, ca, servername: NAME, agent: false, ...options });
  request.end(body);
  const [response] = await once(request, 'response');
  return { status: response.statusCode, body: await text(response) };
}

test('others reach it by its name, encrypted, and by no other name', async (t) => {
  const console = await testConsole(t, { plan: listen() });
  const { port, web, ticket } = console;
  const origin = `https://${NAME}:${port}`;
  const host = `${NAME}:${port}`;
  assert.equal(web.url, `${origin}/#t=${ticket}`);
  assert.equal((await ask(console, { headers: { host } })).status, 200);
  for (const wrong of [`127.0.0.1:${port}`, NAME, `${NAME}.:${port}`]) {
    assert.equal((await ask(console, { headers: { host: wrong } })).status, 421, wrong);
  }
  const post = {
    path: '/session',
    method: 'POST',
    headers: { host, origin, 'content-type': 'application/json' },
  };
  const plain = { ...post, headers: { ...post.headers, origin: `http://${host}` } };
  assert.equal((await ask(console, plain, JSON.stringify({ ticket }))).status, 403);
  const { status, body } = await ask(console, post, JSON.stringify({ ticket }));
  assert.equal(status, 200);
  const [spice = '', control = ''] = ['spice', 'control'].map((name) =>
    asString(asObject(parseJson(body))[name]),
  );
  const options = { ca, servername: NAME, origin, headers: { host }, perMessageDeflate: false };
  const page = new WebSocket(`wss://127.0.0.1:${port}${control}`, 'vmop.console', options);
  await once(page, 'message');
  const socket = new WebSocket(`wss://127.0.0.1:${port}${spice}`, 'binary', options);
  await once(socket, 'open');
  assert.equal(console.streams.length, 1);
  socket.terminate();
  page.terminate();
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'nothing is answered in the clear');
});

test('a certificate that is none', async (t) => {
  for (const certFile of [path.join(folder, 'none.pem'), files.keyFile]) {
    await assert.rejects(
      testConsole(t, { plan: listen({ certFile }) }),
      /the certificate or its key cannot be used/,
    );
  }
});

test('an end waits for nobody who has not begun with TLS', async (t) => {
  const console = await testConsole(t, { plan: listen() });
  const socket = net.connect(console.port, '127.0.0.1').on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const encrypted = connectTls({ port: console.port, host: '127.0.0.1', ca, servername: NAME });
  t.after(() => encrypted.destroy());
  await once(
    encrypted.on('error', () => {}),
    'secureConnect',
  );
  const began = performance.now();
  await console.web.close();
  assert.ok(performance.now() - began < 5000);
});
