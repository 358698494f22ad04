import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { loadSettings, parseSettings } from '../../../src/lib/cli/settings.ts';
import { VmopError } from '../../../src/lib/errors.ts';
import { rejectionOf, temporaryFolder } from '../cluster/fixture.ts';

const ALL = `# everything
viewer: remote-viewer
viewerArgs: [--full-screen, "-v"]
validitySeconds: 120
hosts: {10.0.0.7: desk-7.example}
proxy: http://proxy:3128
ca: /etc/ssl/desks.pem
userName: alice
roles:
  oidc:admins: staff
contexts:
  prod:
    userName: alice@example
    validitySeconds: 30
    roles: {}
  lab: {}
`;

const BASE = {
  viewer: 'remote-viewer',
  viewerArgs: ['--full-screen', '-v'],
  validitySeconds: 120,
  hosts: { '10.0.0.7': 'desk-7.example' },
  proxy: 'http://proxy:3128',
  ca: '/etc/ssl/desks.pem',
  userName: 'alice',
  roles: { 'oidc:admins': 'staff' },
};

describe('settings', () => {
  const cases: [name: string, source: string, context: string, settings: object][] = [
    ['all keys', ALL, 'other', BASE],
    [
      'a context’s own section over the top',
      ALL,
      'prod',
      { ...BASE, userName: 'alice@example', validitySeconds: 30, roles: {} },
    ],
    ['a context’s empty section', ALL, 'lab', BASE],
    ['an empty file', '', 'x', {}],
    ['comments only', '# nothing\n---\n', 'x', {}],
    [
      'what becomes of a desktop, and the way to it, per context',
      'tunnel: never\nonDisconnect: logout\ncontexts:\n  x: {tunnel: always, onDisconnect: stop}\n',
      'x',
      { tunnel: 'always', onDisconnect: 'stop' },
    ],
    [
      'the same for another context',
      'tunnel: never\nonDisconnect: logout\ncontexts:\n  x: {tunnel: always, onDisconnect: stop}\n',
      'y',
      { tunnel: 'never', onDisconnect: 'logout' },
    ],
    ['no section at all', 'contexts: {}\n', 'x', {}],
    [
      'a context with the name of something that every object has',
      'userName: a\n',
      'constructor',
      { userName: 'a' },
    ],
    ['a context without a value', 'contexts:\n  x:\n', 'x', {}],
    ['contexts without a value', 'contexts:\nviewer: v\n', 'x', { viewer: 'v' }],
    ['a byte order mark', '\ufeffviewer: v\n', 'x', { viewer: 'v' }],
    ['Windows line ends', 'viewer: v\r\nproxy: p\r\n', 'x', { viewer: 'v', proxy: 'p' }],
    ['an alias', 'hosts: &h {a: b}\nroles: *h\n', 'x', { hosts: { a: 'b' }, roles: { a: 'b' } }],
    ['a context whose name is a number', 'contexts:\n  7: {viewer: v}\n', '7', { viewer: 'v' }],
    ['the section of another context is not looked at', 'contexts:\n  y: {nonsense: 1}\n', 'x', {}],
  ];
  for (const [name, source, context, settings] of cases) {
    test(name, async () => assert.deepEqual(await parseSettings('f', source, context), settings));
  }
});

describe('errors name file, line and key', () => {
  const cases: [name: string, source: string, message: string | RegExp][] = [
    ['an unknown key', 'viewer: v\nviever: w\n', /^f:2: unknown key viever; known are viewer, /],
    ['an unknown key with a map', 'viewer: v\nviever:\n  a: b\n', /^f:2: unknown key viever;/],
    ['an unknown key without a value', 'viewer: v\nviever:\n', /^f:2: unknown key viever;/],
    ['a key that every object has', 'toString: v\n', /^f:1: unknown key toString;/],
    ['a key that is a number', 'viewer: v\n7: w\n', /^f:2: unknown key 7;/],
    [
      'an unknown key in a context',
      'contexts:\n  x:\n    viever: w\n',
      /^f:3: unknown key contexts\.x\.viever;/,
    ],
    [
      'contexts in a context',
      'contexts:\n  x:\n    contexts: {}\n',
      /^f:3: unknown key contexts\.x\.contexts;/,
    ],
    ['viewer', 'viewer: [a]\n', 'f:1: viewer must be a command'],
    ['viewer, empty', 'viewer: ""\n', 'f:1: viewer must be a command'],
    ['viewerArgs', '\nviewerArgs: -v\n', 'f:2: viewerArgs must be a list of arguments'],
    ['viewerArgs with a number', 'viewerArgs: [1]\n', 'f:1: viewerArgs must be a list of arguments'],
    [
      'validitySeconds in words',
      'validitySeconds: 1m\n',
      'f:1: validitySeconds must be a whole number of seconds from 1 to 86400',
    ],
    ['validitySeconds 0', 'validitySeconds: 0\n', /^f:1: validitySeconds must be/],
    ['validitySeconds of more than a day', 'validitySeconds: 86401\n', /^f:1: validitySeconds must be/],
    ['validitySeconds broken', 'validitySeconds: 1.5\n', /^f:1: validitySeconds must be/],
    ['hosts', 'hosts:\n  - a\n', 'f:1: hosts must be a map from host to host'],
    ['hosts with a number', 'hosts:\n  a: 1\n', 'f:1: hosts must be a map from host to host'],
    ['proxy', 'proxy: 3128\n', 'f:1: proxy must be a URL such as http://proxy:3128'],
    ['ca', 'ca: true\n', 'f:1: ca must be the path of a PEM file'],
    ['tunnel', 'tunnel: maybe\n', 'f:1: tunnel must be auto or always or never'],
    [
      'onDisconnect in a context',
      'contexts:\n  x:\n    onDisconnect: explode\n',
      'f:3: contexts.x.onDisconnect must be none or lock or logout or stop',
    ],
    ['userName', 'userName: 7\n', 'f:1: userName must be a name'],
    ['roles', 'roles: staff\n', 'f:1: roles must be a map from group to role'],
    [
      'roles in a context',
      'contexts:\n  x:\n    roles: staff\n',
      'f:3: contexts.x.roles must be a map from group to role',
    ],
    ['a null', 'viewer: v\nroles:\n', 'f:2: roles must be a map from group to role'],
    ['contexts', 'contexts: [x]\n', 'f:1: contexts must be a map from context to its keys'],
    ['a context', 'contexts:\n  x: 7\n', 'f:2: contexts.x must be a map'],
    ['a list', '- viewer\n', 'f:1: the file must be a map of keys'],
    ['a text', 'hello\n', 'f:1: the file must be a map of keys'],
    ['broken YAML', 'viewer: v\nroles: {a: b\n', /^f:\d: .*/],
    ['a key twice', 'viewer: v\nproxy: p\nviewer: w\n', /^f:3: Map keys must be unique/],
    ['an unknown alias', 'viewer: v\nproxy: *nobody\n', /^f:2: .*nobody/],
    ['two documents', 'viewer: v\n---\nproxy: p\n', /^f:\d: .*multiple documents/],
    [
      'a bomb of aliases',
      'a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c]\n',
      /^f:\d: /,
    ],
  ];
  for (const [name, source, message] of cases) {
    test(name, async () => {
      const error = await rejectionOf(parseSettings('f', source, 'x'));
      assert.ok(error instanceof VmopError, String(error));
      assert.equal(error.code, 'usage');
      if (typeof message === 'string') assert.equal(error.message, message);
      else assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'), error.message);
      assert.match(error.hint ?? '', /README/);
    });
  }
});

describe('where the file is', () => {
  const write = async (file: string, viewer: string): Promise<void> => {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, `viewer: ${viewer}\n`);
  };

  test('VMOP_CONFIG, then VMOP_CONFIG_DIR, then the platform’s folder', async (t) => {
    const home = await temporaryFolder(t);
    const places: [file: string, platform: NodeJS.Platform, env: Record<string, string>][] = [
      [
        'one.yaml',
        'linux',
        { VMOP_CONFIG: path.join(home, 'one.yaml'), VMOP_CONFIG_DIR: path.join(home, 'two') },
      ],
      [
        'two/config.yaml',
        'linux',
        { VMOP_CONFIG_DIR: path.join(home, 'two'), XDG_CONFIG_HOME: path.join(home, 'three') },
      ],
      ['three/vmop/config.yaml', 'linux', { XDG_CONFIG_HOME: path.join(home, 'three'), HOME: home }],
      ['.config/vmop/config.yaml', 'linux', { HOME: home }],
      ['.config/vmop/config.yaml', 'darwin', { HOME: home, VMOP_CONFIG: '' }],
      ['roaming/vmop/config.yaml', 'win32', { APPDATA: path.join(home, 'roaming'), USERPROFILE: home }],
      ['AppData/Roaming/vmop/config.yaml', 'win32', { USERPROFILE: home }],
    ];
    for (const [file, platform, env] of places) {
      await write(path.join(home, file), file);
      assert.deepEqual(await loadSettings({ env, platform }, 'x'), { viewer: file });
    }
  });

  test('none is none', async (t) => {
    const home = await temporaryFolder(t);
    assert.deepEqual(await loadSettings({ env: { HOME: home }, platform: 'linux' }, 'x'), {});
    const error = await rejectionOf(
      loadSettings({ env: { VMOP_CONFIG: path.join(home, 'named.yaml') }, platform: 'linux' }, 'x'),
    );
    assert.ok(error instanceof VmopError && error.code === 'usage');
    assert.match(error.message, /named\.yaml/);
  });

  test('one that cannot be read', async (t) => {
    const home = await temporaryFolder(t);
    const error = await rejectionOf(loadSettings({ env: { VMOP_CONFIG: home }, platform: 'linux' }, 'x'));
    assert.ok(error instanceof VmopError && error.code === 'usage');
    assert.match(error.message, /cannot be read: it is a folder$/);
    assert.match(
      String(await rejectionOf(loadSettings({ env: { VMOP_CONFIG: '/dev/zero' }, platform: 'linux' }, 'x'))),
      /\/dev\/zero cannot be read: it is a device/,
    );
    assert.deepEqual(await loadSettings({ env: { VMOP_CONFIG: devNull }, platform: 'linux' }, 'x'), {});
    const file = path.join(home, 'closed.yaml');
    await writeFile(file, '');
    await chmod(file, 0);
    if (process.getuid?.() === 0) return;
    assert.match(
      String(await rejectionOf(loadSettings({ env: { VMOP_CONFIG: file }, platform: 'linux' }, 'x'))),
      /EACCES/,
    );
  });
});
