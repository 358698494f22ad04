import net from 'node:net';
import { asStrings } from '../../../cluster/parse.ts';
import { parseAgentLine } from '../../../guest/agent-line.ts';
import { LineSplitter } from '../../../lines.ts';

const MAXIMUM_LINE_BYTES = 4096;
/** What may wait for a guest that does not read. */
const MAXIMUM_WAITING_BYTES = 64 * 1024;

/** The host's end of VM-Operator's agent port. */
export class AgentPort {
  readonly #socket: net.Socket;
  readonly #splitter = new LineSplitter(MAXIMUM_LINE_BYTES);
  #guestListens = false;

  private constructor(socket: net.Socket, onLine: (line: string) => void) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      // Whoever writes has the port open; QEMU's event about that comes once a second at most.
      this.#guestListens = true;
      for (const line of this.#splitter.push(chunk)) onLine(line);
    });
    // QEMU has ended, which its control socket tells.
    socket.on('error', () => socket.destroy());
  }

  static async connect(path: string, onLine: (line: string) => void): Promise<AgentPort> {
    return await new Promise((resolve, reject) => {
      const socket = net.connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new AgentPort(socket, onLine));
      });
    });
  }

  /** The guest has opened or closed its end; returns whether that is news. */
  setGuestListens(listens: boolean): boolean {
    const news = this.#guestListens !== listens;
    this.#guestListens = listens;
    if (!listens) this.#splitter.reset();
    return news;
  }

  /** Lost when nobody listens; QEMU would keep it for whoever opens the port next. Throws for more than one line. */
  send(line: string): void {
    if (/[\r\n\0]/.test(line)) throw new RangeError('one line only is sent to the agent');
    if (this.#guestListens && this.#socket.writableLength < MAXIMUM_WAITING_BYTES)
      this.#socket.write(`${line}\n`);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** The tiny guest's agent describes its system before it greets: `110 os {…}`, named as QEMU's guest agent does. */
export function osinfoOfAgentLine(line: string): Record<string, string> | undefined {
  const { code, text } = parseAgentLine(line);
  if (code !== 110 || !text.startsWith('os ')) return undefined;
  try {
    const osinfo = asStrings(JSON.parse(text.slice(3)));
    return Object.keys(osinfo).length > 0 ? osinfo : undefined;
  } catch {
    return undefined;
  }
}
