import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, FORCE_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags, YES_FLAG } from '../lib/cli/flags.ts';
import { runPower } from '../lib/tasks/power.ts';

export default class Restart extends VmopCommand {
  static override summary = 'stop virtual machines and start them again';
  static override description =
    'Stops, waits until the machine is gone, starts. Asks first when a console is connected.';
  static override examples = ['<%= config.bin %> restart desktop-1'];
  static override args = VMS_ARG;
  static override flags = {
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...YES_FLAG,
    ...FORCE_FLAG,
    ...waitFlags('16m'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Restart);
    await runPower(await this.begin(flags), 'restart', args.vm ?? [], flags);
  }
}
