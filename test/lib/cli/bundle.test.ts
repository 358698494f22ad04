import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { chmod, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import vm from 'node:vm';
import { jsonModule } from '../../../scripts/build/json-parts.ts';
import { cacheFolder } from '../../../src/lib/cli/paths.ts';
import { loadCertificate } from '../../../src/lib/sandbox/api/certificate.ts';
import { startApi, type RunningApi } from '../../../src/lib/sandbox/api/index.ts';
import { startHttpProxy, startSocksProxy } from '../../helpers/proxies.ts';

const root = path.join(import.meta.dirname, '../../..');
const folder = mkdtempSync(path.join(os.tmpdir(), 'vmop-bundle-'));
/** The package as npm installs it, far from node_modules. */
const installed = path.join(folder, 'lib/vmop');
const run = path.join(installed, 'bin/run.js');
const TOKEN = 'dG9rZW4';

let api: RunningApi;

before(async () => {
  const built = spawnSync(process.execPath, [path.join(root, 'scripts/build.ts'), `${installed}/dist`], {
    encoding: 'utf8',
  });
  assert.equal(built.status, 0, built.stderr);
  for (const name of ['bin', 'package.json', 'oclif.manifest.json']) {
    cpSync(path.join(root, name), path.join(installed, name), { recursive: true });
  }
  api = await startApi({ tokens: { [TOKEN]: { username: 'alice', groups: ['staff'] } } });
});

after(async () => {
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a checkout whose node_modules is a link is built, too', async () => {
  const checkout = path.join(folder, 'checkout');
  for (const name of ['src', 'scripts', 'package.json', 'oclif.manifest.json', 'tsconfig.json']) {
    cpSync(path.join(root, name), path.join(checkout, name), { recursive: true });
  }
  await symlink(path.join(root, 'node_modules'), path.join(checkout, 'node_modules'));
  const build = path.join(checkout, 'scripts/build.ts');
  const built = spawnSync(process.execPath, [build], { encoding: 'utf8' });
  assert.deepEqual([built.status, built.stderr], [0, '']);
});

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the bundle with a home of its own, named by the test. */
async function vmop(line: string, env: Record<string, string> = {}, command = run): Promise<Ran> {
  const child = spawn(process.execPath, [command, ...line.split(' ')], {
    env: { PATH: process.env['PATH'], HOME: path.join(folder, 'home'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

/** A kubeconfig for the API; JSON is YAML. */
async function kubeconfig(name: string, user: object, cluster: object = {}): Promise<string> {
  const file = path.join(folder, `${name}.kubeconfig`);
  const config = {
    clusters: [
      {
        name: 'c',
        cluster: { server: api.url, 'certificate-authority-data': base64(api.caPem), ...cluster },
      },
    ],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'c',
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

function base64(content: string): string {
  return Buffer.from(content).toString('base64');
}

async function assertWhoami(env: Record<string, string>): Promise<void> {
  const { code, stdout, stderr } = await vmop('whoami -o name', env);
  assert.deepEqual([code, stdout, stderr], [0, 'alice\n', '']);
}

test('--version, help, and an unknown command', async () => {
  const [version, help, unknown] = await Promise.all([vmop('--version'), vmop('list --help'), vmop('bogus')]);
  assert.match(version.stdout, /^vmop\/\d+\.\d+\.\d+ /);
  assert.match(help.stdout, /USAGE\n {2}\$ vmop list /);
  assert.deepEqual([version.code, help.code, unknown.code], [0, 0, 2]);
  assert.match(unknown.stderr, /no command "bogus"/);
  assert.equal(version.stderr + help.stderr, '');
});

test('at a terminal, where oclif would draw', async (t) => {
  const { status, stdout, error } = spawnSync(
    'script',
    ['-qec', `${process.execPath} ${run} list --help`, '/dev/null'],
    { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: folder, TERM: 'xterm' } },
  );
  if (error) return t.skip(`no program "script": ${error.message}`);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /USAGE/);
});

test('through a symbolic link, as a global install has it', async () => {
  const link = path.join(folder, 'bin/vmop');
  await mkdir(path.dirname(link));
  await symlink('../lib/vmop/bin/run.js', link);
  const env = { KUBECONFIG: await kubeconfig('link', { token: TOKEN }) };
  const { code, stdout } = await vmop('whoami -o name', env, link);
  assert.deepEqual([code, stdout], [0, 'alice\n']);
});

test('from a folder that it may not write to, with a home that it may not write to', async () => {
  const files = (): string[] =>
    globSync('**', { cwd: installed }).map(
      (name) => `${name} ${statSync(path.join(installed, name)).mtimeMs}`,
    );
  const old = files();
  for (const name of globSync('**', { cwd: installed })) {
    const { mode } = await stat(path.join(installed, name));
    await chmod(path.join(installed, name), mode & ~0o222);
  }
  const home = path.join(folder, 'no-home');
  await writeFile(home, '');
  const env = { KUBECONFIG: await kubeconfig('read-only', { token: TOKEN }), HOME: home };
  await assertWhoami(env);
  await assertWhoami(env);
  for (const name of globSync('**', { cwd: installed })) {
    const { mode } = await stat(path.join(installed, name));
    await chmod(path.join(installed, name), mode | 0o200);
  }
  assert.deepEqual(files(), old);
});

test('V8’s code is kept privately, made once for each file, and never trusted when it is damaged', async () => {
  const home = path.join(folder, 'cache-home');
  const env = { KUBECONFIG: await kubeconfig('cache', { token: TOKEN }), HOME: home };
  await assertWhoami(env);
  const all = path.join(cacheFolder({ HOME: home }, process.platform), 'code');
  const code = path.join(all, (await readdir(all)).join());
  const stored = async () => {
    const names = (await readdir(code)).sort();
    return Promise.all(names.map(async (name) => ({ name, ...fileFacts(path.join(code, name)) })));
  };
  const first = await stored();
  assert.ok(first.some(({ name }) => name.startsWith('main.cjs')));
  assert.ok(first.every(({ mode, name }) => mode === 0o600 && name.endsWith('.code')));
  assert.equal(statSync(code).mode & 0o777, 0o700);

  await assertWhoami(env);
  assert.deepEqual(await stored(), first);

  // Another command brings its own files, and functions of the shared ones.
  await vmop('list --mine', env);
  assert.ok((await stored()).length > first.length);

  for (const { name } of first) {
    const file = path.join(code, name);
    const damaged = readFileSync(file);
    damaged.fill(0x55, damaged.length / 2);
    await writeFile(file, damaged);
  }
  await assertWhoami(env);
  const [whole] = await stored();
  assert.notEqual(whole?.mtimeMs, first[0]?.mtimeMs);

  // Whoever else may write there may have put something there.
  await chmod(code, 0o777);
  await writeFile(path.join(code, 'main.cjs.code'), 'somebody else’s');
  await assertWhoami(env);
  assert.equal(readFileSync(path.join(code, 'main.cjs.code'), 'utf8'), 'somebody else’s');
});

function fileFacts(file: string): { mode: number; mtimeMs: number } {
  const { mode, mtimeMs } = statSync(file);
  return { mode: mode & 0o777, mtimeMs };
}

test('credentials from a plug-in', async () => {
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: TOKEN },
  };
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    interactiveMode: 'Never',
    command: process.execPath,
    args: ['-p', JSON.stringify(JSON.stringify(credential))],
  };
  await assertWhoami({ KUBECONFIG: await kubeconfig('exec', { exec }) });
});

test('an OIDC token that has to be refreshed', async (t) => {
  const { keyPem: key, certPem: cert } = await loadCertificate(undefined);
  const issuer = https.createServer({ key, cert }, ({ headers: { host }, method }, response) => {
    const discovery = { token_endpoint: `https://${host}/token` };
    response.end(JSON.stringify(method === 'POST' ? { id_token: TOKEN } : discovery));
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    issuer.close();
    issuer.closeAllConnections();
  });
  const address = issuer.address();
  assert.ok(typeof address === 'object' && address !== null);
  const config = {
    'idp-issuer-url': `https://127.0.0.1:${address.port}`,
    'idp-certificate-authority-data': base64(cert),
    'client-id': 'vmop',
    'refresh-token': 'again',
  };
  const file = await kubeconfig('oidc', { 'auth-provider': { name: 'oidc', config } });
  await assertWhoami({ KUBECONFIG: file });
  assert.ok(readFileSync(file, 'utf8').includes(`"id-token":"${TOKEN}"`));
});

test('through proxies: HTTP, HTTPS, SOCKS', async (t) => {
  const { keyPem: key, certPem: cert } = await loadCertificate(undefined);
  const trusted = path.join(folder, 'proxy.crt');
  await writeFile(trusted, cert);
  const proxies = {
    http: await startHttpProxy(t),
    https: await startHttpProxy(t, 200, { key, cert }),
    socks5: await startSocksProxy(t),
  };
  for (const [scheme, { port, asked }] of Object.entries(proxies)) {
    const cluster = { 'proxy-url': `${scheme}://127.0.0.1:${port}` };
    const file = await kubeconfig(scheme, { token: TOKEN }, cluster);
    await assertWhoami({ KUBECONFIG: file, NODE_EXTRA_CA_CERTS: trusted });
    assert.ok(asked.length > 0 && asked.every((target) => target === `127.0.0.1:${api.port}`));
  }
});

test('VMOP_DEBUG shows where in the bundle an error arose', async () => {
  const { code, stderr } = await vmop('list --kubeconfig /nowhere', { VMOP_DEBUG: '1' });
  assert.equal(code, 7);
  assert.match(stderr, /at .*[\\/]dist[\\/][\w-]+\.cjs:\d+:\d+/);
});

test('an old Node gets one line', (t) => {
  let told = '';
  const process = {
    versions: { node: '6.17.1' },
    stderr: { write: (line: string) => (told += line) },
    exit: (code: number) => {
      throw new Error(`exit ${code}`);
    },
  };
  const source = readFileSync(run, 'utf8').replace(/^#!.*/, '');
  const launcher = () => vm.runInNewContext(source, { process, require: () => path, __dirname: '/' });
  assert.throws(launcher, { message: 'exit 1' });
  assert.equal(told, 'vmop needs Node.js 22.19 or newer; this is 6.17.1\n');

  const old = oldNode();
  if (old === undefined) {
    t.diagnostic('no old Node on this machine to try it with');
    return;
  }
  const { status, stdout, stderr } = spawnSync(old, [run, 'list'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^vmop needs Node\.js 22\.19 or newer; this is [\d.]+\n$/);
});

function oldNode(): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((directory) => path.join(directory, 'node'))
    .find((file) => {
      if (!existsSync(file)) return false;
      const { stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' });
      const major = Number(/^v(\d+)\./.exec(stdout)?.[1]);
      return major < 22;
    });
}

test('a JSON file in the bundle is the same JSON', async () => {
  const flag = { name: 'namespace', summary: 'a flag that is long enough to be worth a name of its own' };
  const value = { a: { flags: { flag, list: [flag, 1, null] } }, b: { flags: { flag } }, c: ['x', true] };
  const code = jsonModule(value);
  const module: { default: unknown } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  assert.deepEqual(module.default, value);
  assert.equal(code.split(flag.summary).length, 2);
});

test('the licences of what is bundled come with it', () => {
  const licences = readFileSync(path.join(installed, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
  for (const name of ['@oclif/core', '@kubernetes/client-node', 'yaml', 'chalk']) {
    assert.match(licences, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(`, 'm'));
  }
});
