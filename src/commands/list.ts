import { Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { runList } from '../lib/tasks/list.ts';

export default class List extends VmopCommand {
  static override aliases = ['ls'];
  static override summary = 'list the virtual machines that you may use, and what each is doing';
  static override description =
    'A VM is listed when spec.permissions gives you, or one of your groups, at least one permission. ' +
    'An administrator of the namespace sees all.';
  static override examples = [
    '<%= config.bin %> list',
    '<%= config.bin %> list -w',
    '<%= config.bin %> list -A -o wide',
    "<%= config.bin %> list -o jsonpath='{[*].name}'",
  ];
  static override flags = {
    selector: Flags.string({ char: 'l', summary: 'only VMs with these labels, e.g. team=blue' }),
    'all-namespaces': Flags.boolean({ char: 'A', summary: 'look in all namespaces' }),
    'all-vms': Flags.boolean({ summary: 'also VMs on which you hold no permission', exclusive: ['mine'] }),
    mine: Flags.boolean({ summary: 'only VMs whose permissions name you, also for an administrator' }),
    watch: Flags.boolean({ char: 'w', summary: 'go on and show changes as they happen' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(List);
    await runList(await this.begin(flags), flags);
  }
}
