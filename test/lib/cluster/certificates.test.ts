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
import { reply, startScriptedServer, type ScriptedOptions } from './scripted-server.ts';

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

async function ask(t: TestContext, url: string, settings: object): Promise<unknown> {
  const file = path.join(await temporaryFolder(t), 'config');
  await writeFile(
    file,
    stringify({
      clusters: [{ name: 'c', cluster: { server: url, ...settings } }],
      contexts: [{ name: 'x', context: { cluster: 'c' } }],
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
  ): Promise<void> => {
    const error = await rejectionOf(ask(t, url, settings));
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

  test('a client certificate that is none', async (t) => {
    const file = path.join(await temporaryFolder(t), 'config');
    const broken = { 'client-certificate-data': 'eA==', 'client-key-data': 'eA==' };
    await writeFile(
      file,
      stringify({
        clusters: [{ name: 'c', cluster: { server: await serve(t, good), ...trusting(ca) } }],
        users: [{ name: 'u', user: broken }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'x', timeoutMs: 20_000 });
    t.after(() => cluster.close());
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, { namespace: 'n', name: 'a' }));
    assert.ok(error instanceof VmopError && error.code === 'unreachable');
    assert.match(error.hint ?? '', /correct user "u" in .*config$/);
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
