import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { environmentProxy, kubeconfigProxy, proxyAddress } from '../../../src/lib/cluster/proxy.ts';

const SERVER = 'https://api.desks.example:6443';

describe('the environment’s proxy', () => {
  const cases: [name: string, env: Record<string, string>, server: string, proxy: string | undefined][] = [
    ['none', {}, SERVER, undefined],
    ['an empty one is none', { HTTPS_PROXY: '' }, SERVER, undefined],
    ['HTTPS_PROXY', { HTTPS_PROXY: 'http://p:1' }, SERVER, 'http://p:1'],
    ['https_proxy', { https_proxy: 'http://p:1' }, SERVER, 'http://p:1'],
    ['capitals first', { https_proxy: 'http://q:1', HTTPS_PROXY: 'http://p:1' }, SERVER, 'http://p:1'],
    ['by the server’s scheme', { HTTP_PROXY: 'http://p:1' }, SERVER, undefined],
    ['HTTP_PROXY', { HTTP_PROXY: 'http://p:1' }, 'http://api.example', 'http://p:1'],
    ['ALL_PROXY is not looked at', { ALL_PROXY: 'http://p:1' }, SERVER, undefined],
    ['without a scheme', { HTTPS_PROXY: 'p:3128' }, SERVER, 'http://p:3128'],
    ['with TLS', { HTTPS_PROXY: 'https://p' }, SERVER, 'https://p'],
    ['SOCKS', { HTTPS_PROXY: 'socks5://p:1' }, SERVER, 'socks5://p:1'],
    ['SOCKS, that looks up names', { HTTPS_PROXY: 'socks5h://p:1' }, SERVER, 'socks5://p:1'],
    ['credentials are not shown', { HTTPS_PROXY: 'http://me:secret@p:1' }, SERVER, 'http://p:1'],
  ];
  for (const [name, env, server, expected] of cases) {
    test(name, () => {
      const proxy = environmentProxy(server, env);
      assert.equal(proxy && proxyAddress(proxy), expected);
    });
  }

  test('never for this machine', () => {
    for (const host of ['localhost', '127.0.0.1', '127.8.8.8', '[::1]', '[::ffff:127.0.0.1]'])
      assert.equal(environmentProxy(`https://${host}:6443`, { HTTPS_PROXY: 'http://p:1' }), undefined, host);
  });
});

describe('NO_PROXY', () => {
  const cases: [except: string, server: string, direct: boolean][] = [
    ['*', SERVER, true],
    ['other.example', SERVER, false],
    ['api.desks.example', SERVER, true],
    ['API.Desks.Example', SERVER, true],
    ['desks.example', SERVER, true],
    ['desks.example', 'https://desks.example', true],
    ['desks.example', 'https://otherdesks.example', false],
    ['.desks.example', SERVER, true],
    ['.desks.example', 'https://desks.example', false],
    ['*.desks.example', SERVER, true],
    ['*.desks.example', 'https://desks.example', false],
    ['a, desks.example ,b', SERVER, true],
    [' , ,', SERVER, false],
    ['desks.example:6443', SERVER, true],
    ['desks.example:443', SERVER, false],
    ['desks.example:443', 'https://desks.example', true],
    [':6443', SERVER, false],
    ['10.1.2.3', 'https://10.1.2.3:6443', true],
    ['10.1.2.3:6443', 'https://10.1.2.3:6443', true],
    ['10.1.2.3:443', 'https://10.1.2.3:6443', false],
    ['10.0.0.0/8', 'https://10.1.2.3:6443', true],
    ['10.0.0.0/8', 'https://11.1.2.3:6443', false],
    ['10.0.0.0/8', 'https://10.example', false],
    ['10.0.0.0/99', 'https://10.1.2.3', false],
    ['2001:db8::1', 'https://[2001:db8::1]:6443', true],
    ['[2001:db8::1]:6443', 'https://[2001:db8::1]:6443', true],
    ['[2001:db8::1]:1', 'https://[2001:db8::1]:6443', false],
    ['2001:db8::/32', 'https://[2001:db8::1]:6443', true],
    ['2001:db8::/32', 'https://[2001:db9::1]:6443', false],
  ];
  for (const [except, server, direct] of cases) {
    test(`"${except}" for ${server}`, () => {
      for (const name of ['NO_PROXY', 'no_proxy']) {
        const proxy = environmentProxy(server, { HTTPS_PROXY: 'http://p:1', [name]: except });
        assert.equal(proxy === undefined, direct);
      }
    });
  }
});

test('what is no proxy', () => {
  const refused = { code: 'unreachable', exitCode: 7 };
  assert.throws(() => environmentProxy(SERVER, { HTTPS_PROXY: 'ftp://p' }), {
    ...refused,
    message: 'the proxy in HTTPS_PROXY cannot be used: ftp://…',
  });
  assert.throws(() => environmentProxy(SERVER, { HTTPS_PROXY: 'http://' }), refused);
  assert.throws(() => kubeconfigProxy('p:3128', 'proxy-url of cluster "c" in FILE'), {
    ...refused,
    message: /^the proxy in proxy-url of cluster "c" in FILE cannot be used: /,
  });
});
