import { Args, Flags } from '@oclif/core';
import { VmopError } from '../lib/errors.ts';
import { VmopCommand } from '../lib/cli/command.ts';
import { canI, listVerdicts } from '../lib/tasks/can-i.ts';

export default class CanI extends VmopCommand {
  static override summary = 'say whether you may do something with a virtual machine';
  static override description =
    'Actions: show, start, stop, restart, reset, console, take, login, secret, permissions. Prints yes or no; on ' +
    'stderr what spec.permissions says, what the API server says, and where the two differ. The exit code is 0 for ' +
    'yes and 4 for no; with --list always 0. For somebody else: --as.';
  static override examples = [
    '<%= config.bin %> can-i start desktop-1',
    '<%= config.bin %> can-i --list desktop-1',
    '<%= config.bin %> can-i console desktop-1 --as alice -q && echo yes',
  ];
  static override args = {
    action: Args.string({ description: 'what to do; with --list the VM' }),
    vm: Args.string({ description: 'name of the VM' }),
  };
  static override flags = {
    list: Flags.boolean({ summary: 'all actions, on the VM or on each that you may use' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CanI);
    const context = await this.begin(flags);
    if (flags.list) {
      if (args.vm !== undefined) throw new VmopError('usage', '--list takes a VM at most, no action');
      await listVerdicts(context, args.action);
      return;
    }
    if (args.action === undefined) throw new VmopError('usage', 'no action was named', { hint: 'or --list' });
    await canI(context, args.action, args.vm);
  }
}
