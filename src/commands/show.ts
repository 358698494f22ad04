import { VmopCommand } from '../lib/cli/command.ts';
import { VM_ARG } from '../lib/cli/flags.ts';
import { detailView, loadDetail } from '../lib/tasks/show.ts';
import { resolveVm } from '../lib/cli/targets.ts';

export default class Show extends VmopCommand {
  static override summary = 'everything about one virtual machine';
  static override description =
    'State and why, users, console, password expiry (never the password), pool, guest, conditions, recent events.';
  static override examples = ['<%= config.bin %> show desktop-1', '<%= config.bin %> show desktop-1 -o yaml'];
  static override args = VM_ARG;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Show);
    const context = await this.begin(flags);
    const detail = await loadDetail(context, await resolveVm(context, args.vm));
    await context.print(detail, detailView(await context.cluster.now(), context.nameOf));
  }
}
