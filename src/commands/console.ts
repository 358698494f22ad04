import { Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { runConsole } from '../lib/tasks/console.ts';
import { VM_ARG } from '../lib/cli/flags.ts';

export default class Console extends VmopCommand {
  static override summary = 'open the console of a virtual machine';
  static override description =
    'Sets a fresh display password where the present one does not last, waits until the VM’s runner has confirmed it, ' +
    'hands the connection to the viewer, and stays until the viewer ends. The password is on no disk, in no argument ' +
    'and in no log. --file writes the connection file instead and starts nothing.';
  static override examples = [
    '<%= config.bin %> console desktop-1',
    '<%= config.bin %> console desktop-1 --login alice --full-screen',
    '<%= config.bin %> console desktop-1 --file desktop.vv',
    '<%= config.bin %> console desktop-1 --take --detach',
  ];
  static override args = VM_ARG;
  static override flags = {
    file: Flags.string({
      summary: 'write the connection file there (- for stdout) and start nothing',
      exclusive: ['viewer', 'detach'],
    }),
    viewer: Flags.string({ summary: 'the viewer to start: a name or a path', env: 'VMOP_VIEWER' }),
    'viewer-arg': Flags.string({
      summary: 'an argument for the viewer; repeatable; {file} stands for the connection file',
      multiple: true,
      multipleNonGreedy: true,
    }),
    detach: Flags.boolean({ summary: 'return when the viewer is started, and leave it alone' }),
    take: Flags.boolean({ summary: 'take the console from somebody who uses it' }),
    login: Flags.string({ summary: 'log this user in on the guest first' }),
    host: Flags.string({ summary: 'where the SPICE server is reached, instead of what the VM says' }),
    port: Flags.integer({ summary: 'its port, instead of what the VM says', min: 1, max: 65_535 }),
    proxy: Flags.string({ summary: 'HTTP proxy on the way, e.g. http://proxy:3128; none for no proxy' }),
    ca: Flags.string({ summary: 'PEM file of the certificate authority: the port speaks TLS' }),
    title: Flags.string({ summary: 'title of the window (default: the VM’s name)' }),
    'full-screen': Flags.boolean({ summary: 'fill the screen' }),
    validity: Flags.string({ summary: 'how long a new password is valid, e.g. 60s (default: 60s)' }),
    timeout: Flags.string({
      summary: 'how long to wait for the log-in and for the runner’s confirmation',
      default: '60s',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Console);
    await runConsole(await this.begin(flags), args.vm, flags);
  }
}
