import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { asInteger, asObject } from '../../src/lib/cluster/parse.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { field } from '../commands/suite.ts';
import { eventually, isViewer, type CliProcess } from '../helpers/cli-process.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';
import { spiceChannelType } from '../helpers/qmp.ts';
import { readKeyFile } from '../lib/console/key-file-reader.ts';
import { DESKTOP, missingForDesktop, RealSandbox } from './real-sandbox.ts';
import { takesPassword } from './spice-login.ts';

const missing = await missingForDesktop();
const me = os.userInfo().username;
/** Somebody whom the API server lets do what spec.permissions gives. */
const BOB = ['--as', 'bob', '--as-group', 'system:masters'];

for (const api of await sandboxApis()) {
  describe(`a desktop, as a person uses it, on ${api.name}`, { skip: missing ?? api.skip }, () => {
    let real: RealSandbox;
    before(async () => {
      real = await RealSandbox.create(api.env);
    });
    after(async () => await real.close());

    /** Starts `vmop console`; whatever becomes of the test, it ends with it. */
    function open(t: TestContext, ...args: string[]): CliProcess {
      const console = real.home.start(['console', DESKTOP, ...args]);
      t.after(async () => {
        console.kill('SIGTERM');
        await console.ended();
      });
      return console;
    }

    async function connected(t: TestContext, ...args: string[]): Promise<CliProcess> {
      const console = open(t, ...args);
      await console.shows(/connected to desktop-1/);
      return console;
    }

    /** The console in `vmop list -o json`. */
    async function listed(): Promise<unknown> {
      const rows = (await real.home.succeed(['list', '-o', 'json'])).json();
      assert.ok(Array.isArray(rows));
      return field(
        rows.find((row) => field(row, 'name') === DESKTOP),
        'console',
      );
    }

    /** The connections that QEMU let pass, by session: the types of their channels. */
    async function sessions(): Promise<Map<number, number[]>> {
      const found = new Map<number, number[]>();
      for (const event of (await real.probe()).events) {
        const type = spiceChannelType(event);
        const id = asInteger(asObject(event.data['client'])['connection-id']);
        if (type !== undefined && id !== undefined) found.set(id, [...(found.get(id) ?? []), type]);
      }
      return found;
    }

    async function passwordIsDead(): Promise<void> {
      const { password } = await real.secret();
      assert.equal(await takesPassword(await real.spicePort(), password), false, 'the password still works');
    }

    test('sandbox start, list, start, wait, login', async () => {
      const started = await real.home.succeed(['sandbox', 'start', '--driver', 'qemu', '--api', api.name]);
      assert.match(started.stdout, /Machines: +QEMU/);
      const before = await real.home.succeed(['list']);
      assert.match(before.stdout, /^desktop-1 +stopped +- +-/m);
      await real.home.succeed(['start', DESKTOP]);
      await real.home.succeed(['wait', DESKTOP, '--for', 'agent', '--timeout', '50s']);
      const login = await real.home.succeed(['login', DESKTOP, '--user', 'alice']);
      assert.equal(login.stdout, 'alice is logged in on desktop-1\n');
      assert.match(await real.serial(), /^seat: alice agent$/m);
      assert.match(await (await real.probe()).screenText(), /alice is logged in, by the agent/);
      assert.match((await real.home.succeed(['list'])).stdout, /^desktop-1 +running +alice +-/m);
    });

    test('console: the guest in a window, its keys, its password ended, and the window closed', async (t) => {
      const files = await real.home.files();
      const console = await connected(t, '-v');
      const probe = await real.probe();
      await probe.waitForChannel(1);
      await probe.waitForChannel(2);
      await eventually('all channels are there', async () => {
        const channels = await probe.spiceChannels();
        assert.ok(
          [1, 2, 3].every((type) => channels.includes(type)),
          channels.join(),
        );
      });
      const [channels, ...others] = [...(await sessions()).values()];
      assert.ok(channels?.includes(1) && channels.includes(2), 'main and display belong to one connection');
      assert.equal(others.length, 0, 'there was one session');
      await real.guestIsShown();
      await real.typeIntoGuest('echo typed in the viewer');
      await real.guestIsShown();
      assert.equal(field(await listed(), 'user'), me);
      assert.match(
        (await real.home.succeed(['list'])).stdout,
        new RegExp(`^desktop-1 +running +alice +${me}`, 'm'),
      );

      await console.shows(/the display password was ended/);
      await eventually('QEMU refuses the password', passwordIsDead);
      assert.equal((await real.secret()).expiry, 'now');
      await real.typeIntoGuest('echo the session lives on');
      assert.equal((await sessions()).size, 1);

      await real.closeViewerByHand();
      const { code, stdout } = await console.ended();
      assert.equal(code, 0);
      assert.match(stdout, /^the console of desktop-1 was closed after [\d.]+ s\n$/);
      await real.assertOnlySandboxIsLeft();
      await eventually('nobody is connected any more', async () =>
        assert.equal(field(await listed(), 'connected'), false),
      );
      const added = (await real.home.files()).filter((file) => !files.includes(file));
      // The viewer's own, which it makes at its first start, V8's code, and who the API server says one is.
      const expected =
        /^home\/\.(?:cache(?:$|\/gstreamer|\/fontconfig|\/mesa|\/vmop\/standing|\/vmop\/code)|local|config)/;
      assert.deepEqual(
        added.filter((file) => !expected.test(file)),
        [],
      );
    });

    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      // As a terminal does that is closed.
      ['SIGHUP', 143],
    ] as const) {
      test(`${signal} ends the viewer and the password`, async (t) => {
        const console = await connected(t);
        await real.guestIsShown();
        const { password } = await real.secret();
        console.kill(signal);
        assert.equal((await console.ended()).code, code);
        await real.assertOnlySandboxIsLeft();
        assert.equal((await real.secret()).password, password);
        await eventually('QEMU refuses the password', passwordIsDead);
      });
    }

    test('SIGINT before the viewer is connected', async (t) => {
      const console = open(t);
      await console.shows(/waiting for the runner|starting remote-viewer/);
      console.kill('SIGINT');
      assert.equal((await console.ended()).code, 130);
      await real.assertOnlySandboxIsLeft();
      await eventually('QEMU refuses the password', passwordIsDead);
    });

    test('--file writes what remote-viewer opens', async (t) => {
      const file = path.join(real.home.folder, 'desktop.vv');
      t.after(async () => await real.home.succeed(['secret', 'expire', DESKTOP]));
      const { stdout } = await real.home.succeed(['console', DESKTOP, '--file', file]);
      assert.match(stdout, /desktop\.vv is written; its password is valid until /);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const { group, entries } = readKeyFile(await readFile(file, 'utf8'));
      assert.equal(group, 'virt-viewer');
      const values = Object.fromEntries(entries.map(({ key, value }) => [key, value]));
      const { password } = await real.secret();
      const expected = { type: 'spice', host: '127.0.0.1', port: String(await real.spicePort()), password };
      for (const [key, value] of Object.entries(expected)) assert.equal(values[key], value, key);
      assert.equal(values['delete-this-file'], '1');

      const known = await sessions();
      const viewer = spawn('remote-viewer', [file], { env: real.home.env, stdio: 'ignore' });
      const exit = once(viewer, 'exit');
      t.after(async () => {
        viewer.kill();
        await exit;
      });
      await eventually('the viewer opens main and display', async () => {
        const [session] = [...(await sessions())].filter(([id]) => !known.has(id));
        assert.ok(session?.[1].includes(1) && session[1].includes(2));
      });
      await real.guestIsShown();
      assert.equal((await real.home.files()).includes('desktop.vv'), false, 'the viewer deletes the file');
    });

    test('--file - is the connection file and nothing else', async (t) => {
      t.after(async () => await real.home.succeed(['secret', 'expire', DESKTOP]));
      const { stdout } = await real.home.succeed(['console', DESKTOP, '--file', '-']);
      const { entries } = readKeyFile(stdout);
      const { password } = await real.secret();
      assert.equal(entries.find(({ key }) => key === 'password')?.value, password);
      assert.notEqual(entries.find(({ key }) => key === 'delete-this-file')?.value, '1');
      assert.equal(await takesPassword(await real.spicePort(), password), true);
    });

    test('--detach leaves the viewer alone', async (t) => {
      t.after(async () => await real.home.succeed(['secret', 'expire', DESKTOP]));
      const { stdout } = await real.home.succeed(['console', DESKTOP, '--detach']);
      assert.match(stdout, /remote-viewer is connected to desktop-1, and left alone/);
      const [viewer, ...others] = await real.viewers();
      assert.ok(viewer !== undefined && others.length === 0);
      await real.guestIsShown();
      await real.typeIntoGuest('echo detached');
      process.kill(viewer, 'SIGTERM');
      await real.home.waitForProcesses('the viewer has ended', (running) => !running.some(isViewer));
      await real.assertOnlySandboxIsLeft();
    });

    test('a console in use is refused, and --take takes it', async (t) => {
      const grants = [
        { user: me, may: ['*'] },
        { user: 'bob', may: ['accessConsole', 'takeConsole'] },
      ];
      const body = { spec: { permissions: grants } };
      await real.cluster.patch(VMS, { namespace: 'default', name: DESKTOP }, { type: 'merge', body });
      const first = await connected(t, '-v');
      await first.shows(/the display password was ended/);
      await real.guestIsShown();
      const refused = await real.home.run(['console', DESKTOP, ...BOB]);
      assert.equal(refused.code, 5, refused.stderr);
      assert.match(refused.stderr, new RegExp(`${me} is connected to desktop-1.*--take`, 's'));

      const second = await connected(t, ...BOB, '--take');
      const { code, stderr } = await first.ended();
      assert.equal(code, 5, stderr);
      assert.match(stderr, /bob has taken the console of desktop-1 from 127\.0\.0\.1/);
      await real.guestIsShown();
      assert.equal(field(await listed(), 'user'), 'bob');
      assert.equal((await real.viewers()).length, 1);
      second.kill('SIGINT');
      assert.equal((await second.ended()).code, 130);
      await real.assertOnlySandboxIsLeft();
    });

    test('--login logs a user in once the console is connected', async (t) => {
      const console = await connected(t, '--login', 'carol', '--title', 'the desktop of carol');
      await console.shows(/carol is logged in on desktop-1/);
      assert.match(await real.serial(), /^seat: carol agent$/m);
      await real.x11.window(/^the desktop of carol \(1\)/);
      assert.match(await (await real.probe()).screenText(), /carol is logged in, by the agent/);
      console.kill('SIGINT');
      assert.equal((await console.ended()).code, 130);
    });

    test('nobody listens where --host or --port say, and nothing is changed for that', async () => {
      const { resourceVersion } = await real.secret();
      for (const args of [
        ['--port', '1'],
        ['--host', '127.0.0.2'],
      ]) {
        const { code, stdout, stderr } = await real.home.run(['console', DESKTOP, ...args]);
        assert.equal(code, 9, stderr);
        assert.equal(stdout, '');
        assert.match(stderr, new RegExp(`error: .*${args[1] ?? ''}`));
      }
      assert.equal((await real.secret()).resourceVersion, resourceVersion);
    });

    test('a VM that is stopped has no console', async () => {
      const { code, stderr } = await real.home.run(['console', 'desktop-2']);
      assert.equal(code, 8, stderr);
      assert.match(stderr, /error: desktop-2 is stopped\n.*vmop start desktop-2/s);
    });

    test('the VM is stopped while its console is open', async (t) => {
      const console = await connected(t);
      await real.home.succeed(['stop', DESKTOP, '--yes']);
      const { code, stderr } = await console.ended();
      assert.equal(code, 8, stderr);
      assert.match(stderr, /desktop-1 has stopped/);
      await real.assertOnlySandboxIsLeft();
    });

    test('sandbox stop leaves no process, no socket and no file of a session', async () => {
      real.disconnect();
      await real.home.succeed(['sandbox', 'stop']);
      assert.deepEqual(await real.home.processes(), []);
      const files = await real.home.files();
      assert.deepEqual(
        files.filter((file) => /\.(?:sock|pid|vv|ppm)$|daemon\.json$|lock$/.test(file)),
        [],
      );
      await real.home.succeed(['sandbox', 'stop', '--purge']);
      assert.equal((await real.home.files()).includes('sandbox'), false);
    });
  });
}
