import { EventEmitter, once } from 'node:events';
import { duplexPair, type Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { startBridge, type Bridge, type BridgeEvent } from '../../../../src/lib/console/bridge/index.ts';
import { endpointDial, type Dial } from '../../../../src/lib/console/reach/dial.ts';
import { startFakeServer, type FakeServer, type FakeServerOptions } from './spice-server.ts';
import { PATIENCE_MS } from './spice-viewer.ts';

const given = <T>(value: T) => ({ value, source: 'test' });
export const patience = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS);

/** A bridge before a server whose password is `real`. */
export interface Setup {
  server: FakeServer;
  bridge: Bridge;
  events: BridgeEvent[];
  /** Resolves to the first event of this type, also one that came before. */
  event(type: BridgeEvent['type']): Promise<BridgeEvent>;
  viewer(): Duplex;
  /** How often the bridge was given a password, and which one it said was refused. */
  asked: (string | undefined)[];
}

/** At the end of the test the bridge is closed, and must have left no connection to the server. */
export async function setUp(
  t: TestContext,
  server: Partial<FakeServerOptions> = {},
  options: {
    password?: (refused?: string) => Promise<string | undefined>;
    dial?: Dial;
    admitsMain?: () => Promise<void>;
  } = {},
): Promise<Setup> {
  const fake = await startFakeServer({ passwords: () => ['real'], ...server });
  const events: BridgeEvent[] = [];
  const emitter = new EventEmitter();
  const asked: (string | undefined)[] = [];
  const bridge = await startBridge({
    admitsMain: options.admitsMain,
    dial: options.dial ?? endpointDial({ host: given('127.0.0.1'), port: given(fake.port) }),
    password: async (refused) => {
      asked.push(refused);
      return options.password ? await options.password(refused) : 'real';
    },
    onEvent: (event) => {
      events.push(event);
      emitter.emit('event', event);
    },
  });
  t.after(async () => {
    await bridge.close();
    await fake.idle();
    await fake.close();
  });
  return {
    server: fake,
    bridge,
    events,
    asked,
    event: async (type) => {
      for (;;) {
        const found = events.find((event) => event.type === type);
        if (found) return found;
        await once(emitter, 'event', { signal: patience() });
      }
    },
    viewer: () => {
      const [mine, theirs] = duplexPair();
      bridge.accept(theirs);
      return mine;
    },
  };
}
