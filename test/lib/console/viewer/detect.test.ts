import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  detectViewer,
  fillPlaces,
  needsBridge,
  reachesSockets,
  type ViewerPlan,
  type WantedViewer,
} from '../../../../src/lib/console/viewer/detect.ts';
import { viewerInstallCommand } from '../../../../src/lib/console/viewer/install-hint.ts';
import {
  parseOsRelease,
  registeredProgram,
  type PlatformDescription,
} from '../../../../src/lib/console/viewer/platform.ts';

interface Described extends Partial<Omit<PlatformDescription, 'files'>> {
  files?: string[];
}

const LINUX = { PATH: '/usr/local/bin:/usr/bin', HOME: '/home/me', DISPLAY: ':0' };
const WINDOWS = { Path: 'C:\\Windows;D:\\tools', ProgramFiles: 'C:\\Program Files' };
const WSL = { PATH: '/usr/bin', HOME: '/home/me', WSL_DISTRO_NAME: 'Debian' };
const FLATPAK = ['/usr/bin/flatpak', '/var/lib/flatpak/app/org.virt_manager.virt-viewer'];
const MNT_C = '/mnt/c/Program Files/VirtViewer v11.0-256/bin/remote-viewer.exe';

function platform({ files = [], ...rest }: Described): PlatformDescription {
  return { os: 'linux', wsl: false, env: LINUX, distributions: [], ...rest, files: new Set(files) };
}

const PLANS: [what: string, described: Described, wanted: WantedViewer, plan: Partial<ViewerPlan>][] = [
  [
    'remote-viewer in PATH reads stdin and reports',
    { files: ['/usr/bin/remote-viewer'] },
    {},
    {
      name: 'remote-viewer',
      command: '/usr/bin/remote-viewer',
      launcherArgs: [],
      args: ['-'],
      input: 'stdin',
      pathStyle: 'native',
      output: 'remote-viewer',
    },
  ],
  [
    'the first in PATH is taken',
    { files: ['/usr/bin/remote-viewer', '/usr/local/bin/remote-viewer'] },
    {},
    { command: '/usr/local/bin/remote-viewer' },
  ],
  [
    'Wayland alone is a desktop, too',
    { env: { ...LINUX, DISPLAY: '', WAYLAND_DISPLAY: 'wayland-0' }, files: ['/usr/bin/remote-viewer'] },
    {},
    { command: '/usr/bin/remote-viewer' },
  ],
  [
    'spicy, for want of better, is led through its arguments',
    { files: ['/usr/bin/spicy'] },
    { args: ['--spice-debug'] },
    {
      name: 'spicy',
      args: ['--spice-debug', '--uri={uri}', '--password={ticket}'],
      input: 'arguments',
      output: 'none',
    },
  ],
  [
    'a template leads any program to a door of ours',
    { files: ['/usr/bin/other'] },
    { command: 'other', args: ['connect', '{uri}', '--pass={ticket}'] },
    { name: 'other', args: ['connect', '{uri}', '--pass={ticket}'], input: 'arguments' },
  ],
  [
    'remote-viewer is preferred to spicy',
    { files: ['/usr/bin/spicy', '/usr/bin/remote-viewer'] },
    {},
    { name: 'remote-viewer', input: 'stdin' },
  ],
  [
    'arguments go in front of the file',
    { files: ['/usr/bin/remote-viewer'] },
    { args: ['--kiosk', '--zoom=200'] },
    { args: ['--kiosk', '--zoom=200', '-'], input: 'stdin' },
  ],
  [
    'Flatpak, where there is no other',
    { files: FLATPAK },
    {},
    {
      name: 'remote-viewer (Flatpak)',
      command: '/usr/bin/flatpak',
      launcherArgs: ['run', '--command=remote-viewer', 'org.virt_manager.virt-viewer'],
      args: ['-'],
      input: 'stdin',
    },
  ],
  [
    "Flatpak, in the user's own folder",
    { files: ['/usr/bin/flatpak', '/home/me/.local/share/flatpak/app/org.virt_manager.virt-viewer'] },
    {},
    { command: '/usr/bin/flatpak' },
  ],
  [
    'the distribution before Flatpak',
    { files: [...FLATPAK, '/usr/bin/remote-viewer'] },
    {},
    { name: 'remote-viewer' },
  ],
  [
    'macOS, Homebrew outside PATH',
    { os: 'darwin', env: { PATH: '/usr/bin' }, files: ['/opt/homebrew/bin/remote-viewer'] },
    {},
    { command: '/opt/homebrew/bin/remote-viewer', input: 'stdin', output: 'remote-viewer' },
  ],
  [
    'macOS, a bundle gets a file',
    {
      os: 'darwin',
      env: { PATH: '/usr/bin', HOME: '/Users/me' },
      files: ['/Users/me/Applications/RemoteViewer.app/Contents/MacOS/RemoteViewer'],
    },
    {},
    { args: ['{file}'], input: 'file', output: 'remote-viewer' },
  ],
  [
    'Windows: the newest version, by number',
    {
      os: 'win32',
      env: WINDOWS,
      files: ['v9.0-256', 'v11.0-256', 'v11.0-99'].map(
        (version) => `C:\\Program Files\\VirtViewer ${version}\\bin\\remote-viewer.exe`,
      ),
    },
    {},
    {
      command: 'C:\\Program Files\\VirtViewer v11.0-256\\bin\\remote-viewer.exe',
      args: ['{file}'],
      input: 'file',
      pathStyle: 'native',
      output: 'none',
    },
  ],
  [
    'Windows: PATH first',
    {
      os: 'win32',
      env: WINDOWS,
      files: [
        'C:\\Program Files\\VirtViewer v11.0-256\\bin\\remote-viewer.exe',
        'D:\\tools\\remote-viewer.exe',
      ],
    },
    {},
    { command: 'D:\\tools\\remote-viewer.exe' },
  ],
  [
    'Windows: what the registry says',
    {
      os: 'win32',
      env: WINDOWS,
      files: ['E:\\VV\\bin\\remote-viewer.exe'],
      registeredCommand: '"E:\\VV\\bin\\remote-viewer.exe" "%1"',
    },
    {},
    { command: 'E:\\VV\\bin\\remote-viewer.exe' },
  ],
  [
    'WSL with a desktop: the Linux viewer',
    { wsl: true, env: { ...WSL, DISPLAY: ':0' }, files: ['/usr/bin/remote-viewer', MNT_C] },
    {},
    { command: '/usr/bin/remote-viewer', pathStyle: 'native' },
  ],
  [
    'WSL without: the Windows viewer',
    { wsl: true, env: WSL, files: ['/usr/bin/remote-viewer', MNT_C] },
    {},
    { command: MNT_C, input: 'file', args: ['{file}'], pathStyle: 'windows', output: 'none' },
  ],
  [
    '--viewer with a name',
    { files: ['/usr/bin/my-viewer'] },
    { command: 'my-viewer', args: ['--fast'] },
    {
      name: 'my-viewer',
      command: '/usr/bin/my-viewer',
      args: ['--fast', '{file}'],
      input: 'file',
      output: 'none',
    },
  ],
  [
    '--viewer with a path, and a place for the file',
    { env: {}, files: ['/opt/v/my-viewer'] },
    { command: '/opt/v/my-viewer', args: ['--connect={file}', '--once'] },
    { args: ['--connect={file}', '--once'], input: 'file' },
  ],
  [
    '--viewer with a remote-viewer elsewhere',
    { files: ['/opt/v/remote-viewer'] },
    { command: '/opt/v/remote-viewer' },
    { args: ['-'], input: 'stdin', output: 'remote-viewer' },
  ],
  [
    '--viewer remote-viewer with a place for the file',
    { files: ['/usr/bin/remote-viewer'] },
    { command: 'remote-viewer', args: ['{file}'] },
    { args: ['{file}'], input: 'file', output: 'remote-viewer' },
  ],
  [
    'a display named in the arguments',
    { env: { PATH: '/usr/bin' }, files: ['/usr/bin/remote-viewer'] },
    { args: ['--display=:7'] },
    { args: ['--display=:7', '-'] },
  ],
  [
    '--viewer with a Windows program in WSL',
    { wsl: true, env: WSL, files: [MNT_C] },
    { command: MNT_C },
    { pathStyle: 'windows' },
  ],
];
for (const [what, described, wanted, expected] of PLANS) {
  test(what, () => {
    const search = detectViewer(platform(described), wanted);
    assert.ok('plan' in search, 'problem' in search ? search.problem.message : '');
    assert.deepEqual({ ...search.plan, ...expected }, search.plan);
  });
}

const PROBLEMS: [
  what: string,
  described: Described,
  wanted: WantedViewer,
  code: string,
  said: RegExp,
  hint: RegExp,
][] = [
  [
    'nothing there',
    { distributions: ['debian'] },
    {},
    'console',
    /no viewer .* was found/,
    /^--web opens .* install a viewer: sudo apt install virt-viewer$/,
  ],
  [
    'Flatpak without the application',
    { files: ['/usr/bin/flatpak'] },
    {},
    'console',
    /no viewer/,
    /flatpak install/,
  ],
  [
    'PATH entries that are not absolute do not count',
    { env: { PATH: '.::bin', DISPLAY: ':0' }, files: ['remote-viewer', 'bin/remote-viewer'] },
    {},
    'console',
    /no viewer/,
    /./,
  ],
  [
    'no desktop',
    { env: { PATH: '/usr/bin' }, files: ['/usr/bin/remote-viewer'] },
    {},
    'console',
    /remote-viewer is installed, but there is no desktop/,
    /--file PATH/,
  ],
  [
    'no desktop for Flatpak',
    { env: { PATH: '/usr/bin', HOME: '/home/me' }, files: FLATPAK },
    {},
    'console',
    /\(Flatpak\) is installed, but/,
    /./,
  ],
  [
    'an unknown name',
    {},
    { command: 'foo\u001b' },
    'console',
    /the viewer "foo\\x1b" was not found in PATH/,
    /--web needs none/,
  ],
  ['an unknown path', {}, { command: './foo' }, 'console', /does not exist or may not be executed/, /--web/],
  [
    'spicy without a desktop',
    { files: ['/usr/bin/spicy'], env: { ...LINUX, DISPLAY: '' } },
    {},
    'console',
    /spicy is installed, but there is no desktop/,
    /--web/,
  ],
  [
    'a program of Windows that is led by its arguments',
    { os: 'win32', env: WINDOWS, files: ['D:\\tools\\other.exe'] },
    { command: 'other', args: ['{uri}', '{ticket}'] },
    'usage',
    /other cannot be led to a unix socket/,
    /use \{file\}/,
  ],
  [
    'virt-viewer',
    { files: ['/usr/bin/virt-viewer'] },
    { command: '/usr/bin/virt-viewer' },
    'usage',
    /opens the machines of libvirt/,
    /^$/,
  ],
];
for (const [what, described, wanted, code, said, hint] of PROBLEMS) {
  test(`problem: ${what}`, () => {
    const search = detectViewer(platform(described), wanted);
    assert.ok('problem' in search);
    assert.equal(search.problem.code, code);
    assert.match(search.problem.message, said);
    assert.match(search.problem.hint ?? '', hint);
  });
}

const INSTALLS: [described: Described, command: string][] = [
  [{ distributions: ['ubuntu', 'debian'] }, 'sudo apt install virt-viewer'],
  [{ distributions: ['linuxmint', 'ubuntu', 'debian'] }, 'sudo apt install virt-viewer'],
  [{ distributions: ['rocky', 'rhel', 'centos', 'fedora'] }, 'sudo dnf install virt-viewer'],
  [{ distributions: ['manjaro', 'arch'] }, 'sudo pacman -S virt-viewer'],
  [{ distributions: ['opensuse-tumbleweed', 'opensuse', 'suse'] }, 'sudo zypper install virt-viewer'],
  [{ distributions: ['opensuse-leap'] }, 'sudo zypper install virt-viewer'],
  [{ distributions: ['steamos'] }, 'flatpak install flathub org.virt_manager.virt-viewer'],
  [{ distributions: [] }, 'flatpak install flathub org.virt_manager.virt-viewer'],
  [{ os: 'darwin' }, 'brew install virt-viewer'],
  [{ os: 'win32' }, 'winget install RedHat.VirtViewer'],
];
for (const [described, command] of INSTALLS) {
  test(`to install: ${command} on ${described.os ?? described.distributions?.join(' ')}`, () => {
    assert.equal(viewerInstallCommand(platform(described)), command);
  });
}

test('os-release with and without quotes', () => {
  assert.deepEqual(parseOsRelease('NAME="Fedora Linux"\nID=fedora\nVERSION_ID=43\n'), ['fedora']);
  assert.deepEqual(parseOsRelease('ID="rocky"\nID_LIKE="rhel centos fedora"\n'), [
    'rocky',
    'rhel',
    'centos',
    'fedora',
  ]);
  assert.deepEqual(parseOsRelease("ID='x'"), ['x']);
  assert.deepEqual(parseOsRelease(''), []);
});

test('the program of a registered command', () => {
  assert.equal(registeredProgram('"C:\\a b\\remote-viewer.exe" "%1"'), 'C:\\a b\\remote-viewer.exe');
  assert.equal(registeredProgram('C:\\a b\\remote-viewer.exe %1'), 'C:\\a b\\remote-viewer.exe');
  assert.equal(registeredProgram('nonsense'), undefined);
});

const BARE: ViewerPlan = {
  name: 'other',
  command: '/usr/bin/other',
  launcherArgs: [],
  args: [],
  input: 'arguments',
  pathStyle: 'native',
  output: 'none',
};

test('places of a template are filled with the door, as often as they stand there', () => {
  const plan = { ...BARE, args: ['{uri}', '-s{socket}', '{ticket}{ticket}'] };
  assert.deepEqual(fillPlaces(plan, { socket: '/run/x/s', ticket: '$&' }).args, [
    'spice+unix:///run/x/s',
    '-s/run/x/s',
    '$&$&',
  ]);
});

const DOORS: [what: string, plan: Partial<ViewerPlan>, sockets: boolean][] = [
  ['a viewer of this machine', {}, true],
  ['a program of Windows', { command: '/mnt/c/viewer.exe', pathStyle: 'windows' }, false],
  ['Flatpak’s, which sees other folders', { launcherArgs: ['run', 'org.virt_manager.virt-viewer'] }, false],
];
for (const [what, plan, sockets] of DOORS) {
  test(`a unix socket for ${what}: ${sockets ? 'yes' : 'no'}`, () => {
    assert.equal(reachesSockets({ ...BARE, ...plan }), sockets);
  });
}

test('only what reads its standard input is given the password', () => {
  assert.deepEqual(
    (['stdin', 'file', 'arguments'] as const).map((input) => needsBridge({ ...BARE, input })),
    [false, true, true],
  );
});
