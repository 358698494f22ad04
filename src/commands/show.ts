import { VmopCommand } from '../lib/cli/command.ts';
import { VM_ARG } from '../lib/cli/flags.ts';
import { showVm } from '../lib/tasks/show.ts';

export default class Show extends VmopCommand {
  static override summary = 'everything about one virtual machine';
  static override description =
    'State and why, users, console, password expiry (never the password), pool, guest, conditions, recent events.';
  static override examples = ['<%= config.bin %> show desktop-1', '<%= config.bin %> show desktop-1 -o yaml'];
  static override args = VM_ARG;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Show);
    await showVm(await this.begin(flags), args.vm);
  }
}
