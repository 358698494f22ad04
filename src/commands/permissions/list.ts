import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { VM_ARG } from '../../lib/cli/flags.ts';
import { listPermissions } from '../../lib/tasks/permissions.ts';

export default class PermissionsList extends VmopCommand {
  static override summary = 'list who may do what with virtual machines';
  static override description =
    'The entries of spec.permissions, of one VM or of all that you may use. While a VM is assigned from a pool, the ' +
    "pool's entries are in force and not its own.";
  static override examples = [
    '<%= config.bin %> permissions list desktop-1',
    '<%= config.bin %> permissions list -A',
  ];
  static override args = VM_ARG;
  static override flags = {
    selector: Flags.string({ char: 'l', summary: 'only VMs with these labels, e.g. team=blue' }),
    'all-namespaces': Flags.boolean({ char: 'A', summary: 'look in all namespaces' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PermissionsList);
    await listPermissions(await this.begin(flags), args.vm, flags);
  }
}
