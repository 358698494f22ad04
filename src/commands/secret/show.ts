import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { TARGET_FLAGS, VMS_ARG } from '../../lib/cli/flags.ts';
import { showSecrets } from '../../lib/tasks/secret.ts';

export default class SecretShow extends VmopCommand {
  static override summary = 'what is known of the display password';
  static override description =
    'Shows its Secret, its expiry and whether it is valid; the password only with --reveal.';
  static override examples = [
    '<%= config.bin %> secret show desktop-1',
    "<%= config.bin %> secret show desktop-1 --reveal -o jsonpath='{.password}'",
  ];
  static override args = VMS_ARG;
  static override flags = { ...TARGET_FLAGS, reveal: Flags.boolean({ summary: 'print the password, too' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SecretShow);
    await showSecrets(await this.begin(flags), args.vm ?? [], flags);
  }
}
