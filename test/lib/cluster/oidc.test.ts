import assert from 'node:assert/strict';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { VmopError } from '../../../src/lib/errors.ts';
import { startHttpProxy } from '../../helpers/proxies.ts';
import { CONFIG_MAPS, rejectionOf } from './fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  type Reply,
  type ScriptedServer,
} from './scripted-server.ts';
import { open, ref, type Opened, type Parts } from './user-fixture.ts';

const HOUR_S = 3600;

/** Nobody here checks its signature. */
function idToken(name: string, secondsFromNow: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part({ sub: name, exp: Math.floor(Date.now() / 1000) + secondsFromNow })}.c2ln`;
}

const OVER = idToken('over', -1);
const FRESH = idToken('fresh', HOUR_S);

async function startIssuer(t: TestContext, answer: Reply): Promise<ScriptedServer> {
  const discovery = () => ({ token_endpoint: `${issuer.url}/oauth/token` });
  const issuer = await startScriptedServer(
    t,
    (request) => reply(request, request.method === 'GET' ? { body: discovery() } : answer),
    { tls: true },
  );
  return issuer;
}

async function openFor(
  t: TestContext,
  issuer: ScriptedServer,
  config: object,
  parts: Parts = {},
): Promise<Opened> {
  const provider = {
    name: 'oidc',
    config: {
      'idp-issuer-url': issuer.url,
      'idp-certificate-authority-data': Buffer.from(issuer.caPem).toString('base64'),
      'client-id': 'vmop',
      'refresh-token': 'once',
      'id-token': OVER,
      ...config,
    },
  };
  return open(t, { user: { 'auth-provider': provider }, ...parts });
}

const tokens: Reply = { body: { access_token: 'x', id_token: FRESH, refresh_token: 'twice' } };

test('a token that is good is sent, and nobody asked', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const { cluster, sent } = await openFor(t, issuer, { 'id-token': FRESH });
  await cluster.get(CONFIG_MAPS, ref);
  assert.deepEqual(sent(), [`Bearer ${FRESH}`]);
  assert.equal(issuer.requests.length, 0);
});

test('one that is over is refreshed, once, and what came is kept in the kubeconfig', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const { cluster, sent, folder } = await openFor(t, issuer, {});
  const file = path.join(folder, 'config');
  await writeFile(file, `# mine\n${await readFile(file, 'utf8')}`);
  await chmod(file, 0o640);
  await Promise.all([cluster.get(CONFIG_MAPS, ref), cluster.self()]);
  await cluster.get(CONFIG_MAPS, ref);
  assert.deepEqual(new Set(sent()), new Set([`Bearer ${FRESH}`]));
  assert.deepEqual(
    issuer.requests.map(({ method, path: asked, body }) => [method, asked, body]),
    [
      ['GET', '/.well-known/openid-configuration', ''],
      ['POST', '/oauth/token', 'grant_type=refresh_token&refresh_token=once&client_id=vmop'],
    ],
  );
  const stored = await readFile(file, 'utf8');
  assert.match(stored, /^# mine\n/);
  const { config } = parse(stored).users[0].user['auth-provider'];
  assert.deepEqual([config['id-token'], config['refresh-token']], [FRESH, 'twice']);
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  assert.deepEqual(await readdir(folder), ['config']);
});

test('a client with a secret says it as Basic credentials', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const { cluster } = await openFor(t, issuer, { 'client-secret': 'a b' });
  await cluster.get(CONFIG_MAPS, ref);
  const { headers, body } = issuer.requests[1] ?? {};
  assert.equal(headers?.authorization, `Basic ${Buffer.from('vmop:a+b').toString('base64')}`);
  assert.equal(body, 'grant_type=refresh_token&refresh_token=once');
});

test('one that the API server refuses is refreshed', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const refusedOne = idToken('refused', HOUR_S);
  const { cluster, sent } = await openFor(
    t,
    issuer,
    { 'id-token': refusedOne },
    {
      script: (request) =>
        reply(request, request.headers.authorization === `Bearer ${FRESH}` ? {} : kubeStatus(401)),
    },
  );
  await cluster.get(CONFIG_MAPS, ref);
  assert.deepEqual(sent(), [`Bearer ${refusedOne}`, `Bearer ${FRESH}`]);
});

test('in a JSON kubeconfig, which stays JSON', async (t) => {
  for (const indent of [undefined, 2]) {
    const issuer = await startIssuer(t, tokens);
    const { cluster, folder } = await openFor(t, issuer, {});
    const file = path.join(folder, 'config');
    const config: unknown = parse(await readFile(file, 'utf8'));
    await writeFile(file, `${JSON.stringify(config, undefined, indent)}\n`);
    await cluster.get(CONFIG_MAPS, ref);
    const stored = await readFile(file, 'utf8');
    const { users } = JSON.parse(stored);
    assert.equal(users[0].user['auth-provider'].config['id-token'], FRESH);
    assert.equal(stored, `${JSON.stringify(JSON.parse(stored), undefined, indent)}\n`);
  }
});

test('the tokens serve also when somebody else is writing the kubeconfig, and a warning says so', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const warnings: string[] = [];
  const options = { warn: (text: string) => void warnings.push(text) };
  const { cluster, sent, folder } = await openFor(t, issuer, {}, { options });
  const file = path.join(folder, 'config');
  await writeFile(`${file}.lock`, '');
  const before = await readFile(file, 'utf8');
  await cluster.get(CONFIG_MAPS, ref);
  assert.deepEqual(sent(), [`Bearer ${FRESH}`]);
  assert.equal(await readFile(file, 'utf8'), before);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? '',
    /^the new log-in tokens cannot be stored in .*config: EEXIST.*config.lock'; the next/,
  );
});

test('the issuer is asked by way of the environment’s proxy', async (t) => {
  const issuer = await startIssuer(t, tokens);
  const proxy = await startHttpProxy(t);
  // A name that is not this machine for sure: nobody resolves it but the proxy, which refuses.
  const config = { 'idp-issuer-url': 'https://login.example' };
  const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: '' };
  const { cluster } = await openFor(t, issuer, config, { env });
  await rejectionOf(cluster.get(CONFIG_MAPS, ref));
  assert.deepEqual(proxy.asked, ['login.example:443']);
});

const failures: [name: string, answer: Reply, config: object, why: RegExp][] = [
  [
    'a refresh token that is over',
    { status: 400, body: { error: 'invalid_grant', error_description: 'session ended' } },
    {},
    /its issuer refuses: invalid_grant: session ended \(https:.*\)$/,
  ],
  ['a page', { status: 503, body: '<html>' }, {}, /its issuer refuses: status 503/],
  ['no token', { body: {} }, {}, /gave no id_token$/],
  [
    'no refresh token',
    tokens,
    { 'refresh-token': undefined },
    /its token has ended, and it has no refresh-token$/,
  ],
  ['no issuer', tokens, { 'idp-issuer-url': 'http://x' }, /it has no idp-issuer-url with https$/],
  [
    'an issuer that is not there',
    tokens,
    { 'idp-issuer-url': 'https://127.0.0.1:1' },
    /cannot be asked: .*ECONN/,
  ],
  [
    'an issuer that is not trusted',
    tokens,
    { 'idp-certificate-authority-data': undefined },
    /cannot be asked: .*certificate/,
  ],
];
for (const [name, answer, config, why] of failures) {
  test(`no credentials: ${name}`, async (t) => {
    const { cluster, server } = await openFor(t, await startIssuer(t, answer), config);
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(error instanceof VmopError, String(error));
    assert.equal(error.exitCode, 7);
    assert.match(error.message, /^no credentials for cluster "c" \(https:.*\): /);
    assert.match(error.message, why);
    assert.match(error.hint ?? '', /^log in again, or correct user "u" in .*config$/);
    assert.equal(server.requests.length, 0);
  });
}
