import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, FORCE_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags, YES_FLAG } from '../lib/cli/flags.ts';
import { runPower } from '../lib/tasks/power.ts';

export default class Stop extends VmopCommand {
  static override summary = 'stop virtual machines';
  static override description =
    'The guest is asked to power down and has until spec.vm.powerdownTimeout. Asks first when a console is connected.';
  static override examples = [
    '<%= config.bin %> stop desktop-1',
    '<%= config.bin %> stop -l team=blue --yes',
  ];
  static override args = VMS_ARG;
  static override flags = {
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...YES_FLAG,
    ...FORCE_FLAG,
    ...waitFlags('16m'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stop);
    await runPower(await this.begin(flags), 'stop', args.vm ?? [], flags);
  }
}
