import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { parse, stringify } from 'yaml';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../../helpers/kube-apiserver.ts';
import { eventually } from '../../helpers/cli-process.ts';
import { vmop, type VmopRun } from '../../helpers/vmop.ts';
import { temporaryFolder, type Owner } from './fixture.ts';
import { reply, startScriptedServer, type ScriptedServer } from './scripted-server.ts';

const binaries = await findKubeBinaries();
const skip = 'reason' in binaries ? binaries.reason : false;

const CLIENT = 'vmop';
const HOUR_S = 3600;

interface Issuer {
  server: ScriptedServer;
  /** Signed by the issuer, or by somebody else. */
  idToken(secondsFromNow: number, key?: KeyObject): string;
}

/** Discovery, keys, and a token endpoint that takes each refresh token once. */
async function startIssuer(owner: Owner): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  let refreshToken = 'refresh-1';
  const server: ScriptedServer = await startScriptedServer(
    owner,
    (request) => {
      const url = server.url;
      if (request.path === '/.well-known/openid-configuration') {
        const body = { issuer: url, jwks_uri: `${url}/keys`, token_endpoint: `${url}/token` };
        const more = {
          authorization_endpoint: `${url}/auth`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
        };
        reply(request, { headers: { 'content-type': 'application/json' }, body: { ...body, ...more } });
      } else if (request.path === '/keys') {
        const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' };
        reply(request, { headers: { 'content-type': 'application/json' }, body: { keys: [key] } });
      } else if (new URLSearchParams(request.body).get('refresh_token') === refreshToken) {
        refreshToken = `${refreshToken}+`;
        reply(request, { body: { id_token: idToken(HOUR_S), refresh_token: refreshToken } });
      } else reply(request, { status: 400, body: { error: 'invalid_grant' } });
    },
    { tls: true },
  );
  const idToken: Issuer['idToken'] = (secondsFromNow, key = privateKey) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: server.url,
      aud: CLIENT,
      sub: '4711',
      preferred_username: 'alice',
      groups: ['staff', 'desks'],
      iat: now - HOUR_S,
      exp: now + secondsFromNow,
    };
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'RS256', kid: 'k' })}.${part(claims)}`;
    return `${signed}.${createSign('sha256').update(signed).sign(key, 'base64url')}`;
  };
  return { server, idToken };
}

describe('OIDC against a real API server', { skip, timeout: 120_000 }, () => {
  const ends: (() => void | Promise<void>)[] = [];
  let issuer: Issuer;
  let api: KubeApiserver;

  before(async () => {
    const owner: Owner = { after: (end) => void ends.push(end) };
    issuer = await startIssuer(owner);
    const folder = await temporaryFolder(owner);
    const authority = path.join(folder, 'issuer.crt');
    await writeFile(authority, issuer.server.caPem);
    api = await startKubeApiserver({
      args: [
        `--oidc-issuer-url=${issuer.server.url}`,
        `--oidc-client-id=${CLIENT}`,
        `--oidc-ca-file=${authority}`,
        '--oidc-username-claim=preferred_username',
        '--oidc-username-prefix=oidc:',
        '--oidc-groups-claim=groups',
        '--oidc-groups-prefix=oidc:',
      ],
    });
  });
  after(async () => {
    await api?.close();
    for (const end of ends.toReversed()) await end();
  });

  /** A kubeconfig as log-in tools write it. */
  const login = async (t: TestContext, config: object): Promise<string> => {
    const file = path.join(await temporaryFolder(t), 'config');
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const provider = {
      name: 'oidc',
      config: {
        'idp-issuer-url': issuer.server.url,
        'idp-certificate-authority-data': base64(issuer.server.caPem),
        'client-id': CLIENT,
        ...config,
      },
    };
    const cluster = { server: api.url, 'certificate-authority-data': base64(api.caPem) };
    await writeFile(
      file,
      stringify({
        clusters: [{ name: 'c', cluster }],
        users: [{ name: 'u', user: { 'auth-provider': provider } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    return file;
  };

  const whoami = (file: string): Promise<VmopRun> =>
    vmop(path.dirname(file), ['whoami', '-o', 'jsonpath={.username} {.groups}'], { kubeconfig: file });

  const refreshes = (): number => issuer.server.requests.filter(({ method }) => method === 'POST').length;

  test('a token that has ended is refreshed, kept, and its claims are name and groups', async (t) => {
    // The server asks the issuer for its keys in the background.
    const known = await login(t, { 'id-token': issuer.idToken(HOUR_S) });
    await eventually('the server knows the issuer', async () => assert.equal((await whoami(known)).code, 0));
    assert.equal(refreshes(), 0);

    const file = await login(t, { 'id-token': issuer.idToken(-1), 'refresh-token': 'refresh-1' });
    for (let time = 1; time <= 2; time += 1) {
      const { code, stdout, stderr } = await whoami(file);
      assert.deepEqual([code, stderr], [0, '']);
      assert.equal(stdout, 'oidc:alice ["oidc:staff","oidc:desks","system:authenticated"]');
      assert.equal(refreshes(), 1, 'the second time the kept token serves');
    }
    const { config } = parse(await readFile(file, 'utf8')).users[0].user['auth-provider'];
    assert.equal(config['refresh-token'], 'refresh-1+');
  });

  test('a refresh token that was used, and a token that the issuer did not sign', async (t) => {
    const used = await whoami(
      await login(t, { 'id-token': issuer.idToken(-1), 'refresh-token': 'refresh-1' }),
    );
    assert.equal(used.code, 7);
    assert.match(used.stderr, /^error: no credentials for cluster "c" .*: its issuer refuses: invalid_grant/);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const forged = await whoami(await login(t, { 'id-token': issuer.idToken(HOUR_S, privateKey) }));
    assert.equal(forged.code, 7);
    assert.match(forged.stderr, /^error: cluster "c" .* does not take the credentials of user "u" in /);
  });
});
