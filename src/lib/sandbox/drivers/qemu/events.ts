import { asBoolean, asInteger, asObject, asString } from '../../../cluster/parse.ts';
import type { ExitCause } from '../driver.ts';
import type { QmpEvent } from './qmp.ts';

/** One end of a SPICE channel. */
export interface SpiceClient {
  client: string;
  port: number;
}

const MAIN_CHANNEL = 1;

function spiceClient(value: unknown): SpiceClient | undefined {
  const client = asString(asObject(value)['host']);
  const port = Number(asString(asObject(value)['port']));
  return client !== undefined && Number.isInteger(port) ? { client, port } : undefined;
}

/** The viewer whose main channel passed authentication; also for an entry of `query-spice`. */
export function mainChannel(channel: unknown): SpiceClient | undefined {
  return asInteger(asObject(channel)['channel-type']) === MAIN_CHANNEL ? spiceClient(channel) : undefined;
}

/** Which main channels are connected: QEMU names no channel type when one ends, only the client's port. */
export class ConsoleWatch {
  readonly #main = new Map<number, string>();

  /** What an event means for the consoles; undefined when nothing. */
  take({ name, data }: QmpEvent): ({ connected: boolean } & SpiceClient) | undefined {
    if (name === 'SPICE_INITIALIZED') {
      const main = mainChannel(data['client']);
      return main && this.add(main) ? { connected: true, ...main } : undefined;
    }
    if (name !== 'SPICE_DISCONNECTED') return undefined;
    const { port } = spiceClient(data['client']) ?? {};
    const client = port === undefined ? undefined : this.#main.get(port);
    if (client === undefined || port === undefined) return undefined;
    this.#main.delete(port);
    return { connected: false, client, port };
  }

  /** False when it is known. */
  add({ client, port }: SpiceClient): boolean {
    if (this.#main.has(port)) return false;
    this.#main.set(port, client);
    return true;
  }
}

/** Which of our ports the guest has opened or closed. */
export function portChange({ name, data }: QmpEvent): { id: string; open: boolean } | undefined {
  if (name !== 'VSERPORT_CHANGE') return undefined;
  const id = asString(data['id']);
  const open = asBoolean(data['open']);
  return id === undefined || open === undefined ? undefined : { id, open };
}

export interface MachineEnd {
  /** `reason` of the SHUTDOWN event; undefined when there was none: the process died. */
  reason: string | undefined;
  /** `powerDown` or `kill` was asked for. */
  asked: boolean;
  /** What has ended the process, as far as known. */
  signal: NodeJS.Signals | undefined;
  /** The last line that QEMU printed. */
  lastWords: string | undefined;
}

/** Why a machine ended. */
export function exitOf({ reason, asked, signal, lastWords }: MachineEnd): {
  cause: ExitCause;
  message: string;
} {
  if (asked) return { cause: 'host', message: 'the machine was powered down' };
  if (reason === 'guest-shutdown') return { cause: 'guest', message: 'the guest powered off' };
  if (reason === 'host-qmp-quit' || reason === 'host-ui')
    return { cause: 'host', message: 'QEMU was told to quit' };
  if (reason === 'guest-panic') return { cause: 'failed', message: 'the guest panicked' };
  if (reason === 'host-signal') return { cause: 'failed', message: 'QEMU was ended by a signal' };
  const by = signal === undefined ? '' : ` by ${signal}`;
  const words = lastWords === undefined ? '' : `: ${lastWords}`;
  return { cause: 'failed', message: `QEMU ended unexpectedly${by}${words}` };
}
