import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, YES_FLAG } from '../lib/cli/flags.ts';
import { runPower } from '../lib/tasks/power.ts';

export default class Reset extends VmopCommand {
  static override summary = 'press the reset button of virtual machines';
  static override description =
    'The guest gets no chance to save anything. Asks first when a console is connected. VM-Operator does not report ' +
    'when the reset has happened.';
  static override examples = ['<%= config.bin %> reset desktop-1 --yes'];
  static override args = VMS_ARG;
  static override flags = {
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...YES_FLAG,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Reset);
    await runPower(await this.begin(flags), 'reset', args.vm ?? [], flags);
  }
}
