import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { PluginTerminal } from '../../../src/lib/cluster/index.ts';
import { askPlugin, parseExec } from '../../../src/lib/cluster/exec-plugin.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, rejectionOf, temporaryFolder } from './fixture.ts';
import { callsOf, open, plugin, ref } from './user-fixture.ts';

describe('plug-ins', () => {
  test('are asked once, also by several requests at once, and told the version of the answer', async (t) => {
    const folder = await temporaryFolder(t);
    const user = plugin(folder, `{ token: info.apiVersion + ' ' + info.kind }`);
    const { cluster, sent } = await open(t, { user });
    await Promise.all([cluster.get(CONFIG_MAPS, ref), cluster.self(), cluster.get(CONFIG_MAPS, ref)]);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(new Set(sent()), new Set(['Bearer client.authentication.k8s.io/v1 ExecCredential']));
    assert.equal(await callsOf(folder), 1);
  });

  test('keep the environment that the kubeconfig gives them', async (t) => {
    const folder = await temporaryFolder(t);
    const user = plugin(folder, '{ token: process.env.REGION }', { env: [{ name: 'REGION', value: 'eu' }] });
    const { cluster, sent } = await open(t, { user });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer eu']);
  });

  test('are told of the cluster when they want to be', async (t) => {
    const folder = await temporaryFolder(t);
    const told = path.join(folder, 'told');
    const status = `{ token: (fs.writeFileSync(${JSON.stringify(told)}, JSON.stringify(info)), 't') }`;
    const { cluster, server } = await open(t, {
      user: plugin(folder, status, { provideClusterInfo: true }),
      cluster: {
        'tls-server-name': 'localhost',
        extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'desks' } }],
      },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(JSON.parse(await readFile(told, 'utf8')), {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: {
          server: server.url,
          'tls-server-name': 'localhost',
          'certificate-authority-data': Buffer.from(server.caPem).toString('base64'),
          config: { audience: 'desks' },
        },
      },
    });
  });

  test('are asked again when what they gave is over', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const folder = await temporaryFolder(t);
    const expires = new Date(Date.now() + 60_000).toISOString();
    const { cluster, sent } = await open(t, {
      user: plugin(folder, `{ token: 'token-' + calls, expirationTimestamp: '${expires}' }`),
    });
    for (const seconds of [0, 45, 30]) {
      t.mock.timers.tick(seconds * 1000);
      await cluster.get(CONFIG_MAPS, ref);
    }
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-1', 'Bearer token-2']);
  });

  test('with a folder in their name are looked for from the kubeconfig’s folder', async (t) => {
    const script = '#!/bin/sh\necho \'{"status":{"token":"mine"}}\'\n';
    const { cluster, sent, folder } = await open(t, { user: { exec: { command: './bin/login' } } });
    await mkdir(path.join(folder, 'bin'));
    await writeFile(path.join(folder, 'bin/login'), script);
    await chmod(path.join(folder, 'bin/login'), 0o755);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer mine']);
  });

  test('are ended with the client', async (t) => {
    const folder = await temporaryFolder(t);
    const pid = path.join(folder, 'pid');
    const code = `require('node:fs').writeFileSync(${JSON.stringify(pid)}, String(process.pid)); setInterval(() => {}, 1000)`;
    const { cluster } = await open(t, { user: { exec: { command: process.execPath, args: ['-e', code] } } });
    const calling = rejectionOf(cluster.get(CONFIG_MAPS, ref));
    const started = () => readFile(pid, 'utf8').catch(() => '');
    while ((await started()) === '') await new Promise(setImmediate);
    cluster.close();
    await calling;
    const runs = async (): Promise<boolean> => {
      try {
        return process.kill(Number(await started()), 0);
      } catch {
        return false;
      }
    };
    while (await runs()) await new Promise(setImmediate);
  });

  test('that hang are named after a while, and those that may ask nobody are ended', async (t) => {
    const folder = await temporaryFolder(t);
    const streams = { stdin: {}, stderr: createWriteStream(path.join(folder, 'seen')) };
    t.after(() => streams.stderr.destroy());
    const said: string[] = [];
    const terminal: PluginTerminal = { streams, lend: (use) => use(), say: (text) => said.push(text) };
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const interactiveMode of ['Never', 'IfAvailable']) {
      const end = new AbortController();
      const exec = parseExec({ command: 'sh', args: ['-c', 'exec sleep 100'], interactiveMode });
      const asking = rejectionOf(askPlugin(exec, undefined, { env: {}, terminal, signal: end.signal }));
      t.mock.timers.tick(1999);
      assert.deepEqual(said.splice(0), []);
      t.mock.timers.tick(1);
      assert.deepEqual(said.splice(0), ['waiting for sh']);
      t.mock.timers.tick(58_000);
      end.abort();
      const problem = interactiveMode === 'Never' ? /has not answered within 60 s$/ : /aborted$/;
      assert.match(String(await asking), problem);
    }
    assert.deepEqual(said, []);
  });

  describe('at a terminal', () => {
    /** Files that say they are terminals: what the plug-in gets of them are their numbers, as of any. */
    async function openAtTerminal(t: TestContext, exec: object, isTTY = { stdin: true, stderr: true }) {
      const folder = await temporaryFolder(t);
      const typed = path.join(folder, 'typed');
      const seen = path.join(folder, 'seen');
      await writeFile(typed, 'secret');
      const stdin = createReadStream(typed);
      const stderr = createWriteStream(seen);
      await Promise.all([once(stdin, 'open'), once(stderr, 'open')]);
      t.after(() => {
        stdin.destroy();
        stderr.destroy();
      });
      const lent: string[] = [];
      const terminal: PluginTerminal = {
        streams: {
          stdin: Object.assign(stdin, { isTTY: isTTY.stdin }),
          stderr: Object.assign(stderr, { isTTY: isTTY.stderr }),
        },
        lend: async (use) => {
          lent.push('lent');
          return use().finally(() => lent.push('given back'));
        },
        say: (text) => lent.push(text),
      };
      const options = { plugin: terminal };
      const opened = await open(t, { user: { exec }, options });
      return { ...opened, lent, told: () => readFile(seen, 'utf8') };
    }

    const shell = (script: string, more: object = {}): object => ({
      command: 'sh',
      args: ['-c', script],
      ...more,
    });
    const ASKING = shell(`echo 'Code?' >&2; printf '{"status":{"token":"%s"}}' "$(cat)"`);

    test('they talk with the person, who has the terminal for that', async (t) => {
      const { cluster, sent, lent, told } = await openAtTerminal(t, ASKING);
      await cluster.get(CONFIG_MAPS, ref);
      assert.deepEqual(sent(), ['Bearer secret']);
      assert.equal(await told(), 'Code?\n');
      assert.deepEqual(lent, ['lent', 'given back']);
    });

    test('the kubeconfig can forbid it', async (t) => {
      const exec = { ...ASKING, interactiveMode: 'Never' };
      const { cluster, told } = await openAtTerminal(t, exec);
      assert.match(String(await rejectionOf(cluster.get(CONFIG_MAPS, ref))), /printed no credentials$/);
      assert.equal(await told(), 'Code?\n');
    });

    test('they say themselves why they fail', async (t) => {
      const { cluster, told, lent } = await openAtTerminal(t, shell('echo closed >&2; exit 3'));
      const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
      assert.match(String(error), /sh failed: exit code 3, it says why above$/);
      assert.equal(await told(), 'closed\n');
      assert.deepEqual(lent, ['lent', 'given back']);
    });

    test('where stderr is none, what they say comes after them', async (t) => {
      const none = { stdin: false, stderr: false };
      const exec = shell(`echo soon over >&2; echo '{"status":{"token":"t"}}'`);
      const { cluster, told, lent } = await openAtTerminal(t, exec, none);
      await cluster.get(CONFIG_MAPS, ref);
      while ((await told()) === '') await new Promise(setImmediate);
      assert.equal(await told(), 'soon over\n');
      assert.deepEqual(lent, []);
    });
  });

  const failures: [string, object, RegExp, RegExp?][] = [
    ['that is not installed', { command: '/nowhere/login' }, /\/nowhere\/login cannot be started: .*ENOENT/],
    [
      'that is not installed, with a hint',
      { command: '/nowhere/login', installHint: 'get it from the shop' },
      /cannot be started/,
      /get it from the shop/,
    ],
    [
      'that refuses',
      { command: 'sh', args: ['-c', 'echo "log in first" >&2; exit 1'] },
      /sh failed: log in first$/,
    ],
    [
      'that fails silently',
      { command: 'sh', args: ['-c', 'exit 1'] },
      /sh failed: exit code 1, it does not say why$/,
    ],
    [
      'that prints a certificate without its key',
      { command: 'echo', args: ['{"status":{"clientCertificateData":"x"}}'] },
      /echo printed a client certificate without its key, or a key alone$/,
    ],
    [
      'that answers in another version',
      { apiVersion: 'v1', command: 'echo', args: ['{"apiVersion":"v9","status":{"token":"x"}}'] },
      /echo answers in v9; the kubeconfig has v1$/,
    ],
    [
      'that has to ask a person, where there is none',
      { command: 'echo', interactiveMode: 'Always' },
      /echo has to ask a person, and stdin is no terminal$/,
    ],
    ['without a command', {}, /the kubeconfig names no command for the plug-in$/],
    ['that prints something else', { command: 'echo', args: ['hello'] }, /echo printed no credentials$/],
    ['that prints nothing', { command: 'true' }, /true printed no credentials$/],
    ['that prints no status', { command: 'echo', args: ['{}'] }, /echo printed no credentials$/],
  ];
  for (const [name, exec, message, hint = /./] of failures) {
    test(`one ${name}`, async (t) => {
      const { cluster, server } = await open(t, { user: { exec } });
      const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
      assert.ok(error instanceof VmopError);
      assert.equal(error.code, 'unreachable');
      assert.match(error.message, message);
      assert.match(error.message, /^no credentials for cluster "c" \(https:.*\): /);
      assert.match(error.hint ?? '', hint);
      assert.equal(server.requests.length, 0);
    });
  }

  test('one that waits for somebody: an abort does not wait with it', async (t) => {
    const abort = new AbortController();
    const folder = await temporaryFolder(t);
    // Ends by itself when the test has gone on.
    const code = `require('node:fs').writeFileSync(${JSON.stringify(path.join(folder, 'up'))}, ''); setTimeout(() => {}, 1500)`;
    const exec = { command: process.execPath, args: ['-e', code] };
    const { cluster } = await open(t, { user: { exec }, options: { signal: abort.signal } });
    const calling = cluster.get(CONFIG_MAPS, ref);
    const up = (): Promise<boolean> =>
      readFile(path.join(folder, 'up')).then(
        () => true,
        () => false,
      );
    while (!(await up())) await new Promise(setImmediate);
    abort.abort('SIGINT');
    assert.equal(await rejectionOf(calling), 'SIGINT');
  });
});
