import assert from 'node:assert/strict';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import type { ScriptedVm } from '../../helpers/scripted-vm.ts';
import type { VmopProcess } from '../../helpers/vmop.ts';
import { startFakeServer } from '../../lib/console/bridge/spice-server.ts';
import { field } from '../suite.ts';
import { operatorSuite } from './suite.ts';

const suite = operatorSuite('Console sessions');
const { copes, run, start } = suite;

const LINKING_VIEWER = path.join(import.meta.dirname, '../../lib/console/fixtures/linking-viewer.ts');
/** Of the viewer that links: main and display. */
const CHANNELS = 2;

interface Session {
  vm: ScriptedVm;
  console: VmopProcess;
  /** What QEMU does with whoever is there when somebody else connects, or when it ends. */
  hangUp(): void;
}

/** A session that is under way, as VM-Operator reports it: connected from this address. */
async function session(t: TestContext, name: string, client: string): Promise<Session> {
  const streams: Duplex[] = [];
  const shown = Promise.withResolvers<void>();
  const server = await startFakeServer({
    passwords: () => ['of-the-manager'],
    onLinked(stream) {
      streams.push(stream.resume());
      if (streams.length === CHANNELS) shown.resolve();
    },
  });
  t.after(() => server.close());
  const display = { spice: { server: '127.0.0.1', port: server.port } };
  const vm = await suite.operator.vm(name, { vm: { state: 'Running', display } });
  await vm.secret({ expiry: 'never' });
  await vm.hasRunForLong();
  const viewer = path.join(await mkdtemp(path.join(suite.operator.folder, 'viewer-')), 'remote-viewer');
  await writeFile(viewer, `#!/bin/sh\nexec ${process.execPath} ${LINKING_VIEWER} "$@"\n`);
  await chmod(viewer, 0o755);
  const env = { DISPLAY: ':none', PATH: process.env['PATH'] };
  const console = start(['console', name, '--viewer', viewer], { env });
  await console.shows(`connected to ${name}`);
  await shown.promise;
  await vm.consoleOpened(client);
  return {
    vm,
    console,
    hangUp: () => {
      for (const stream of streams) stream.destroy();
    },
  };
}

copes(
  'A take-over turns ConsoleConnected False and, at once, True again',
  'the session that it ends is 5 and names who took it and from where',
  async (t) => {
    const { vm, console, hangUp } = await session(t, 'taken', '10.0.0.7');
    await vm.status({ consoleUser: 'bob' });
    hangUp();
    await vm.consoleTaken('10.0.0.9');
    const { code, stderr } = await console.ended;
    assert.equal(code, 5, stderr);
    assert.match(stderr, /^error: bob has taken the console of taken from 10\.0\.0\.9$/m);
    const { stdout } = await run('show taken --json');
    const json: unknown = JSON.parse(stdout);
    assert.deepEqual([field(json, 'console', 'connected'), field(json, 'console', 'user')], [true, 'bob']);
  },
);

copes(
  'Through a port-forward every client is 127.0.0.1, also who takes over',
  'one connection is told from the next by its time; who is kept out is told what that may be',
  async (t) => {
    const { vm, console, hangUp } = await session(t, 'forwarded', '127.0.0.1');
    await vm.status({ consoleUser: 'bob' });
    hangUp();
    await vm.consoleTaken('127.0.0.1');
    const { code, stderr } = await console.ended;
    assert.equal(code, 5, stderr);
    assert.match(
      stderr,
      /^error: bob has taken the console of forwarded from 127\.0\.0\.1 \(its own node, or the API server's port-forward\)$/m,
    );
    const kept = await run('console forwarded --file -');
    assert.equal(kept.code, 5);
    assert.match(kept.stderr, /bob is connected to forwarded from 127\.0\.0\.1 \(its own node, /);
  },
);

copes(
  'A power-off gives ConsoleConnected the reason VmStopped, not Disconnected',
  'the session is 8 and says that the VM has stopped; nobody is connected',
  async (t) => {
    const { vm, console, hangUp } = await session(t, 'off', '10.0.0.7');
    hangUp();
    await vm.terminating();
    await vm.machineStopped();
    await vm.podGone();
    await vm.spec({ vm: { state: 'Stopped' } });
    const { code, stderr } = await console.ended;
    assert.equal(code, 8, stderr);
    assert.match(stderr, /^error: .*\boff\b.* stopped/m);
    assert.equal((await run('wait off --for no-console --timeout 0')).code, 0);
  },
);
