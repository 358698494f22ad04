import { Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { TARGET_FLAGS, VMS_ARG } from '../lib/cli/flags.ts';
import {
  DEFAULT_VALIDITY_SECONDS,
  DISCONNECT_ACTIONS,
  TUNNEL_CHOICES,
  WEB_VALIDITY_SECONDS,
} from '../lib/console-choices.ts';
import { checkConsoles } from '../lib/tasks/console-check.ts';
import { runConsole } from '../lib/tasks/console.ts';

const ROUTE = 'WAY TO THE DISPLAY';
const WEB = 'IN A BROWSER';

export default class Console extends VmopCommand {
  static override summary = 'open the console of a virtual machine';
  static override description =
    'Finds a way to the VM’s display (directly, or through the API server), sets a fresh display password where the ' +
    'present one does not last, waits until the VM’s runner has confirmed it, hands the connection to the viewer or to ' +
    'a browser, and stays until the session ends. The password is on no disk, in no argument and in no log. --file ' +
    'writes the connection file instead and starts nothing; --check only calls the displays.';
  static override examples = [
    '<%= config.bin %> console desktop-1',
    '<%= config.bin %> console desktop-1 --login alice --full-screen',
    '<%= config.bin %> console desktop-1 --web',
    '<%= config.bin %> console desktop-1 --reconnect --on-disconnect logout',
    '<%= config.bin %> console desktop-1 --file desktop.vv',
    '<%= config.bin %> console desktop-1 --take --detach',
    '<%= config.bin %> console --check --all',
  ];
  static override args = VMS_ARG;
  static override flags = {
    ...TARGET_FLAGS,
    check: Flags.boolean({
      summary: 'only call the displays, of any number of VMs, and tell what is found; changes nothing',
      exclusive: ['file', 'web', 'detach', 'take', 'login', 'reconnect', 'on-disconnect'],
    }),
    file: Flags.string({
      summary: 'write the connection file there (- for stdout) and start nothing',
      exclusive: ['viewer', 'detach', 'web'],
    }),
    viewer: Flags.string({
      summary: 'the viewer to start: a name or a path (default: VMOP_VIEWER, config.yaml, what is installed)',
      exclusive: ['web'],
    }),
    'viewer-arg': Flags.string({
      summary:
        'an argument for the viewer; repeatable; {file} stands for the connection file; {uri} (or {socket}) and ' +
        '{ticket} for a door that vmop opens for it',
      multiple: true,
      multipleNonGreedy: true,
    }),
    detach: Flags.boolean({
      summary: 'return when the viewer is connected, and leave it alone',
      exclusive: ['web'],
    }),
    take: Flags.boolean({ summary: 'take the console from somebody who uses it' }),
    login: Flags.string({ summary: 'log this user in on the guest once the console is connected' }),
    'login-first': Flags.boolean({ summary: 'log in before the console is opened' }),
    reconnect: Flags.boolean({
      summary: 'open it again when it was dropped, also after the VM has restarted or moved',
    }),
    'on-disconnect': Flags.option({
      summary: 'what becomes of the desktop when the session ends, however it ends (default: none)',
      options: DISCONNECT_ACTIONS,
    })(),
    title: Flags.string({ summary: 'title of the window (default: the VM’s name)' }),
    'full-screen': Flags.boolean({ summary: 'fill the screen' }),
    validity: Flags.string({
      summary: `how long a new password is valid, e.g. 60s (default: ${DEFAULT_VALIDITY_SECONDS}s; with --web ${WEB_VALIDITY_SECONDS}s)`,
    }),
    timeout: Flags.string({
      summary: 'how long to wait for the log-in and for the runner’s confirmation',
      default: '60s',
    }),
    tunnel: Flags.option({
      summary: 'through the API server: when nothing else works, always, or never (default: auto)',
      options: TUNNEL_CHOICES,
      helpGroup: ROUTE,
    })(),
    host: Flags.string({
      summary: 'where the SPICE server is reached, instead of what the VM says',
      helpGroup: ROUTE,
    }),
    port: Flags.integer({
      summary: 'its port, instead of what the VM says',
      min: 1,
      max: 65_535,
      helpGroup: ROUTE,
    }),
    proxy: Flags.string({
      summary: 'HTTP proxy on the way, e.g. http://proxy:3128; none for no proxy',
      helpGroup: ROUTE,
    }),
    ca: Flags.string({
      summary: 'PEM file of the certificate authority: the port speaks TLS',
      helpGroup: ROUTE,
    }),
    'host-subject': Flags.string({
      summary: 'subject of the VM’s certificate, where that is not its host: the port speaks TLS',
      helpGroup: ROUTE,
    }),
    web: Flags.boolean({
      summary: 'open it in a browser, with nothing to install; prints the link',
      helpGroup: WEB,
    }),
    browser: Flags.boolean({
      summary: '--no-browser: only print the link',
      default: true,
      allowNo: true,
      helpGroup: WEB,
    }),
    listen: Flags.string({
      summary:
        'serve the page at this address instead of 127.0.0.1; one that others reach needs a certificate, its key and ' +
        '--listen-for-others',
      dependsOn: ['web'],
      helpGroup: WEB,
    }),
    'listen-cert': Flags.string({
      summary: 'PEM file of the page’s certificate',
      dependsOn: ['listen'],
      helpGroup: WEB,
    }),
    'listen-key': Flags.string({ summary: 'PEM file of its key', dependsOn: ['listen'], helpGroup: WEB }),
    'listen-name': Flags.string({
      summary: 'name under which others reach this computer; needed where the address is 0.0.0.0 or ::',
      dependsOn: ['listen'],
      helpGroup: WEB,
    }),
    'listen-for-others': Flags.boolean({
      summary: 'others shall reach the page: it is meant',
      dependsOn: ['listen'],
      helpGroup: WEB,
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Console);
    const context = await this.begin(flags, { lines: flags.web });
    if (flags.check) await checkConsoles(context, args.vm ?? [], flags);
    else await runConsole(context, args.vm ?? [], flags);
  }
}
