import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { asNumber, asObject, asString } from '../../../../src/lib/cluster/parse.ts';
import { AgentPort } from '../../../../src/lib/sandbox/drivers/qemu/agent-port.ts';
import { askOsinfo } from '../../../../src/lib/sandbox/drivers/qemu/guest-agent.ts';
import { temporaryFolder, waitUntil } from './machine-log.ts';

interface GuestEnd {
  socket: string;
  /** What the host has written. */
  received: () => string;
  /** Resolves when the host is there. */
  connected: Promise<net.Socket>;
}

/** The guest's end of a port, as QEMU offers it. */
async function guestEnd(
  t: TestContext,
  onLine: (line: string, socket: net.Socket) => void,
): Promise<GuestEnd> {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const file = path.join(folder, 'port.sock');
  const { promise, resolve } = Promise.withResolvers<net.Socket>();
  let text = '';
  const server = net.createServer((client) => {
    t.after(() => client.destroy());
    resolve(client);
    let rest = '';
    client.on('data', (chunk) => {
      text += String(chunk);
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line, client);
    });
  });
  t.after(() => server.close());
  server.listen(file);
  await once(server, 'listening');
  return { socket: file, received: () => text, connected: promise };
}

test('what is sent to the agent is lost while nobody listens', async (t) => {
  const guest = await guestEnd(t, () => undefined);
  const lines: string[] = [];
  const port = await AgentPort.connect(guest.socket, (line) => lines.push(line));
  t.after(() => port.close());
  port.send('login early');
  assert.equal(port.setGuestListens(true), true);
  assert.equal(port.setGuestListens(true), false);
  port.send('login alice');
  await waitUntil('the line arrives', async () => guest.received() === 'login alice\n');
  assert.equal(port.setGuestListens(false), true);
  port.send('login late');

  // Who writes has the port open.
  (await guest.connected).write('220 hello\r\n');
  await waitUntil('the greeting arrives', async () => lines.length === 1);
  port.send('logout');
  await waitUntil('the next line arrives', async () => guest.received() === 'login alice\nlogout\n');
  assert.deepEqual(lines, ['220 hello']);
});

test('a line that the guest had begun ends with the guest', async (t) => {
  const guest = await guestEnd(t, () => undefined);
  const lines: string[] = [];
  const port = await AgentPort.connect(guest.socket, (line) => lines.push(line));
  t.after(() => port.close());
  const socket = await guest.connected;
  socket.write('201 ali');
  await waitUntil('the host has read it', async () => port.setGuestListens(false));
  socket.write('220 hello\n');
  await waitUntil('the greeting arrives', async () => lines.length === 1);
  assert.deepEqual(lines, ['220 hello']);
});

test('nothing but one line is sent', async (t) => {
  const guest = await guestEnd(t, () => undefined);
  const port = await AgentPort.connect(guest.socket, () => undefined);
  t.after(() => port.close());
  for (const text of ['a\nb', 'a\r', 'a\0']) assert.throws(() => port.send(text), RangeError);
});

test('QEMU’s guest agent is asked for its system, past the answers to somebody else', async (t) => {
  const guest = await guestEnd(t, (line, socket) => {
    const message = asObject(JSON.parse(line));
    const reply = (value: unknown): void => void socket.write(`${JSON.stringify({ return: value })}\n`);
    if (asString(message['execute']) === 'guest-sync') {
      socket.write('rubbish\n{"return":{"id":"somebody else"}}\n{"return":12}\n');
      reply(asNumber(asObject(message['arguments'])['id']));
    } else reply({ id: 'debian', 'version-id': '12', size: 3 });
  });
  assert.deepEqual(await askOsinfo(guest.socket, 10_000), { id: 'debian', 'version-id': '12' });
});

test('a guest agent that does not answer, goes, or is not there', async (t) => {
  const silent = await guestEnd(t, () => undefined);
  await assert.rejects(askOsinfo(silent.socket, 20), /does not answer/);
  const dying = await guestEnd(t, (_line, socket) => socket.destroy());
  await assert.rejects(askOsinfo(dying.socket, 10_000), /is gone/);
  await assert.rejects(askOsinfo(`${dying.socket}.none`, 10_000), /ENOENT/);
});
