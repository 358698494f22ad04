import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { loadKubeconfig, openCluster } from '../../src/lib/cluster/index.ts';
import type { Cluster } from '../../src/lib/cluster/types.ts';
import { DISPLAY_SECRETS, type DisplaySecret } from '../../src/lib/console/secret/display-secret.ts';
import type { ApiName } from '../../src/lib/sandbox/api-choice.ts';
import { machineFiles } from '../../src/lib/sandbox/drivers/qemu/files.ts';
import { findQemu } from '../../src/lib/sandbox/drivers/qemu/find.ts';
import { guestCache, guestImage } from '../../src/lib/sandbox/guest-image/build.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import type { Vm } from '../../src/lib/vm/types.ts';
import { CliHome, eventually, isViewer } from '../helpers/cli-process.ts';
import { QmpProbe } from '../helpers/qmp.ts';
import { missingForX11, startX11, type X11 } from '../helpers/x11.ts';
import { parsePpm, shareShown, type Picture } from './picture.ts';

const execute = promisify(execFile);
const LIMIT_MS = 10_000;
const OF_SANDBOX = /^(?:qemu-system-.*|etcd|kube-apiserver|vmop-kubelet)$/;

export const DESKTOP = 'desktop-1';
const REF = { namespace: 'default', name: DESKTOP };

/** What a real desktop in a real viewer needs and this machine lacks; undefined: nothing. */
export async function missingForDesktop(): Promise<string | undefined> {
  const qemu = await findQemu(process.env);
  if ('missing' in qemu) return qemu.missing;
  const guest = await guestImage({ env: process.env });
  if ('missing' in guest) return guest.missing;
  for (const viewer of ['remote-viewer', 'spicy']) {
    const found = await execute('which', [viewer]).catch(() => undefined);
    if (found === undefined) return `${viewer} is not installed`;
  }
  return await missingForX11();
}

/** The sandbox as a person runs it, with QEMU, and a screen for viewers. */
export class RealSandbox {
  readonly home: CliHome;
  readonly x11: X11;
  #cluster: Cluster | undefined;
  #probe: QmpProbe | undefined;

  private constructor(home: CliHome, x11: X11) {
    this.home = home;
    this.x11 = x11;
  }

  /** Nothing is started but the screen; `env` is for every vmop. */
  static async create(env: NodeJS.ProcessEnv = {}): Promise<RealSandbox> {
    const x11 = await startX11();
    const { DISPLAY, XDG_RUNTIME_DIR, NO_AT_BRIDGE } = x11.env;
    const home = await CliHome.create({ DISPLAY, XDG_RUNTIME_DIR, NO_AT_BRIDGE, ...env });
    // The guest takes a download to make; a home without one is tested elsewhere.
    const cache = guestCache(home.env);
    await mkdir(path.dirname(cache), { recursive: true });
    await symlink(guestCache(process.env), cache);
    return new RealSandbox(home, x11);
  }

  /** The sandbox, and desktop-1 with a guest in which alice is logged in. */
  async startDesktop(api: ApiName = 'embedded'): Promise<void> {
    await this.home.succeed(['sandbox', 'start', '--driver', 'qemu', '--api', api]);
    await this.home.succeed(['start', DESKTOP]);
    await this.home.succeed(['wait', DESKTOP, '--for', 'agent', '--timeout', '50s']);
    await this.home.succeed(['login', DESKTOP, '--user', 'alice']);
  }

  /** As the administrator. */
  get cluster(): Cluster {
    const file = path.join(this.home.sandboxFolder, 'kubeconfig');
    this.#cluster ??= openCluster(loadKubeconfig({ env: {}, file }), {
      userAgent: 'vmop-test',
      timeoutMs: LIMIT_MS,
    });
    return this.#cluster;
  }

  async vm(): Promise<Vm> {
    return await this.cluster.get(VMS, REF);
  }

  async spicePort(): Promise<number> {
    const port = (await this.vm()).spec.spice?.port;
    assert.ok(port !== undefined);
    return port;
  }

  async secret(): Promise<DisplaySecret & { password: string }> {
    const { items } = await this.cluster.list(DISPLAY_SECRETS, { namespace: REF.namespace });
    const secret = items.find(({ name }) => name.startsWith(DESKTOP));
    assert.ok(secret?.password !== undefined);
    return { ...secret, password: secret.password };
  }

  /** The folder of the one machine that was ever started. */
  async machineFolder(): Promise<string> {
    const machines = path.join(this.home.sandboxFolder, 'm');
    const [name, ...others] = await readdir(machines);
    assert.ok(name !== undefined && others.length === 0);
    return path.join(machines, name);
  }

  /** QEMU's second control socket, connected once per run of the machine. */
  async probe(): Promise<QmpProbe> {
    this.#probe ??= await QmpProbe.connect(await this.machineFolder());
    return this.#probe;
  }

  /** What the guest wrote on its serial port. */
  async serial(): Promise<string> {
    return await readFile(machineFiles(await this.machineFolder()).serialLog, 'utf8');
  }

  /** Types a line into the viewer, and waits until the guest has got it. */
  async typeIntoGuest(text: string): Promise<void> {
    const window = await this.x11.window(/^desktop-1 \(1\)/);
    await this.x11.type(window, `${text}\n`);
    await eventually(`the guest got ${text}`, async () => {
      assert.ok((await this.serial()).includes(`typed: ${text}\r`));
    });
  }

  /**
   * Waits until the viewer's window shows the guest's screen as QEMU has it. To be called before a viewer is ended: the
   * SPICE server of QEMU 7.2 crashes when a viewer goes between the link of its display and the first message on it.
   */
  async guestIsShown(): Promise<void> {
    const window = await this.x11.window(/^desktop-1 \(1\)/);
    await eventually('the viewer shows the picture of the guest', async () => {
      const share = shareShown(await this.guestPicture(), await this.windowPicture(window));
      assert.ok(share > 0.9, `${Math.round(share * 100)} % of its rows`);
    });
  }

  async guestPicture(): Promise<Picture> {
    const file = path.join(await this.machineFolder(), 'picture.ppm');
    await (await this.probe()).execute('screendump', { filename: file });
    const picture = parsePpm(await readFile(file));
    await rm(file);
    return picture;
  }

  async windowPicture(window: string): Promise<Picture> {
    const { stdout } = await execute('import', ['-window', window, '-depth', '8', 'ppm:-'], {
      env: this.x11.env,
      timeout: LIMIT_MS,
      encoding: 'buffer',
      maxBuffer: 64 * 1024 * 1024,
    });
    return parsePpm(stdout);
  }

  /** Clicks the cross in the corner of the viewer's window, and OK where it asks. */
  async closeViewerByHand(): Promise<void> {
    const window = await this.x11.window(/^desktop-1 \(1\)/);
    await this.#click(window, { fromRight: 27, y: 27 });
    const question = await eventually('the viewer asks', async () => {
      const shown = await this.#xdotool('search', '--onlyvisible', '--class', 'remote-viewer');
      const other = shown.split('\n').find((id) => id !== window);
      assert.ok(other);
      return other;
    });
    await this.#click(question, { fromRight: 70, fromBottom: 20 });
  }

  async #click(
    window: string,
    { fromRight, y, fromBottom = 0 }: { fromRight: number; y?: number; fromBottom?: number },
  ): Promise<void> {
    const shell = await this.#xdotool('getwindowgeometry', '--shell', window);
    const size = (name: string): number => Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(shell)?.[1] ?? 0);
    const place = [size('WIDTH') - fromRight, y ?? size('HEIGHT') - fromBottom].map(String);
    await this.#xdotool('mousemove', '--window', window, ...place, 'click', '1');
  }

  async #xdotool(...args: string[]): Promise<string> {
    return (await execute('xdotool', args, { env: this.x11.env, timeout: LIMIT_MS })).stdout.trim();
  }

  /** After a session nothing may be there but the sandbox: its process, API server and QEMU. */
  async assertOnlySandboxIsLeft(): Promise<void> {
    const running = await this.home.processes();
    const others = running.filter(
      ({ args }) =>
        !args.includes('daemon') &&
        !OF_SANDBOX.test(path.basename(args[0] ?? '')) &&
        // That of the API server; a session's has the command for what is left of it as well.
        args.at(-1) !== 'vmop-guard',
    );
    assert.deepEqual(others, [], 'a process is left behind');
    assert.deepEqual(await readdir(this.home.temporary), [], 'a temporary file is left behind');
  }

  async viewers(): Promise<number[]> {
    return (await this.home.processes()).filter(isViewer).map(({ pid }) => pid);
  }

  /** Before the machine, or the sandbox, ends. */
  disconnect(): void {
    this.#probe?.close();
    this.#cluster?.close();
    this.#probe = undefined;
    this.#cluster = undefined;
  }

  async close(): Promise<void> {
    this.disconnect();
    await this.home.close();
    await this.x11.close();
  }
}
