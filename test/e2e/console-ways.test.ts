import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { confirmedUser } from '../../src/lib/vm/state.ts';
import { eventually, isViewer, type CliProcess } from '../helpers/cli-process.ts';
import { sandboxApis } from '../helpers/sandbox-apis.ts';
import { Situations } from './situations.ts';
import { DESKTOP, missingForDesktop, RealSandbox } from './real-sandbox.ts';
import { takesPassword } from './spice-login.ts';

const missing = await missingForDesktop();
/** Nobody listens there: the direct way is shut, and the API server's is not. */
const ELSEWHERE = 'hosts:\n  127.0.0.1: 127.0.0.77\n';
const MAIN = 1;
const DISPLAY = 2;
const INPUTS = 3;

for (const api of await sandboxApis()) {
  describe(`ways to a desktop, and what becomes of it, on ${api.name}`, { skip: missing ?? api.skip }, () => {
    const situations = new Situations('Sessions');
    let real: RealSandbox;
    let elsewhere: string;

    before(async () => {
      real = await RealSandbox.create(api.env);
      await real.startDesktop(api.name);
      elsewhere = path.join(real.home.folder, 'elsewhere.yaml');
      await writeFile(elsewhere, ELSEWHERE);
    });
    after(async () => await real.close());

    function open(t: TestContext, args: string[], env: NodeJS.ProcessEnv = {}): CliProcess {
      const console = real.home.start(['console', DESKTOP, ...args], env);
      t.after(async () => {
        console.kill('SIGTERM');
        await console.ended();
      });
      return console;
    }

    async function connected(t: TestContext, args: string[], env?: NodeJS.ProcessEnv): Promise<CliProcess> {
      const console = open(t, args, env);
      await console.shows(/connected to desktop-1/);
      return console;
    }

    async function allChannelsAreThere(): Promise<void> {
      const probe = await real.probe();
      await eventually('main, display and inputs are there', async () => {
        const channels = await probe.spiceChannels();
        assert.ok(
          [MAIN, DISPLAY, INPUTS].every((type) => channels.includes(type)),
          channels.join(),
        );
      });
    }

    async function interrupted(console: CliProcess): Promise<void> {
      await real.guestIsShown();
      console.kill('SIGINT');
      assert.equal((await console.ended()).code, 130);
      await real.assertOnlySandboxIsLeft();
    }

    /** Who is logged in, as the guest said. */
    async function someoneIs(user: string | undefined): Promise<void> {
      await eventually(`${user ?? 'nobody'} is logged in`, async () =>
        assert.equal(confirmedUser(await real.vm()), user),
      );
    }

    async function aliceIsBack(): Promise<void> {
      await real.home.succeed(['login', DESKTOP, '--user', 'alice']);
    }

    test('--tunnel always: picture and keys come through the API server, and the password stays in vmop', async (t) => {
      if (api.noKubelet !== undefined) return t.skip(api.noKubelet);
      const console = await connected(t, ['--tunnel', 'always', '-v']);
      await allChannelsAreThere();
      await real.guestIsShown();
      await real.typeIntoGuest('echo through the API server');
      await real.guestIsShown();
      const { password } = await real.secret();
      for (const pid of await real.viewers()) {
        const seen = await Promise.all(
          ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'latin1')),
        );
        assert.equal(seen.join().includes(password), false);
      }
      assert.equal(console.stderr().includes(password), false);
      await console.shows(/the display password was ended/);
      await eventually('QEMU refuses the password', async () =>
        assert.equal(await takesPassword(await real.spicePort(), password), false),
      );
      await real.typeIntoGuest('echo and without the password');
      await interrupted(console);
    });

    test('spicy shows it as well, with a ticket of vmop’s among its arguments and not the password', async (t) => {
      if (api.noKubelet !== undefined) return t.skip(api.noKubelet);
      const console = await connected(t, ['--viewer', 'spicy']);
      await allChannelsAreThere();
      const spicy = (await real.home.processes()).find(({ args }) => /^(?:.*\/)?spicy$/.test(args[0] ?? ''));
      assert.ok(spicy);
      const { password } = await real.secret();
      assert.match(spicy.args.join(' '), /--uri=spice\+unix:/);
      assert.equal(spicy.args.join(' ').includes(password), false);
      console.kill('SIGINT');
      assert.equal((await console.ended()).code, 130);
      await real.assertOnlySandboxIsLeft();
    });

    test('a display that is not reached directly is reached through the API server, and that is said', async (t) => {
      if (api.noKubelet !== undefined) return t.skip(api.noKubelet);
      const env = { VMOP_CONFIG: elsewhere };
      const console = await connected(t, [], env);
      assert.match(
        console.stderr(),
        /nothing accepts connections at 127\.0\.0\.77:\d+: going through the API/,
      );
      await interrupted(console);
      const shut = await real.home.run(['console', DESKTOP, '--tunnel', 'never'], env);
      assert.equal(shut.code, 9, shut.stderr);
      situations.saw('the display is not reached, and --tunnel never', shut, DESKTOP);
      const check = await real.home.run(['console', '--check', '--all', '-o', 'json'], env);
      assert.equal(check.code, 1, check.stderr);
      const rows = check.json();
      assert.ok(Array.isArray(rows));
      assert.deepEqual(
        rows.map(({ name, reachable, via }) => [name, reachable, via]),
        [
          [DESKTOP, true, 'tunnel'],
          ['desktop-2', false, undefined],
          ['desktop-3', false, undefined],
        ],
      );
    });

    test('--on-disconnect logout: when the window is closed, and after kill -9', async (t) => {
      const closed = await connected(t, ['--on-disconnect', 'logout']);
      await real.guestIsShown();
      await real.closeViewerByHand();
      const { code, stderr } = await closed.ended();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /alice was logged out on desktop-1, as its console is closed/);
      await someoneIs(undefined);

      await aliceIsBack();
      const killed = await connected(t, ['--on-disconnect', 'logout', '--tunnel', 'always', '-v']);
      await killed.shows(/the display password was ended/);
      await real.guestIsShown();
      killed.kill('SIGKILL');
      assert.equal((await killed.ended()).signal, 'SIGKILL');
      await someoneIs(undefined);
      await real.home.waitForProcesses('nothing is left', (running) => !running.some(isViewer));
      await eventually('what it had put away is gone', () => real.assertOnlySandboxIsLeft());
      await aliceIsBack();
    });

    test('--on-disconnect logout leaves the desktop to whoever takes it', async (t) => {
      const first = await connected(t, ['--on-disconnect', 'logout', '-v']);
      await first.shows(/the display password was ended/);
      await real.guestIsShown();
      const second = await connected(t, ['--as', 'bob', '--as-group', 'system:masters', '--take']);
      const taken = await first.ended();
      assert.equal(taken.code, 5, taken.stderr);
      assert.match(taken.stderr, /desktop-1 is left as it is: somebody else has the console now/);
      situations.saw('somebody takes the console', taken, DESKTOP);
      const refused = await real.home.run(['console', DESKTOP]);
      situations.saw('somebody else is at the console', refused, DESKTOP);
      await someoneIs('alice');
      await interrupted(second);
    });

    test('--reconnect: the VM is restarted, and its console comes back', async (t) => {
      const console = await connected(t, ['--reconnect']);
      real.disconnect();
      await real.home.succeed(['restart', DESKTOP, '--yes', '--force']);
      await console.shows(/desktop-1 has stopped, and its console with it; opening it again in 1 s/);
      await console.shows(/(?:connected to desktop-1.*){2}/s);
      await allChannelsAreThere();
      await interrupted(console);
      await real.home.succeed(['wait', DESKTOP, '--for', 'login=alice']);
    });

    test('without --reconnect the cause is said', async (t) => {
      const console = await connected(t, []);
      real.disconnect();
      await real.home.succeed(['stop', DESKTOP, '--yes', '--force']);
      const ended = await console.ended();
      assert.equal(ended.code, 8, ended.stderr);
      situations.saw('the VM is stopped meanwhile', ended, DESKTOP);
      const stopped = await real.home.run(['console', DESKTOP]);
      assert.equal(stopped.code, 8);
      situations.saw('the VM does not run', stopped, DESKTOP);
      await real.assertOnlySandboxIsLeft();
    });

    test('docs/console.md tells these', (t) => {
      if (api.noKubelet !== undefined) return t.skip(api.noKubelet);
      situations.assertDocumented('node --test test/e2e/console-ways.test.ts');
    });
  });
}
