/**
 * How long a command takes from its start to its end: `vmop list` from the built bundle against `kubectl get vms`, in
 * turns, on the embedded API over HTTPS, everything warm. `npm run bench:startup -- [--runs N] [--vms N]
 * [--base CHECKOUT]`; `--base` measures another built checkout as well.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findKubectl } from '../test/helpers/kubectl.ts';
import { benchEnv, figure, inTurns, median, medianRatio, peakMemory, printTable } from './lib.ts';

const ROOT = path.join(import.meta.dirname, '..');
const WARM_UPS = 3;
const MEMORY_RUNS = 3;

interface Contender {
  name: string;
  command: string;
  args: string[];
}

/** A private home, so that caches are this run's own. */
async function homeEnv(folder: string, kubeconfig: string): Promise<NodeJS.ProcessEnv> {
  const home = path.join(folder, 'home');
  await mkdir(home);
  const kept = Object.entries(benchEnv()).filter(([name]) => !/^(?:VMOP|XDG)_/.test(name));
  return { ...Object.fromEntries(kept), HOME: home, KUBECONFIG: kubeconfig };
}

/** Resolves to the function that ends it. */
async function startApi(vms: number, kubeconfig: string): Promise<() => Promise<void>> {
  const api = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'startup-api.ts'), String(vms), kubeconfig],
    { stdio: ['pipe', 'pipe', 'inherit'], env: benchEnv() },
  );
  const ended = once(api, 'exit');
  const ready = once(createInterface(api.stdout), 'line');
  await Promise.race([ready, ended.then(() => Promise.reject(new Error('the API did not start')))]);
  return async () => {
    api.stdin.end();
    await ended;
  };
}

/** Milliseconds from start to end. */
async function timed({ name, command, args }: Contender, env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now();
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  const ended = performance.now();
  assert.equal(code, 0, name);
  return ended - started;
}

/** MiB. Looked at all the time while it runs, so such a run is not timed. */
async function memory({ command, args }: Contender, env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(command, args, { env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  let peak = 0;
  while (child.exitCode === null) {
    peak = Math.max(peak, peakMemory(child.pid ?? 0) ?? 0);
    await setImmediate();
  }
  await ended;
  return peak;
}

async function contenders(folder: string, base: string | undefined): Promise<Contender[]> {
  const kubectl = await findKubectl();
  if ('reason' in kubectl) throw new Error(kubectl.reason);
  const empty = path.join(folder, 'empty.cjs');
  await writeFile(empty, '');
  const vmop = (root: string, ...args: string[]): Pick<Contender, 'command' | 'args'> => ({
    command: process.execPath,
    args: [path.join(root, 'bin/run.js'), ...args],
  });
  const list = base === undefined ? [] : [{ name: 'vmop list (base)', ...vmop(base, 'list') }];
  return [
    { name: 'kubectl get vms', command: kubectl.path, args: ['get', 'vms'] },
    { name: 'vmop list', ...vmop(ROOT, 'list') },
    ...list,
    { name: 'vmop --version', ...vmop(ROOT, '--version') },
    { name: 'node, empty file', command: process.execPath, args: [empty] },
  ];
}

async function bench(options: { runs: number; vms: number; base: string | undefined }): Promise<void> {
  const { runs, vms, base } = options;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'vmop-bench-'));
  const kubeconfig = path.join(folder, 'kubeconfig');
  let stopApi: (() => Promise<void>) | undefined;
  try {
    const all = await contenders(folder, base);
    const env = await homeEnv(folder, kubeconfig);
    stopApi = await startApi(vms, kubeconfig);
    await inTurns(all, WARM_UPS, (contender) => timed(contender, env));
    const times = await inTurns(all, runs, (contender) => timed(contender, env));
    const peaks = await inTurns(all, MEMORY_RUNS, (contender) => memory(contender, env));
    const columns = all.flatMap(({ name }, index) => {
      const heading = { 'kubectl get vms': '× kubectl', 'vmop list (base)': '× base' }[name];
      return heading === undefined ? [] : [{ heading, times: times[index] ?? [] }];
    });
    console.log(`${vms} VMs, ${runs} rounds; medians, the ratios of pairs`);
    printTable([
      ['', 'ms', ...columns.map(({ heading }) => heading), 'peak MiB'],
      ...all.map(({ name }, index) => {
        const own = times[index] ?? [];
        const ratios = columns.map((column) => figure(medianRatio(own, column.times), 2));
        return [name, figure(median(own)), ...ratios, figure(median(peaks[index] ?? []))];
      }),
    ]);
  } finally {
    await stopApi?.();
    await rm(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '25' },
    vms: { type: 'string', default: '10' },
    base: { type: 'string' },
  },
});
await bench({ runs: Number(values.runs), vms: Number(values.vms), base: values.base });
