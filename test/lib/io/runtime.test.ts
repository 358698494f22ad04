import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { processRuntime } from '../../../src/lib/io/runtime.ts';

const SCRIPT = `
import { processRuntime } from ${JSON.stringify(new URL('../../../src/lib/io/runtime.ts', import.meta.url).href)};
const { signal, onExit, stdout } = processRuntime();
if (processRuntime().signal !== signal) throw new Error('a second signal');
onExit(() => stdout.write('exit\\n'));
onExit(() => stdout.write('never\\n'))();
signal.addEventListener('abort', () => stdout.write(signal.reason + '\\n'));
process.on('SIGHUP', () => stdout.write('hung up\\n'));
const alive = setInterval(() => undefined, 1000);
process.stdin.on('end', () => clearInterval(alive)).resume();
stdout.write('ready\\n');
`;

/** Sends the signals one after the other, each when the program has said the line; gives its lines and its end. */
async function run(signals: [string, NodeJS.Signals][]): Promise<{ lines: string[]; code: number | null }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  // It may be over by then.
  child.stdin.on('error', () => {});
  const lines: string[] = [];
  const waiting = [...signals];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    const [next] = waiting;
    if (next?.[0] === line) child.kill(waiting.shift()?.[1]);
    // Its input ends only when it has taken the signal: it would be over before.
    else if (next === undefined) child.stdin.end();
  }
  await closed;
  return { lines, code: child.exitCode };
}

test('the first signal aborts and leaves the end to the program, the second one ends it', async () => {
  const cases: [[string, NodeJS.Signals][], { lines: string[]; code: number }][] = [
    [[['ready', 'SIGTERM']], { lines: ['ready', 'SIGTERM', 'exit'], code: 0 }],
    [[['ready', 'SIGHUP']], { lines: ['ready', 'SIGTERM', 'hung up', 'exit'], code: 0 }],
    [
      [
        ['ready', 'SIGHUP'],
        ['hung up', 'SIGHUP'],
      ],
      { lines: ['ready', 'SIGTERM', 'hung up', 'hung up', 'exit'], code: 0 },
    ],
    [
      [
        ['ready', 'SIGINT'],
        ['SIGINT', 'SIGINT'],
      ],
      { lines: ['ready', 'SIGINT', 'exit'], code: 130 },
    ],
    [
      [
        ['ready', 'SIGINT'],
        ['SIGINT', 'SIGTERM'],
      ],
      { lines: ['ready', 'SIGINT', 'exit'], code: 143 },
    ],
  ];
  for (const [signals, expected] of cases) assert.deepEqual(await run(signals), expected);
});

test('the process as a value', () => {
  const handlers = process.listenerCount('SIGINT');
  const runtime = processRuntime();
  assert.equal(runtime.stdout, process.stdout);
  assert.equal(runtime.env, process.env);
  assert.equal(processRuntime().signal, runtime.signal);
  assert.equal(process.listenerCount('SIGINT'), handlers + 1);
  assert.ok(Math.abs(runtime.now().getTime() - Date.now()) < 60_000);
});
