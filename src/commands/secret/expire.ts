import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG } from '../../lib/cli/flags.ts';
import { expireSecrets } from '../../lib/tasks/secret.ts';

export default class SecretExpire extends VmopCommand {
  static override summary = 'end the display password, now or later';
  static override description =
    'Open consoles stay open; nobody can connect with the password afterwards. The runner never confirms an expiry.';
  static override examples = [
    '<%= config.bin %> secret expire desktop-1',
    '<%= config.bin %> secret expire desktop-1 --in 5m',
  ];
  static override args = VMS_ARG;
  static override flags = {
    in: Flags.string({ summary: 'end it after this time, e.g. 5m', exclusive: ['never'] }),
    never: Flags.boolean({ summary: 'let it be valid without end' }),
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SecretExpire);
    await expireSecrets(await this.begin(flags), args.vm ?? [], flags);
  }
}
