import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { DISPLAY_SECRETS, type DisplaySecret } from '../../src/lib/console/secret/display-secret.ts';
import { detectViewer } from '../../src/lib/console/viewer/detect.ts';
import type { PlatformDescription } from '../../src/lib/console/viewer/platform.ts';
import type { SimulatedDriver } from '../../src/lib/sandbox/drivers/simulated.ts';
import { isRunning } from '../../src/lib/vm/state.ts';
import { CliHome, eventually, type CliRun } from '../helpers/cli-process.ts';
import type { Fault } from '../helpers/fault-proxy.ts';
import { startTestSandbox, type TestSandbox } from '../helpers/sandbox.ts';
import { startFakeSpice, type FakeSpiceManner } from './fake-spice.ts';
import { startFaultyApi } from './faulty-api.ts';
import { Situations } from './situations.ts';

const skip = process.platform === 'linux' ? false : 'processes are looked up in /proc';
let home: CliHome;
let sandbox: TestSandbox<SimulatedDriver>;

before(async () => {
  home = await CliHome.create({ DISPLAY: ':none' });
  sandbox = await startTestSandbox();
});
after(async () => {
  await sandbox.close();
  await home.close();
});

/** Nobody is there whom a change of the password could log out: it can be ended at once. */
const NOBODY = { 'sandbox.vmop/agent': 'absent' };

/** A VM of a test's own that runs and whose password is settled. */
async function runningVm(name: string, annotations: Record<string, string> = {}): Promise<string> {
  await sandbox.addVm({ name, annotations, spec: { vm: { state: 'Running' } } });
  await sandbox.waitFor(
    name,
    (vm) =>
      isRunning(vm) && (vm.status.displayPasswordSerial ?? 0) > 0 && vm.status.runnerVersion !== undefined,
  );
  return name;
}

async function secretOf(vm: string): Promise<DisplaySecret> {
  const { items } = await sandbox.admin.list(DISPLAY_SECRETS, { namespace: 'default' });
  const secret = items.find(({ name }) => name.startsWith(`${vm}-`));
  assert.ok(secret);
  return secret;
}

async function vmop(args: string[], env: NodeJS.ProcessEnv = {}): Promise<CliRun> {
  return await home.run(args, { KUBECONFIG: sandbox.kubeconfig, ...env });
}

async function fakeSpice(t: TestContext, manner: FakeSpiceManner): Promise<string[]> {
  const server = await startFakeSpice(manner);
  t.after(() => server.close());
  return ['--host', '127.0.0.1', '--port', String(server.port)];
}

/** A program that vmop takes for remote-viewer. */
async function fakeViewer(folder: string, script: string, mode = 0o755): Promise<string> {
  const place = path.join(home.folder, folder);
  await mkdir(place);
  const file = path.join(place, 'remote-viewer');
  await writeFile(file, script);
  await chmod(file, mode);
  return file;
}

function assertNoProcess(): Promise<unknown> {
  return eventually('no process is left', async () =>
    assert.deepEqual(
      (await home.processes()).filter(({ args }) => !args.includes('console')),
      [],
    ),
  );
}

const situations = new Situations('Viewers');
const COMMAND = 'node --test test/e2e/faults.test.ts';

describe(
  'a viewer that cannot be used is told before anything is changed',
  { concurrency: true, skip },
  () => {
    const unusable: [string, string, (folder: string) => Promise<string>, NodeJS.ProcessEnv, RegExp][] = [
      [
        '--viewer names what is not there',
        'missing',
        () => Promise.resolve('/nowhere/remote-viewer'),
        {},
        /does not exist/,
      ],
      [
        '--viewer names what may not be executed',
        'not-executable',
        (folder) => fakeViewer(folder, '#!/bin/sh\n', 0o644),
        {},
        /may not be executed/,
      ],
      [
        'a viewer, but no desktop to show it on',
        'no-display',
        (folder) => fakeViewer(folder, '#!/bin/sh\n'),
        { DISPLAY: undefined },
        /no desktop to show it on/,
      ],
    ];
    for (const [situation, name, viewer, env, sentence] of unusable) {
      test(situation, async () => {
        const vm = await runningVm(name);
        const { resourceVersion } = await secretOf(vm);
        const { code, stderr } = await vmop(['console', vm, '--viewer', await viewer(name)], env);
        assert.equal(code, 9, stderr);
        assert.match(stderr, sentence);
        situations.saw(situation, { code, stderr }, vm);
        assert.equal((await secretOf(vm)).resourceVersion, resourceVersion);
      });
    }
  },
);

describe('a viewer that fails is told, and its password ended', { concurrency: true, skip }, () => {
  const failing: [string, string, string, RegExp][] = [
    [
      'the viewer dies at once',
      'dies',
      '#!/bin/sh\necho some reason >&2\nexit 3\n',
      /failed: it ended with code 3: some reason/,
    ],
    ['the viewer is killed', 'is-killed', '#!/bin/sh\nkill -9 $$\n', /failed: it was ended by SIGKILL/],
    [
      'the viewer is no program',
      'is-no-program',
      '#!/nowhere/interpreter\n',
      /remote-viewer failed: it cannot be started: .*not found/,
    ],
    // With a child of its own that has to go as well.
    [
      'the viewer hangs',
      'hangs',
      '#!/bin/sh\nsleep 300\n',
      /remote-viewer has not connected to 127\.0\.0\.1:\d+ within 30 s/,
    ],
    [
      'the viewer hangs and will not end',
      'hangs-on',
      "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n",
      /has not connected/,
    ],
  ];
  for (const [situation, name, script, sentence] of failing) {
    test(situation, async (t) => {
      const vm = await runningVm(name, NOBODY);
      const viewer = await fakeViewer(name, script);
      const place = await fakeSpice(t, 'accepts');
      const { code, stdout, stderr } = await vmop(['console', vm, '--viewer', viewer, ...place]);
      assert.equal(code, 9, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, sentence);
      situations.saw(situation, { code, stderr }, vm);
      assert.equal((await secretOf(vm)).expiry, 'now');
    });
  }
  after(assertNoProcess);
});

describe('a viewer that shows no console', { concurrency: true, skip }, () => {
  const useless: [string, string, string, RegExp][] = [
    [
      'the viewer shows nothing of SPICE',
      'no-spice',
      "#!/bin/sh\necho '(x): virt-viewer-DEBUG: 1: Guest x has unsupported spice display type'\nexec sleep 300\n",
      /it cannot show spice consoles/,
    ],
    [
      'the viewer does not understand the file',
      'no-file',
      "#!/bin/sh\necho '(x:1): virt-viewer-WARNING **: 1: Invalid file console.vv: no group' >&2\nexec sleep 300\n",
      /does not understand the connection file/,
    ],
    [
      'the viewer finds no desktop',
      'no-desktop',
      "#!/bin/sh\necho '(x:1): Gtk-WARNING **: 1: cannot open display: :7' >&2\nexit 1\n",
      /finds no desktop to show itself on/,
    ],
    ['the viewer is closed at once', 'closed', '#!/bin/sh\nexit 0\n', /ended before it had connected/],
  ];
  for (const [situation, name, script, sentence] of useless) {
    test(situation, async (t) => {
      const vm = await runningVm(name, NOBODY);
      const viewer = await fakeViewer(name, script);
      const ended = await vmop(['console', vm, '--viewer', viewer, ...(await fakeSpice(t, 'accepts'))]);
      assert.equal(ended.code, 9, ended.stderr);
      assert.match(ended.stderr, sentence);
      situations.saw(situation, ended, vm);
    });
  }

  test('virt-viewer, which people try', async () => {
    const vm = await runningVm('of-libvirt');
    const ended = await vmop(['console', vm, '--viewer', 'virt-viewer']);
    assert.equal(ended.code, 2, ended.stderr);
    situations.saw('--viewer virt-viewer', ended, vm);
    const named = await vmop(['console', vm, '--viewer', 'no-such-viewer']);
    assert.equal(named.code, 9, named.stderr);
    situations.saw('--viewer names what is not in PATH', named, vm);
  });

  const SYSTEMS: [string, PlatformDescription['os'], string[]][] = [
    ['Debian', 'linux', ['debian']],
    ['Fedora', 'linux', ['fedora']],
    ['openSUSE', 'linux', ['opensuse-leap', 'suse']],
    ['another Linux', 'linux', ['exotic']],
    ['macOS', 'darwin', []],
    ['Windows', 'win32', []],
  ];
  for (const [system, os, distributions] of SYSTEMS) {
    test(`no viewer on ${system}`, () => {
      const found = detectViewer({ os, distributions, wsl: false, env: {}, files: new Set() });
      assert.ok('problem' in found);
      situations.sawError(`no viewer at all, on ${system}`, found.problem, 'vm');
    });
  }
});

test('docs/console.md tells these', { skip }, () => situations.assertDocumented(COMMAND));

describe('an API server with troubles', { concurrency: 4, skip }, () => {
  const WATCH = /\/vms\?.*watch=(?:1|true)/;
  const READ: Fault = { method: 'GET', path: /\/vms\// };
  const SECRET: Fault = { method: 'PATCH', path: /\/secrets\// };
  const SPEC: Fault = { method: 'PATCH', path: /\/vms\/[^/?]+(?:\?|$)/ };
  const cases: [string, 'console' | 'login' | 'start', Fault[]][] = [
    ['drops watches', 'console', [{ path: WATCH, dropWatchAfterEvents: 0, times: 2 }]],
    ['has forgotten where a watch was', 'console', [{ path: WATCH, status: 410 }]],
    ['sees conflicts', 'console', [{ ...SECRET, status: 409, times: 2 }]],
    [
      'is busy',
      'console',
      [
        { ...READ, status: 429 },
        { ...SECRET, status: 429 },
      ],
    ],
    ['is not there for a while', 'console', [{ ...READ, status: 503, times: 2 }]],
    [
      'resets connections',
      'console',
      [
        { ...READ, reset: true },
        { path: WATCH, reset: true },
      ],
    ],
    ['drops watches', 'login', [{ path: WATCH, dropWatchAfterEvents: 0, times: 2 }]],
    ['sees conflicts', 'login', [{ ...SPEC, status: 409, times: 2 }]],
    [
      'is busy',
      'login',
      [
        { ...SPEC, status: 429 },
        { path: WATCH, status: 503 },
      ],
    ],
    ['has forgotten where a watch was', 'login', [{ path: WATCH, status: 410 }]],
    ['drops watches', 'start', [{ path: WATCH, dropWatchAfterEvents: 0, times: 2 }]],
    ['sees conflicts', 'start', [{ ...SPEC, status: 409, times: 2 }]],
    [
      'resets connections',
      'start',
      [
        { ...READ, reset: true },
        { path: WATCH, reset: true },
      ],
    ],
  ];

  for (const [index, [name, command, faults]] of cases.entries()) {
    test(`${command}: ${name}`, async (t) => {
      const vm = `fault-${index}`;
      if (command === 'start') await sandbox.addVm({ name: vm });
      // Slow enough that it is always waited for.
      else await runningVm(vm, { 'sandbox.vmop/agent': 'slow:1500' });
      const { proxy, kubeconfig } = await startFaultyApi(t, sandbox, home.folder);
      for (const fault of faults) proxy.fail(fault);
      const args =
        command === 'console'
          ? ['console', vm, '--file', '-', ...(await fakeSpice(t, 'accepts'))]
          : command === 'login'
            ? ['login', vm, '--user', 'alice']
            : ['start', vm];
      const { code, stderr } = await home.run(args, { KUBECONFIG: kubeconfig });
      assert.equal(code, 0, stderr);
      // Starts and confirmations may be seen at first sight, without a watch.
      if (command === 'login' || faults.every(({ path: requested }) => requested !== WATCH))
        proxy.assertUsed();
    });
  }

  test('it restarts while a log-in is waited for', async (t) => {
    const vm = await runningVm('restarted', { 'sandbox.vmop/agent': 'slow:1500' });
    const { proxy, kubeconfig } = await startFaultyApi(t, sandbox, home.folder);
    const login = home.start(['login', vm, '--user', 'alice'], { KUBECONFIG: kubeconfig });
    await eventually('it waits', async () => assert.ok(proxy.requests.some(({ path }) => WATCH.test(path))));
    proxy.disconnect();
    assert.equal((await login.ended()).code, 0, login.stderr());
  });

  for (const [name, fault] of [
    ['before it was written', { ...SECRET, reset: true }],
    ['after it was written', { ...SECRET, resetAfter: true }],
  ] as const) {
    test(`the connection breaks when the password is due, ${name}: it does not stay valid`, async (t) => {
      const vm = await runningVm(`torn-${name.slice(0, 2)}`, NOBODY);
      const { proxy, kubeconfig } = await startFaultyApi(t, sandbox, home.folder);
      proxy.fail(fault);
      const args = ['console', vm, '--file', '-', ...(await fakeSpice(t, 'accepts'))];
      const { code, stdout, stderr } = await home.run(args, { KUBECONFIG: kubeconfig });
      proxy.assertUsed();
      if (code === 0) assert.match(stdout, /^password=/m);
      else assert.equal((await secretOf(vm)).expiry, 'now', stderr);
    });
  }
});
