import assert from 'node:assert/strict';
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../../helpers/cli-process.ts';
import { closeWindow, consoleStage, type StagedVm } from './stage.ts';

const stage = consoleStage();

/** The viewer that links, under a name that vmop takes for another one. */
async function named(name: string): Promise<string> {
  const viewer = await stage.viewer();
  const other = path.join(path.dirname(viewer), name);
  await copyFile(viewer, other);
  // What the viewer is started with, and what its file says.
  const script = await readFile(other, 'utf8');
  const note =
    'printf "%s\\n" "$@" > "$0.args"; for one in "$@"; do cat "${one#--file=}" >> "$0.args" 2> /dev/null; done\n';
  await writeFile(other, script.replace('echo', `${note}echo`));
  return other;
}

interface Seen {
  /** The viewer's arguments, and its file if it has one. */
  given: string;
  password: string;
}

async function session(t: TestContext, vm: StagedVm, viewer: string, args: string[]): Promise<Seen> {
  const console = stage.start([vm.name, '--viewer', viewer, ...args]);
  t.after(async () => {
    console.runtime.interrupt('SIGTERM');
    await console.ended;
  });
  await console.shows(`connected to ${vm.name}`);
  await vm.shown();
  const given = await readFile(`${viewer}.args`, 'utf8');
  const { password = '' } = await vm.secret();
  await closeWindow(viewer);
  const { code, stdout, stderr } = await console.ended;
  assert.equal(code, 0, stderr);
  assert.equal((stdout + stderr + given).includes(password), false);
  assert.equal((await vm.secret()).expiry, 'now');
  return { given, password };
}

const privateFolders = async (): Promise<string[]> =>
  (await readdir(os.tmpdir())).filter((name) => /^vmop-\w{6}$/.test(name));

describe(
  'viewers that read no file on stdin get a ticket, and a socket of their own',
  { concurrency: true },
  () => {
    const VIEWERS: [what: string, name: string, args: string[], given: RegExp][] = [
      ['spicy', 'spicy', [], /^--uri=spice\+unix:\/\/\S+\n--password=\S+\n$/],
      [
        'a template with {uri} and {ticket}',
        'mine',
        ['--viewer-arg=--uri={uri}', '--viewer-arg=--password={ticket}'],
        /^--uri=spice\+unix:\/\/\S+\n--password=\S+\n$/,
      ],
      [
        'a template with {socket}',
        'own',
        ['--viewer-arg=--uri=spice+unix://{socket}', '--viewer-arg=--password={ticket}'],
        /^--uri=spice\+unix:\/\/\S+\n--password=\S+\n$/,
      ],
      [
        'a template with {file}',
        'other',
        ['--viewer-arg=--file={file}'],
        /^--file=\S+\n\[virt-viewer\]\n[^]*\nunix-path=/,
      ],
    ];
    for (const [what, name, args, expected] of VIEWERS) {
      for (const way of ['never', 'always']) {
        test(`${what}, --tunnel ${way}`, async (t) => {
          const vm = await stage.vm(t, { name: `${name}-${way}` });
          const { given } = await session(t, vm, await named(name), [...args, '--tunnel', way]);
          assert.match(given, expected);
          const [, folder = ''] = /(?:spice\+unix:\/\/|unix-path=)(\S+)\/s$/m.exec(given) ?? [];
          assert.notEqual(folder, '');
          assert.equal((await privateFolders()).includes(path.basename(folder)), false, folder);
        });
      }
    }

    test('--detach is nothing for them', async (t) => {
      const vm = await stage.vm(t, { name: 'alone' });
      for (const args of [[], ['--viewer-arg={file}']]) {
        const ended = await stage.run([vm.name, '--viewer', await named('spicy'), '--detach', ...args]);
        assert.equal(ended.code, 2, ended.stderr);
        assert.match(ended.stderr, /only ever given a ticket/);
      }
    });
  },
);

test('a viewer that is usual is nothing to --file and --web', async (t) => {
  const vm = await stage.vm(t, { name: 'usual' });
  const env = { VMOP_VIEWER: 'spicy' };
  const file = await stage.run([vm.name, '--file', '-'], { env });
  assert.equal(file.code, 0, file.stderr);
  assert.match(file.stdout, /^\[virt-viewer\]$/m);
  const page = stage.start([vm.name, '--web', '--no-browser'], { env });
  await page.shows('waiting for somebody to open the link');
  page.runtime.interrupt('SIGINT');
  assert.equal((await page.ended).code, 130);
});

test('a viewer that does not connect is not left alone with --detach', async (t) => {
  const vm = await stage.vm(t, { name: 'mute' });
  const viewer = await stage.viewer('cat > /dev/null; echo $$ > "$0.pid"; exec sleep 300\n');
  const console = stage.start([vm.name, '--viewer', viewer, '--detach']);
  const pid = async (): Promise<number> => Number(await readFile(`${viewer}.pid`, 'utf8').catch(() => ''));
  await eventually('it runs', async () => assert.ok((await pid()) > 0));
  console.runtime.interrupt('SIGINT');
  assert.equal((await console.ended).code, 130);
  const number = await pid();
  await eventually('it has ended', async () => assert.throws(() => process.kill(number, 0)));
});

test('remote-viewer gets the display’s password on the direct way, and through the API server only a ticket', async (t) => {
  const vm = await stage.vm(t, { name: 'ticket' });
  for (const way of ['never', 'always']) {
    const inner = await stage.viewer();
    const viewer = await stage.viewer(`tee "$0.stdin" | ${inner} "$@"\n`);
    const console = stage.start([vm.name, '--viewer', viewer, '--tunnel', way]);
    await console.shows(`connected to ${vm.name}`);
    await vm.shown();
    const given = await readFile(`${viewer}.stdin`, 'utf8');
    const { password } = await vm.secret();
    assert.equal(given.includes(`password=${password}\n`), way === 'never');
    assert.equal(/^unix-path=/m.test(given), way === 'always');
    console.runtime.interrupt('SIGINT');
    assert.equal((await console.ended).code, 130);
  }
});
