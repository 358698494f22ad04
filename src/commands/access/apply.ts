import { Flags } from '@oclif/core';
import { COMPARING_FLAGS } from '../../lib/cli/access-flags.ts';
import { VmopCommand } from '../../lib/cli/command.ts';
import { DRY_RUN_FLAG } from '../../lib/cli/flags.ts';
import { applyAccess } from '../../lib/tasks/access.ts';

export default class AccessApply extends VmopCommand {
  static override summary = 'make the API server enforce spec.permissions';
  static override description =
    'Server-side apply of what access generate prints, with the field manager vmop-access; what vmop made before and ' +
    'is no longer wanted is deleted. Do it again when permissions change, or when pools have assigned other VMs.';
  static override examples = [
    '<%= config.bin %> access apply --dry-run',
    '<%= config.bin %> access apply -A --user-prefix oidc:',
  ];
  static override flags = {
    ...COMPARING_FLAGS,
    ...DRY_RUN_FLAG,
    unlimited: Flags.boolean({
      summary: 'with --no-policies: make Roles also where no admission policies limit what they let through',
      default: false,
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AccessApply);
    await applyAccess(await this.begin(flags), flags);
  }
}
