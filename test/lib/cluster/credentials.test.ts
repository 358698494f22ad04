import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { generate } from 'selfsigned';
import { isStatus, loadKubeconfig, openCluster } from '../../../src/lib/cluster/index.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { CONFIG_MAPS, rejectionOf, temporaryFolder } from './fixture.ts';
import {
  kubeStatus,
  reply,
  startScriptedServer,
  testCertificate,
  type ScriptedRequest,
} from './scripted-server.ts';
import { callsOf, open, plugin, ref } from './user-fixture.ts';

describe('what is sent', () => {
  test('a token', async (t) => {
    const { cluster, sent } = await open(t, { user: { token: 'secret\n' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer secret']);
    assert.deepEqual(sent('user-agent'), ['vmop-test']);
  });

  test('a name and a password', async (t) => {
    const { cluster, sent } = await open(t, { user: { username: 'me', password: 'pass' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), [`Basic ${Buffer.from('me:pass').toString('base64')}`]);
  });

  test('a token file beside the kubeconfig, before a token', async (t) => {
    const user = { tokenFile: 'token', token: 'other' };
    const { cluster, sent } = await open(t, { user, files: { token: 'from-file\n' } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer from-file']);
  });

  test('a token file’s new token, half a minute after it was read', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { cluster, sent, folder } = await open(t, {
      user: { tokenFile: 'token' },
      files: { token: 'one' },
    });
    await cluster.get(CONFIG_MAPS, ref);
    await writeFile(path.join(folder, 'token'), 'two');
    t.mock.timers.tick(30_000);
    await cluster.get(CONFIG_MAPS, ref);
    t.mock.timers.tick(1);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer one', 'Bearer one', 'Bearer two']);
  });

  test('a client certificate and an authority in files beside the kubeconfig', async (t) => {
    const { keyPem, certPem } = await testCertificate();
    const { cluster, server } = await open(t, {
      cluster: { 'certificate-authority-data': undefined, 'certificate-authority': 'ca.crt' },
      user: { 'client-certificate': 'me.crt', 'client-key': 'me.key' },
      files: { 'ca.crt': certPem, 'me.crt': certPem, 'me.key': keyPem },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(
      server.requests.map(({ clientName }) => clientName),
      ['vmop sandbox'],
    );
  });

  test('a client certificate’s and an authority’s new files, half a minute after they were read', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const made = await Promise.all(
      ['one', 'two'].map((value) => generate([{ name: 'commonName', value }], { keyType: 'ec' })),
    );
    const { cluster, server, folder } = await open(t, {
      user: { 'client-certificate': 'me.crt', 'client-key': 'me.key' },
    });
    const put = async (index: number): Promise<void> => {
      await writeFile(path.join(folder, 'me.crt'), made[index]?.cert ?? '');
      await writeFile(path.join(folder, 'me.key'), made[index]?.private ?? '');
    };
    for (const index of [0, 1]) {
      await put(index);
      await cluster.get(CONFIG_MAPS, ref);
      t.mock.timers.tick(30_001);
    }
    assert.deepEqual(
      server.requests.map(({ clientName }) => clientName),
      ['one', 'two'],
    );
  });

  test('data of the kubeconfig before files', async (t) => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'data' }], { keyType: 'ec' });
    const { cluster, server } = await open(t, {
      cluster: { 'certificate-authority': 'gone.crt' },
      user: {
        'client-certificate': 'gone.crt',
        'client-key': 'gone.key',
        'client-certificate-data': Buffer.from(cert).toString('base64'),
        'client-key-data': Buffer.from(key).toString('base64'),
      },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.requests[0]?.clientName, 'data');
  });

  test('a file that is not there is named', async (t) => {
    const { cluster } = await open(t, {
      user: { 'client-certificate': 'gone.crt', 'client-key': 'gone.key' },
    });
    await assert.rejects(cluster.get(CONFIG_MAPS, ref), {
      exitCode: 7,
      message: /^no credentials for cluster "c" .*ENOENT.*gone\.crt'$/,
      hint: /^log in again, or correct user "u" in .*config$/,
    });
  });

  test('nothing, for a context without a user; the authority counts all the same', async (t) => {
    const { server, folder } = await open(t, {});
    const file = path.join(folder, 'config');
    await writeFile(file, (await readFile(file, 'utf8')).replace('user: u', 'namespace: n'));
    const cluster = openCluster(loadKubeconfig({ env: {}, file }), { userAgent: 'x', timeoutMs: 20_000 });
    t.after(() => cluster.close());
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.requests[0]?.headers.authorization, undefined);
  });

  test('no token in the clear', async (t) => {
    const server = await startScriptedServer(t, (request) => reply(request));
    const { cluster } = await open(t, { user: { token: 'secret' }, cluster: { server: server.url } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(server.requests[0]?.headers.authorization, undefined);
  });
});

describe('impersonation', () => {
  test('a user and groups', async (t) => {
    const { cluster, server } = await open(t, {
      options: { impersonate: { user: 'jürgen 名', groups: ['a', 'b'] } },
    });
    await cluster.get(CONFIG_MAPS, ref);
    // With a body.
    await cluster.self();
    assert.equal(server.requests.length, 2);
    for (const { headers } of server.requests) {
      const user = String(headers['impersonate-user']);
      assert.equal(Buffer.from(user, 'latin1').toString('utf8'), 'jürgen 名');
      assert.equal(headers['impersonate-group'], 'a, b');
    }
  });

  test('all that the kubeconfig has', async (t) => {
    const user = {
      token: 't',
      as: 'jürgen',
      'as-groups': ['a', 'b'],
      'as-uid': '7',
      'as-user-extra': { 'example.org/Reason': ['why', 'not'] },
    };
    const { cluster, sent } = await open(t, { user });
    await cluster.get(CONFIG_MAPS, ref);
    assert.equal(Buffer.from(String(sent('impersonate-user')[0]), 'latin1').toString('utf8'), 'jürgen');
    assert.deepEqual(sent('impersonate-group'), ['a, b']);
    assert.deepEqual(sent('impersonate-uid'), ['7']);
    assert.deepEqual(sent('impersonate-extra-example.org%2freason'), ['why, not']);
  });

  test('the flag wins over the kubeconfig', async (t) => {
    const { cluster, sent } = await open(t, {
      user: { token: 't', as: 'file' },
      options: { impersonate: { user: 'flag' } },
    });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent('impersonate-user'), ['flag']);
  });

  test('groups alone are not left out, which would be asking with all rights', async (t) => {
    const { cluster, sent } = await open(t, { options: { impersonate: { groups: ['viewers'] } } });
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent('impersonate-group'), ['viewers']);
  });

  test('a name that is no header', async (t) => {
    const { cluster, server } = await open(t, { options: { impersonate: { user: 'a\nb' } } });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(error instanceof VmopError);
    assert.match(error.message, /cannot be asked: Invalid character/);
    assert.equal(server.requests.length, 0);
  });
});

describe('after a 401 the credentials are asked for again, once', () => {
  const unlessNew = (request: ScriptedRequest): void =>
    request.headers.authorization === 'Bearer token-1'
      ? reply(request, kubeStatus(401, 'Unauthorized'))
      : reply(request);

  test('a plug-in’s, also where it names no end of them', async (t) => {
    const folder = await temporaryFolder(t);
    const { cluster, sent } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script: unlessNew,
    });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.patch(CONFIG_MAPS, ref, { type: 'merge', body: {} });
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-2', 'Bearer token-2']);
  });

  test('a plug-in’s, by several requests at once', async (t) => {
    const folder = await temporaryFolder(t);
    const { cluster } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script: unlessNew,
    });
    await Promise.all(Array.from({ length: 5 }, () => cluster.get(CONFIG_MAPS, ref)));
    assert.equal(await callsOf(folder), 2);
  });

  test('a token file’s', async (t) => {
    const { cluster, sent, folder } = await open(t, {
      user: { tokenFile: 'token' },
      files: { token: 'token-1' },
      script: (request) => {
        unlessNew(request);
      },
    });
    await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    await writeFile(path.join(folder, 'token'), 'token-2');
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-1', 'Bearer token-1', 'Bearer token-2']);
  });

  test('a plug-in’s client certificate', async (t) => {
    const folder = await temporaryFolder(t);
    for (const name of ['client-1', 'client-2']) {
      const { private: key, cert } = await generate([{ name: 'commonName', value: name }], { keyType: 'ec' });
      await writeFile(
        path.join(folder, name),
        JSON.stringify({ clientCertificateData: cert, clientKeyData: key }),
      );
    }
    const status = `JSON.parse(fs.readFileSync(${JSON.stringify(path.join(folder, 'client-'))} + calls, 'utf8'))`;
    const { cluster, server } = await open(t, {
      user: plugin(folder, status),
      script: (request) => reply(request, request.clientName === 'client-1' ? kubeStatus(401) : {}),
    });
    await cluster.get(CONFIG_MAPS, ref);
    await cluster.get(CONFIG_MAPS, ref);
    assert.deepEqual(
      server.requests.map(({ clientName }) => clientName),
      ['client-1', 'client-2', 'client-2'],
    );
  });

  test('a port-forward’s, and what stays refused names the user', async (t) => {
    const folder = await temporaryFolder(t);
    const { cluster, sent } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script: (request) => reply(request, kubeStatus(401, 'Unauthorized')),
    });
    const { signal } = new AbortController();
    await assert.rejects(cluster.forward(ref, 5900, { signal }), {
      exitCode: 7,
      message: /^cluster "c" .* does not take the credentials of user "u" in .*config: Unauthorized$/,
    });
    assert.deepEqual(sent(), ['Bearer token-1', 'Bearer token-2']);
  });

  test('and no more than once', async (t) => {
    const folder = await temporaryFolder(t);
    const script = (request: ScriptedRequest): void => reply(request, kubeStatus(401, 'Unauthorized'));
    const { cluster, server } = await open(t, {
      user: plugin(folder, "{ token: 'token-' + calls }"),
      script,
    });
    const error = await rejectionOf(cluster.get(CONFIG_MAPS, ref));
    assert.ok(isStatus(error, 401));
    assert.equal(error.exitCode, 7);
    assert.equal(server.requests.length, 2);
  });
});
