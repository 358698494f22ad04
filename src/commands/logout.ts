import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags } from '../lib/cli/flags.ts';
import { runLogin } from '../lib/tasks/login.ts';

export default class Logout extends VmopCommand {
  static override summary = 'log whoever is logged in out on the guest';
  static override description =
    'Removes spec.vm.display.loggedInUser and waits until the agent in the guest has confirmed it. ' +
    'The guest restarts its display manager: a session that somebody opened by hand ends, too.';
  static override examples = ['<%= config.bin %> logout desktop-1'];
  static override args = VMS_ARG;
  static override flags = { ...TARGET_FLAGS, ...DRY_RUN_FLAG, ...waitFlags('60s') };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Logout);
    await runLogin(await this.begin(flags), { user: undefined }, args.vm ?? [], flags);
  }
}
