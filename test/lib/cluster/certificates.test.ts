import assert from 'node:assert/strict';
import { describe, test, before, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { loadKubeconfig, openCluster } from '../../../src/lib/cluster/index.ts';
import { ConnectionError } from '../../../src/lib/cluster/connection-error.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, rejectionOf, temporaryFolder } from './fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  type ScriptedOptions,
  type ScriptedRequest,
} from './scripted-server.ts';

const DAY = 24 * 3600_000;

interface Certificate {
  keyPem: string;
  certPem: string;
}

/** Signed by `ca`, or by itself; for 127.0.0.1 unless for another name, from now on for a day unless said otherwise. */
async function certificate({
  ca,
  name,
  fromDay = 0,
}: { ca?: Certificate; name?: string; fromDay?: number } = {}): Promise<Certificate> {
  const start = Date.now() + fromDay * DAY - 1000;
  const altName =
    name === undefined ? { type: 7 as const, ip: '127.0.0.1' } : { type: 2 as const, value: name };
  const { private: keyPem, cert: certPem } = await generate(
    [{ name: 'commonName', value: ca ? 'leaf' : 'ca' }],
    {
      keyType: 'ec',
      curve: 'P-256',
      algorithm: 'sha256',
      notBeforeDate: new Date(start),
      notAfterDate: new Date(start + DAY),
      extensions: [
        ...(ca ? [] : [{ name: 'basicConstraints' as const, cA: true, critical: true }]),
        { name: 'subjectAltName', altNames: [altName] },
      ],
      ...(ca ? { ca: { key: ca.keyPem, cert: ca.certPem } } : {}),
    },
  );
  return { keyPem, certPem };
}

async function ask(t: TestContext, url: string, settings: object, user?: object): Promise<unknown> {
  const file = path.join(await temporaryFolder(t), 'config');
  await writeFile(
    file,
    stringify({
      clusters: [{ name: 'c', cluster: { server: url, ...settings } }],
      ...(user ? { users: [{ name: 'u', user }] } : {}),
      contexts: [{ name: 'x', context: { cluster: 'c', ...(user ? { user: 'u' } : {}) } }],
      'current-context': 'x',
    }),
  );
  const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'x', timeoutMs: 20_000 });
  t.after(() => cluster.close());
  return cluster.get(CONFIG_MAPS, { namespace: 'n', name: 'a' });
}

const trusting = ({ certPem }: Certificate, more: object = {}): object => ({
  'certificate-authority-data': Buffer.from(certPem).toString('base64'),
  ...more,
});

describe('certificates', () => {
  let ca: Certificate;
  let other: Certificate;
  let good: Certificate;
  before(async () => {
    ca = await certificate();
    other = await certificate();
    good = await certificate({ ca });
  });

  const serve = async (
    t: TestContext,
    served: Certificate | undefined,
    more: ScriptedOptions = {},
  ): Promise<string> => {
    const options = served ? { tls: true, certificate: served } : {};
    return (await startScriptedServer(t, (request) => reply(request), { ...options, ...more })).url;
  };

  const refused = async (
    t: TestContext,
    url: string,
    settings: object,
    why: RegExp,
    hint: RegExp,
    user?: object,
  ): Promise<void> => {
    const error = await rejectionOf(ask(t, url, settings, user));
    assert.ok(error instanceof ConnectionError, String(error));
    assert.equal(error.exitCode, 7);
    assert.match(error.message, /^cluster "c" \(https?:\/\/127\.0\.0\.1:\d+\) cannot be reached: /);
    assert.match(error.message, why);
    assert.match(error.hint ?? '', hint);
  };

  test('one that is trusted', async (t) => {
    await ask(t, await serve(t, good), trusting(ca));
  });

  const untrusted = /its certificate is not trusted$/;
  const authority = /put the right certificate-authority into cluster "c" in .*config;/;
  test('no authority', async (t) => refused(t, await serve(t, good), {}, untrusted, authority));
  test('another authority of the same name: the cluster was set up anew', async (t) =>
    refused(t, await serve(t, good), trusting(other), untrusted, authority));
  test('one that signs itself', async (t) =>
    refused(t, await serve(t, ca), trusting(other), untrusted, authority));
  test('a chain to an unknown authority', async (t) => {
    const chain = { ...good, certPem: `${good.certPem}\n${ca.certPem}` };
    await refused(t, await serve(t, chain), trusting(other), untrusted, authority);
  });
  test('an authority that is no certificate', async (t) =>
    refused(t, await serve(t, good), { 'certificate-authority-data': 'bm9uZQ==' }, untrusted, authority));

  test('for another name', async (t) => {
    const url = await serve(t, await certificate({ ca, name: 'api.example' }));
    await refused(t, url, trusting(ca), /its certificate is for another name$/, /tls-server-name/);
    await ask(t, url, trusting(ca, { 'tls-server-name': 'api.example' }));
  });
  test('expired', async (t) => {
    const url = await serve(t, await certificate({ ca, fromDay: -2 }));
    await refused(t, url, trusting(ca), /its certificate has expired$/, /ask its administrator/);
  });
  test('not valid yet', async (t) => {
    const url = await serve(t, await certificate({ ca, fromDay: 2 }));
    await refused(t, url, trusting(ca), /its certificate is not valid yet$/, /clock/);
  });
  test('the kubeconfig does without', async (t) => {
    await ask(t, await serve(t, other), { 'insecure-skip-tls-verify': true });
  });

  test('a server that speaks no TLS', async (t) => {
    const url = (await serve(t, undefined)).replace('http:', 'https:');
    await refused(t, url, trusting(ca), /TLS cannot be spoken with it: wrong version number$/, /http:\/\//);
  });
  test('a server that speaks TLS only', async (t) => {
    const url = (await serve(t, good)).replace('https:', 'http:');
    await refused(t, url, {}, /the connection was dropped$/, /try again/);
  });
  test('without TLS', async (t) => {
    await ask(t, await serve(t, undefined), {});
  });

  const userOf = ({ keyPem, certPem }: Certificate): object => ({
    'client-certificate-data': Buffer.from(certPem).toString('base64'),
    'client-key-data': Buffer.from(keyPem).toString('base64'),
  });

  test('a client certificate that is none', async (t) => {
    const broken = { 'client-certificate-data': 'eA==', 'client-key-data': 'eA==' };
    const error = await rejectionOf(ask(t, await serve(t, good), trusting(ca), broken));
    assert.ok(error instanceof VmopError && error.code === 'unreachable');
    assert.match(error.hint ?? '', /correct user "u" in .*config$/);
  });

  test('a server that demands a client certificate', async (t) => {
    const url = await serve(t, good, { clientAuthority: ca.certPem });
    await ask(t, url, trusting(ca), userOf(good));
    const into = /into user "u" in .*config$/;
    const wants = /it wants a client certificate \(.*certificate required\)$/;
    await refused(t, url, trusting(ca), wants, into, {});
    const old = await certificate({ ca, fromDay: -2 });
    await refused(t, url, trusting(ca), /the client certificate has expired \(.* GMT\)$/, into, userOf(old));
  });

  test('alerts about the client’s certificate, by OpenSSL’s names for them', () => {
    const connection = { where: 'it', places: { cluster: '', user: 'user "u" in FILE' } };
    const told = (code: string, certificate?: string) => {
      const error = new ConnectionError(
        { ...connection, certificate },
        Object.assign(new Error(), { code }),
        false,
      );
      assert.equal(error.exitCode, 7);
      return `${error.message}; ${error.hint}`;
    };
    assert.equal(
      told('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', good.certPem),
      'it cannot be reached: it does not take the client certificate (unknown ca); put another one into user "u" in FILE',
    );
    assert.match(told('ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'broken'), /\(bad certificate\)/);
    assert.match(
      told('ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', good.certPem),
      /not take .*\(certificate expired\)/,
    );
    assert.match(
      told('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'),
      /wants a client certificate .* put one into/,
    );
    assert.match(told('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', good.certPem), /check the server of/);
  });

  test('an API server asks nobody for a certificate, and says 401 to one that has expired', async (t) => {
    const script = (request: ScriptedRequest): void => reply(request, kubeStatus(401, 'Unauthorized'));
    const { url } = await startScriptedServer(t, script, { tls: true, certificate: good });
    const old = await certificate({ ca, fromDay: -2 });
    await assert.rejects(ask(t, url, trusting(ca), userOf(old)), {
      exitCode: 7,
      message:
        /^cluster "c" \(.*\) does not take the credentials of user "u" in .*config: the client certificate has expired \(.* GMT\)$/,
      hint: /^put a new one into user "u" in .*config$/,
    });
  });
});

describe('a server that is not there', () => {
  test('nothing listens', async (t) => {
    const error = await rejectionOf(ask(t, 'https://127.0.0.1:1', {}));
    assert.ok(error instanceof ConnectionError && error.systemCode === 'ECONNREFUSED');
    assert.match(error.message, /nothing listens there$/);
  });

  const cases: [code: string, why: RegExp][] = [
    ['ENOTFOUND', /its name is not known$/],
    ['EAI_AGAIN', /its name is not known$/],
    ['EHOSTUNREACH', /there is no route to it$/],
    ['ETIMEDOUT', /there is no route to it$/],
    ['EPIPE', /the connection was dropped$/],
    ['EWHATEVER', /cannot be reached: words$/],
  ];
  for (const [code, why] of cases) {
    test(code, () => {
      const cause = Object.assign(new Error('words'), { code });
      const connection = { where: 'it', places: { cluster: 'cluster "c" in FILE', user: '' } };
      const error = new ConnectionError(connection, new AggregateError([cause]), false);
      assert.deepEqual([error.systemCode, error.stale], [code, false]);
      assert.match(error.message, code === 'EWHATEVER' ? /./ : why);
      assert.match(new ConnectionError(connection, cause, false).message, why);
    });
  }
});
