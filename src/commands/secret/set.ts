import { Flags } from '@oclif/core';
import { DEFAULT_VALIDITY_SECONDS } from '../../lib/console-choices.ts';
import { VmopCommand } from '../../lib/cli/command.ts';
import { DRY_RUN_FLAG, TARGET_FLAGS, VMS_ARG, waitFlags } from '../../lib/cli/flags.ts';
import { setSecrets } from '../../lib/tasks/secret.ts';

export default class SecretSet extends VmopCommand {
  static override summary = 'set a display password of your own choice';
  static override description =
    'The password is typed without echo, or read from the first line of standard input; it is never an argument.';
  static override examples = [
    '<%= config.bin %> secret set desktop-1',
    'pass show desktop | <%= config.bin %> secret set desktop-1 --validity 8h',
  ];
  static override args = VMS_ARG;
  static override flags = {
    validity: Flags.string({
      summary: 'how long it is valid, e.g. 8h, or never',
      default: `${DEFAULT_VALIDITY_SECONDS}s`,
    }),
    ...TARGET_FLAGS,
    ...DRY_RUN_FLAG,
    ...waitFlags('10s'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SecretSet);
    await setSecrets(await this.begin(flags), args.vm ?? [], flags);
  }
}
