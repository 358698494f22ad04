/**
 * How long it takes from the start of a command to the first picture of a real guest: a plain remote-viewer with a
 * ready file, `vmop console` directly, through the API server's port-forward (embedded, and kube-apiserver), and in a
 * browser that runs already; in turns. `npm run bench:console -- [--rounds N]`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { DESKTOP, missingForDesktop, RealSandbox } from '../test/e2e/real-sandbox.ts';
import { missingForWeb, startChromium } from '../test/e2e/web-desktop.ts';
import { sandboxApis } from '../test/helpers/sandbox-apis.ts';
import { benchEnv, figure, inTurns, median, medianRatio, peakMemory, printTable, until } from './lib.ts';
import { lookOutForPicture, pictureShown, screenShows } from './screen.ts';

const POLL_MS = 2;

interface Opening {
  /** From the start of the command to the guest's picture. */
  ms: number;
  /** `--web`: from the start of the command to the link. */
  linkMs?: number;
  /** The most memory that vmop had, once the session stood. */
  vmopMib?: number | undefined;
}

interface Way {
  name: string;
  open: () => Promise<Opening>;
}

/** A viewer with a file that was made before. */
async function plainViewer(real: RealSandbox): Promise<Opening> {
  const file = path.join(real.home.folder, 'ready.vv');
  await real.home.succeed(['console', DESKTOP, '--file', file, '--validity', '5m']);
  const guest = await real.guestPicture();
  const started = performance.now();
  const viewer = spawn('remote-viewer', [file], { env: real.home.env, stdio: 'ignore' });
  const ended = once(viewer, 'exit');
  await screenShows(real.x11.frameFile, guest);
  const ms = performance.now() - started;
  viewer.kill();
  await ended;
  await screenShows(real.x11.frameFile, guest, false);
  return { ms };
}

async function vmopConsole(real: RealSandbox, args: string[]): Promise<Opening> {
  const guest = await real.guestPicture();
  const started = performance.now();
  const vmop = real.home.start(['console', DESKTOP, '--validity', '5m', ...args]);
  await screenShows(real.x11.frameFile, guest);
  const ms = performance.now() - started;
  await vmop.shows(/connected to/);
  const vmopMib = peakMemory(vmop.pid);
  vmop.kill('SIGINT');
  await vmop.ended();
  await screenShows(real.x11.frameFile, guest, false);
  return { ms, vmopMib };
}

async function vmopInBrowser(real: RealSandbox, browser: Browser): Promise<Opening> {
  const page = await browser.newPage();
  try {
    await lookOutForPicture(page, await real.guestPicture());
    const started = performance.now();
    const vmop = real.home.start(['console', DESKTOP, '--web', '--no-browser']);
    await until('vmop prints the link', POLL_MS, () => vmop.stdout().endsWith('\n'));
    const linkMs = performance.now() - started;
    await page.goto(vmop.stdout().trim(), { waitUntil: 'commit' });
    await pictureShown(page);
    const ms = performance.now() - started;
    await vmop.shows(/connected to/);
    const vmopMib = peakMemory(vmop.pid);
    vmop.kill('SIGINT');
    await vmop.ended();
    return { ms, linkMs, vmopMib };
  } finally {
    await page.close();
  }
}

/** A console that is still counted as connected would be closed first. */
async function nobodyIsConnected(real: RealSandbox): Promise<void> {
  await real.home.succeed(['wait', DESKTOP, '--for', 'no-console', '--timeout', '30s']);
}

async function bench(rounds: number): Promise<void> {
  const missing = (await missingForDesktop()) ?? (await missingForWeb());
  if (missing !== undefined) throw new Error(missing);
  const sandboxes: RealSandbox[] = [];
  const browser = await startChromium();
  try {
    const ways: Way[] = [];
    const add = (real: RealSandbox, name: string, open: () => Promise<Opening>): void => {
      const alone = async (): Promise<Opening> => {
        await nobodyIsConnected(real);
        return await open();
      };
      ways.push({ name, open: alone });
    };
    for (const api of await sandboxApis()) {
      if (api.skip !== undefined) {
        console.log(`without ${api.name}: ${api.skip}`);
        continue;
      }
      const real = await RealSandbox.create(api.env);
      sandboxes.push(real);
      await real.startDesktop(api.name);
      if (api.name === 'embedded') {
        add(real, 'remote-viewer, ready file', () => plainViewer(real));
        add(real, 'vmop console', () => vmopConsole(real, ['--tunnel', 'never']));
        add(real, 'vmop console --web', () => vmopInBrowser(real, browser));
      }
      const tunnel = (): Promise<Opening> => vmopConsole(real, ['--tunnel', 'always']);
      add(real, `vmop console --tunnel always (${api.name})`, tunnel);
    }
    await inTurns(ways, 1, ({ open }) => open());
    const measured = await inTurns(ways, rounds, ({ open }) => open());
    print(rounds, ways, measured);
  } finally {
    await browser.close();
    for (const real of sandboxes) await real.close();
  }
}

function print(rounds: number, ways: readonly Way[], measured: readonly Opening[][]): void {
  const times = measured.map((openings) => openings.map(({ ms }) => ms));
  console.log(`from the command to the first picture, ${rounds} rounds; medians, the ratios of pairs`);
  printTable([
    ['', 'ms', '× plain', 'link ms', 'vmop MiB'],
    ...ways.map(({ name }, index) => {
      const openings = measured[index] ?? [];
      const own = times[index] ?? [];
      const middle = (pick: (opening: Opening) => number | undefined): string =>
        figure(median(openings.flatMap((opening) => pick(opening) ?? [])));
      return [
        name,
        figure(median(own)),
        figure(medianRatio(own, times[0] ?? []), 2),
        middle(({ linkMs }) => linkMs),
        middle(({ vmopMib }) => vmopMib),
      ];
    }),
  ]);
}

// For all that is started from here.
process.env = benchEnv();
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' } } });
await bench(Number(values.rounds));
