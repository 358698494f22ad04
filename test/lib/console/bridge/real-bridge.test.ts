import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, before, beforeEach, describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { asObject } from '../../../../src/lib/cluster/parse.ts';
import type { Endpoint } from '../../../../src/lib/console/reach/address.ts';
import { startBridge, type Bridge, type BridgeEvent } from '../../../../src/lib/console/bridge/index.ts';
import { listenForViewer, type ViewerListener } from '../../../../src/lib/console/bridge/listener.ts';
import { connectionFile } from '../../../../src/lib/console/connection-file.ts';
import { endpointDial, tunnelDial, type Dial } from '../../../../src/lib/console/reach/dial.ts';
import { readExactly } from '../../../../src/lib/read-exactly.ts';
import { parsePpm, shareShown } from '../../../e2e/picture.ts';
import { takesPassword } from '../../../e2e/spice-login.ts';
import { findKubeBinaries, noKubelet, startKubeApiserver } from '../../../helpers/kube-apiserver.ts';
import { spiceChannelType } from '../../../helpers/qmp.ts';
import { missingForX11, startX11, type X11 } from '../../../helpers/x11.ts';
import { openTestCluster, startTestApi, TOKEN } from '../../cluster/fixture.ts';
import { createPod, NAMESPACE } from '../../cluster/forward-fixture.ts';
import { missingProgram } from '../real-desktop.ts';
import { startRealMachine, type RealMachine } from './real-machine.ts';
import { patience } from './setup.ts';
import { linkAsViewer } from './spice-viewer.ts';

const program = missingProgram();
const missing = program === undefined ? await missingForX11() : `${program} is not installed`;
interface Server {
  url: string;
  caPem: string;
  token: string;
}

const without = noKubelet(await findKubeBinaries());
const APIS: { name: string; skip?: string | undefined; start: (t: TestContext) => Promise<Server> }[] = [
  { name: 'the embedded API', start: async (t) => ({ ...(await startTestApi(t)), token: TOKEN }) },
  {
    name: 'kube-apiserver',
    ...(without === undefined ? {} : { skip: without }),
    start: async (t) => {
      const server = await startKubeApiserver();
      t.after(() => server.close());
      return { ...server, token: server.adminToken };
    },
  },
];
const given = <T>(value: T) => ({ value, source: 'test' });
const REAL = 'only the bridge knows it';
/** Waited for to the last: QEMU 7.2 may crash when a viewer breaks off while a channel with TLS is being linked. */
const ALL = [1, 2, 3, 4, 5, 6, 9];

describe('between the real remote-viewer and real QEMU', { skip: missing ?? false }, () => {
  let machine: RealMachine;
  let x11: X11;
  let bridge: Bridge;
  let listener: ViewerListener;
  let events: BridgeEvent[];
  let password: (refused?: string) => Promise<string>;
  let endpoint: Endpoint;
  /** Through this API server, where it is not undefined. */
  let forward: Dial | undefined;

  before(async () => {
    [machine, x11] = await Promise.all([startRealMachine(), startX11()]);
  });
  after(async () => {
    await x11?.close();
    await machine?.close();
  });
  beforeEach(async () => {
    events = [];
    machine.probe.events.length = 0;
    password = async () => REAL;
    endpoint = { host: given('127.0.0.1'), port: given(machine.port) };
    forward = undefined;
    await machine.setPassword(REAL, 'never');
    bridge = await startBridge({
      dial: (signal) => (forward ? tunnelDial({ endpoint, forward }) : endpointDial(endpoint))(signal),
      password: (refused) => password(refused),
      onEvent: (event) => events.push(event),
    });
    listener = await listenForViewer(bridge, { unix: true });
  });
  afterEach(async () => {
    await listener.close();
    await bridge.close();
  });

  /** Runs remote-viewer through the bridge's socket while `look` looks; resolves to what it printed. */
  async function withViewer(look: () => Promise<void>): Promise<string> {
    const viewer = spawn('remote-viewer', ['--debug', '-'], { env: x11.env, stdio: 'pipe' });
    let output = '';
    viewer.stdout.on('data', (text) => (output += String(text)));
    viewer.stderr.on('data', (text) => (output += String(text)));
    const ended = once(viewer, 'exit');
    viewer.stdin.end(
      connectionFile({ endpoint: listener.endpoint, password: bridge.ticket, title: 'desktop' }),
    );
    try {
      await look();
    } finally {
      viewer.kill();
      await ended;
    }
    return output;
  }

  /** What QEMU says of the channels that passed authentication. */
  async function clients(...types: number[]): Promise<Record<string, unknown>[]> {
    const told = await Promise.all(types.map((type) => machine.probe.waitForChannel(type)));
    return told.map(({ data }) => asObject(data['client']));
  }

  // The first: a server that has shown its display to somebody bears it.
  test('no viewer that goes while its display is being linked takes the machine with it', async () => {
    for (let round = 0; round < 20; round++) {
      const main = connect(listener.socket ?? '');
      assert.equal((await linkAsViewer(main, bridge.ticket)).result, 0);
      const header = await readExactly(main, 6, patience());
      const connectionId = (await readExactly(main, header.readUInt32LE(2), patience())).readUInt32LE();
      // ATTACH_CHANNELS
      main.write(Buffer.from([104, 0, 0, 0, 0, 0]));
      main.resume();
      const channels = [2, 3, 4].map(async (type) => {
        const stream = connect(listener.socket ?? '');
        assert.equal((await linkAsViewer(stream, bridge.ticket, { type, connectionId })).result, 0);
        return stream;
      });
      for (const stream of [main, ...(await Promise.all(channels))]) stream.destroy();
      await eventually(async () => (await machine.probe.spiceChannels()).length === 0);
    }
  });

  test('all channels of one session, the picture, and a password that nobody else learns', async () => {
    const output = await withViewer(async () => {
      const [main, ...others] = await clients(...ALL);
      for (const client of others) assert.equal(client['connection-id'], main?.['connection-id']);
      assert.equal(main?.['tls'], false);
      const heads = machine.probe.events.filter((event) => spiceChannelType(event) === 2);
      assert.equal(heads.length, 2, 'two screens');
      const window = await x11.window(/^desktop \(1\)/);
      await eventually(async () => {
        const { stdout } = await promisify(execFile)('import', ['-window', window, '-depth', '8', 'ppm:-'], {
          env: x11.env,
          encoding: 'buffer',
          maxBuffer: 2 ** 26,
        });
        return shareShown(await machine.picture(), parsePpm(stdout)) > 0.9;
      });
      assert.equal(await takesPassword(machine.port, bridge.ticket), false, 'the ticket at QEMU');
      const stranger = connect(listener.socket ?? '');
      assert.equal((await linkAsViewer(stranger, REAL)).result, 7, 'the password at the bridge');
      assert.deepEqual(
        (await machine.probe.spiceChannels()).filter((type, index, all) => all.indexOf(type) === index),
        ALL,
        'neither disturbs the session',
      );
    });
    assert.match(output, /main channel: opened/);
    assert.ok(!output.includes(REAL));
    assert.deepEqual(
      [...new Set(events.map((event) => ('channel' in event ? event.channel.type : event.type)))].toSorted(),
      ['cursor', 'display', 'inputs', 'main', 'playback', 'record', 'usbredir'],
    );
  });

  for (const api of APIS) {
    test(`all of it through the port-forward of ${api.name}`, { skip: api.skip ?? false }, async (t) => {
      const server = await api.start(t);
      const cluster = await openTestCluster(t, server, { token: server.token });
      await createPod(cluster, 'desktop');
      const pod = { namespace: NAMESPACE, name: 'desktop' };
      forward = async (signal) => await cluster.forward(pod, machine.port, { signal });
      await withViewer(async () => {
        const [main, ...others] = await clients(...ALL);
        for (const client of others) assert.equal(client['connection-id'], main?.['connection-id']);
        const heads = machine.probe.events.filter((event) => spiceChannelType(event) === 2);
        assert.equal(heads.length, 2, 'two screens');
      });
      await eventually(async () => (await machine.probe.spiceChannels()).length === 0);
    });
  }

  test('TLS begins in the bridge', async () => {
    const tls = { ca: given(machine.certificate), hostSubject: given('CN=desktop') };
    endpoint = { host: given('127.0.0.1'), port: given(machine.tlsPort), tls };
    await withViewer(async () => {
      for (const client of await clients(...ALL)) assert.equal(client['tls'], true);
    });
  });

  test('a viewer that ends is told as such, and QEMU knows of nobody any more', async () => {
    await withViewer(async () => void (await clients(...ALL)));
    await eventually(async () => (await machine.probe.spiceChannels()).length === 0);
    const closed = (): BridgeEvent | undefined =>
      events.find((event) => event.type === 'closed' && event.channel.type === 'main');
    await eventually(async () => closed() !== undefined);
    assert.deepEqual(closed(), { type: 'closed', channel: { type: 'main', id: 0 }, by: 'viewer' });
  });

  test('a channel that comes after the password has run out gets a fresh one', async () => {
    const main = connect(listener.socket ?? '');
    assert.equal((await linkAsViewer(main, bridge.ticket)).result, 0);
    // MAIN_INIT, with a mini header.
    const header = await readExactly(main, 6, patience());
    assert.equal(header.readUInt16LE(), 103);
    const connectionId = (await readExactly(main, header.readUInt32LE(2), patience())).readUInt32LE();
    main.resume();
    await machine.setPassword(REAL, 'now');
    password = async (refused) => {
      if (refused === undefined) return REAL;
      assert.equal(refused, REAL);
      await machine.setPassword('fresh', 'never');
      return 'fresh';
    };
    const inputs = connect(listener.socket ?? '');
    assert.equal((await linkAsViewer(inputs, bridge.ticket, { type: 3, connectionId })).result, 0);
    const [first, second] = await clients(1, 3);
    assert.equal(first?.['connection-id'], second?.['connection-id']);
    password = async () => REAL;
    const late = connect(listener.socket ?? '');
    assert.equal((await linkAsViewer(late, bridge.ticket, { type: 4, connectionId })).result, 7);
    for (const stream of [main, inputs, late]) stream.destroy();
  });

  test('a channel of nobody’s session is refused by the server', async () => {
    const stray = connect(listener.socket ?? '');
    const link = await linkAsViewer(stray, bridge.ticket, { type: 2, connectionId: 1234 });
    assert.equal(link.result, 8);
    stray.destroy();
    assert.deepEqual(events, [
      { type: 'refused', channel: { type: 'display', id: 0 }, by: 'server', result: 8 },
    ]);
  });
});

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, 'it never came');
    await sleep(100);
  }
}
