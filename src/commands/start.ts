import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags } from '../lib/cli/flags.ts';
import { runPower } from '../lib/tasks/power.ts';

export default class Start extends VmopCommand {
  static override summary = 'start virtual machines';
  static override description =
    'Waits until the guest runs. Several VMs are started in parallel, and each is reported.';
  static override examples = [
    '<%= config.bin %> start desktop-1',
    '<%= config.bin %> start desktop-1 desktop-2 --timeout 2m',
    '<%= config.bin %> start --all --no-wait',
  ];
  static override args = VMS_ARG;
  static override flags = {
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...waitFlags('5m'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Start);
    await runPower(await this.begin(flags), 'start', args.vm ?? [], flags);
  }
}
