import { Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags } from '../lib/cli/flags.ts';
import { parseGuestUser, runLogin } from '../lib/tasks/login.ts';

export default class Login extends VmopCommand {
  static override summary = 'log a user in on the guest';
  static override description =
    'Sets spec.vm.display.loggedInUser and waits until the agent in the guest has confirmed it. ' +
    'When the agent refuses, its own line is shown and the exit code is 10.';
  static override examples = [
    '<%= config.bin %> login desktop-1 --user alice',
    '<%= config.bin %> login desktop-1 desktop-2 --user alice --timeout 90s',
  ];
  static override args = VMS_ARG;
  static override flags = {
    user: Flags.string({ char: 'u', summary: 'user name on the guest', required: true }),
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...waitFlags('60s'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Login);
    const user = parseGuestUser(flags.user);
    await runLogin(await this.begin(flags), { user }, args.vm ?? [], flags);
  }
}
