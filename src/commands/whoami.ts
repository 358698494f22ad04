import { VmopCommand } from '../lib/cli/command.ts';
import { printWhoami } from '../lib/tasks/whoami.ts';

export default class Whoami extends VmopCommand {
  static override summary = 'who the cluster takes you for, and what that means for its VMs';
  static override description =
    'Shows the user name and groups that the API server knows, the user and roles that they stand for in ' +
    'spec.permissions, and the VMs of the namespace whose permissions name them.';
  static override examples = ['<%= config.bin %> whoami', '<%= config.bin %> whoami --as bob -o json'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Whoami);
    await printWhoami(await this.begin(flags), flags['user-name']);
  }
}
