import { Flags } from '@oclif/core';
import { DEFAULT_VALIDITY_SECONDS } from '../../lib/console-choices.ts';
import { VmopCommand } from '../../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags } from '../../lib/cli/flags.ts';
import { rotateSecrets } from '../../lib/tasks/secret.ts';

export default class SecretRotate extends VmopCommand {
  static override summary = 'set a new random display password';
  static override description =
    'Waits until the runner has confirmed it, and says so when it does not. ' +
    'Every change of the Secret makes the guest agent act: a warning tells when that may end somebody’s session.';
  static override examples = [
    '<%= config.bin %> secret rotate desktop-1',
    '<%= config.bin %> secret rotate desktop-1 --validity 5m --reveal --json',
  ];
  static override args = VMS_ARG;
  static override flags = {
    validity: Flags.string({
      summary: 'how long it is valid, e.g. 60s',
      default: `${DEFAULT_VALIDITY_SECONDS}s`,
    }),
    keep: Flags.boolean({ summary: 'keep the present password when it is valid for longer than that' }),
    reveal: Flags.boolean({ summary: 'print the password' }),
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...waitFlags('10s'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SecretRotate);
    await rotateSecrets(await this.begin(flags), args.vm ?? [], flags);
  }
}
