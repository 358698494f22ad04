import { randomInt } from 'node:crypto';
import net from 'node:net';
import { asObject, asStrings } from '../../../cluster/parse.ts';
import { LineSplitter } from '../../../lines.ts';

const MAXIMUM_LINE_BYTES = 64 * 1024;

/**
 * Asks QEMU's guest agent for the guest's operating system (`guest-get-osinfo`: `id`, `name`, `pretty-name`,
 * `kernel-release`, …). Rejects when it does not answer within `timeoutMs`.
 */
export async function askOsinfo(path: string, timeoutMs: number): Promise<Record<string, string>> {
  const socket = net.connect(path);
  const splitter = new LineSplitter(MAXIMUM_LINE_BYTES);
  const id = randomInt(2 ** 31);
  try {
    return await new Promise((resolve, reject) => {
      let synchronised = false;
      socket.setTimeout(timeoutMs, () => reject(new Error('the guest agent does not answer')));
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the guest agent is gone')));
      socket.on('connect', () => send(socket, 'guest-sync', { id }));
      socket.on('data', (chunk) => {
        for (const line of splitter.push(chunk)) {
          const answer = returned(line);
          // Answers to an earlier host may still be on the way; ours come after the number we sent.
          if (synchronised) resolve(asStrings(answer));
          else if (answer === id) {
            synchronised = true;
            send(socket, 'guest-get-osinfo');
          }
        }
      });
    });
  } finally {
    socket.destroy();
  }
}

function send(socket: net.Socket, execute: string, args?: Record<string, unknown>): void {
  socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
}

function returned(line: string): unknown {
  try {
    return asObject(JSON.parse(line))['return'];
  } catch {
    return undefined;
  }
}
