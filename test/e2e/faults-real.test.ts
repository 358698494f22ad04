import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { field } from '../commands/suite.ts';
import { eventually, type CliProcess } from '../helpers/cli-process.ts';
import { DESKTOP, missingForDesktop, RealSandbox } from './real-sandbox.ts';
import { takesPassword } from './spice-login.ts';

const missing = await missingForDesktop();

/** Starts the real viewer when it is told to. */
const LATE_VIEWER = `#!/bin/sh
: > "$0.started"
while [ ! -e "$0.go" ]; do sleep 0.05; done
exec remote-viewer "$@"
`;

describe('faults with a real guest and viewer', { skip: missing }, () => {
  let real: RealSandbox;
  before(async () => {
    real = await RealSandbox.create();
    await real.startDesktop();
  });
  after(async () => await real.close());

  function open(t: TestContext, ...args: string[]): CliProcess {
    const console = real.home.start(['console', DESKTOP, ...args]);
    t.after(async () => {
      console.kill('SIGKILL');
      await console.ended();
    });
    return console;
  }

  /** A console whose viewer waits for `go`. */
  async function lateConsole(
    t: TestContext,
    ...args: string[]
  ): Promise<{ console: CliProcess; go: () => Promise<void> }> {
    const folder = path.join(real.home.folder, t.name.replaceAll(/\W+/g, '-'));
    const viewer = path.join(folder, 'remote-viewer');
    await mkdir(folder);
    await writeFile(viewer, LATE_VIEWER);
    await chmod(viewer, 0o755);
    const console = open(t, '--viewer', viewer, ...args);
    await eventually('the viewer is started', async () => assert.ok(existsSync(`${viewer}.started`)));
    return { console, go: () => writeFile(`${viewer}.go`, '') };
  }

  test('the password in QEMU is another one by the time the viewer connects', async (t) => {
    const { console, go } = await lateConsole(t);
    await (await real.probe()).execute('set_password', { protocol: 'spice', password: 'another' });
    await go();
    const { code, stderr } = await console.ended();
    assert.equal(code, 9, stderr);
    assert.match(stderr, /error: the display of desktop-1 refused the password/);
    await real.assertOnlySandboxIsLeft();
  });

  test('the password has run out by the time the viewer connects', async (t) => {
    const { console, go } = await lateConsole(t, '--validity', '1s');
    const { password } = await real.secret();
    const port = await real.spicePort();
    await eventually('it has run out', async () => assert.equal(await takesPassword(port, password), false));
    await go();
    const { code, stderr } = await console.ended();
    assert.equal(code, 9, stderr);
    assert.match(stderr, /refused the password\n.*--validity 120s/s);
    await real.assertOnlySandboxIsLeft();
  });

  test('vmop is killed: nothing of it stays, and the password ends by itself', async (t) => {
    const began = Math.floor(Date.now() / 1000);
    const console = open(t, '--validity', '40s');
    await console.shows(/connected to desktop-1/);
    await real.guestIsShown();
    console.kill('SIGKILL');
    assert.equal((await console.ended()).signal, 'SIGKILL');
    const expiry = Number((await real.secret()).expiry);
    const now = Math.floor(Date.now() / 1000);
    assert.ok(expiry >= began + 39 && expiry <= now + 41, `${expiry - now} s from now`);
    await eventually('viewer and guard have ended', async () => await real.assertOnlySandboxIsLeft());
    // What it left does not bother the next one.
    const next = open(t);
    await next.shows(/connected to desktop-1/);
    await real.guestIsShown();
    next.kill('SIGINT');
    assert.equal((await next.ended()).code, 130);
  });

  test('the sandbox is killed: the session lives on, and the next sandbox has it', async (t) => {
    const console = open(t, '-v');
    await console.shows(/the display password was ended/);
    const pid = field((await real.home.succeed(['sandbox', 'status', '--json'])).json(), 'pid');
    assert.ok(typeof pid === 'number');
    process.kill(pid, 'SIGKILL');
    await real.home.waitForProcesses('it has ended', (running) => running.every((each) => each.pid !== pid));
    assert.equal((await real.home.run(['list'])).code, 7);
    await real.typeIntoGuest('echo without a cluster');
    const running = (await real.home.processes()).map(({ pid: each }) => each);

    await real.home.succeed(['sandbox', 'start', '--driver', 'qemu']);
    await eventually('the machine is known again', async () =>
      assert.match((await real.home.succeed(['list'])).stdout, /^desktop-1 +running +alice/m),
    );
    const kept = (await real.home.processes()).filter((each) => running.includes(each.pid));
    assert.equal(kept.length, running.length, 'the machine, vmop and its viewer are the same');
    await real.typeIntoGuest('echo the same session');
    console.kill('SIGINT');
    assert.equal((await console.ended()).code, 130);

    const next = open(t, '-v');
    await next.shows(/connected to desktop-1/);
    await real.guestIsShown();
    await next.shows(/the display password was ended/);
    next.kill('SIGINT');
    assert.equal((await next.ended()).code, 130);
    await real.assertOnlySandboxIsLeft();
  });

  test('the sandbox is killed and only stopped: nothing of it stays', async (t) => {
    const console = open(t);
    await console.shows(/connected to desktop-1/);
    const pid = field((await real.home.succeed(['sandbox', 'status', '--json'])).json(), 'pid');
    assert.ok(typeof pid === 'number');
    process.kill(pid, 'SIGKILL');
    real.disconnect();
    await real.home.succeed(['sandbox', 'stop']);
    const { code, stderr } = await console.ended();
    assert.equal(code, 9, stderr);
    assert.match(stderr, /the connection to desktop-1 at 127\.0\.0\.1:\d+ was lost/);
    assert.deepEqual(await real.home.processes(), []);
    const left = (await real.home.files()).filter((file) => /\.(?:sock|pid)$|daemon\.json$/.test(file));
    assert.deepEqual(left, []);
  });
});
