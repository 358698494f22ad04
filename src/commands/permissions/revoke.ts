import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { VMS_ARG } from '../../lib/cli/flags.ts';
import { GRANTEE_FLAGS, MAY_FLAG, OWNER_FLAGS } from '../../lib/cli/permission-flags.ts';
import { changePermissions } from '../../lib/tasks/permissions.ts';
import { parseGrantee, parsePermissions } from '../../lib/vm/permission-edit.ts';

export default class PermissionsRevoke extends VmopCommand {
  static override summary = 'take permissions on virtual machines away';
  static override description =
    'Removes from spec.permissions what --may names, or all that the user or role has there. Taking console away takes ' +
    'take away, too, which includes it; of * the others are left. Administrators keep what they may: that is no entry of spec.permissions.';
  static override examples = [
    '<%= config.bin %> permissions revoke desktop-1 --user alice',
    '<%= config.bin %> permissions revoke --all --role staff --may reset',
  ];
  static override args = VMS_ARG;
  static override flags = {
    ...GRANTEE_FLAGS,
    may: Flags.string({
      summary: 'only these permissions, e.g. start,stop; repeatable',
      ...MAY_FLAG,
    }),
    ...OWNER_FLAGS,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PermissionsRevoke);
    const grantee = parseGrantee(flags.user, flags.role);
    const may = parsePermissions(flags.may ?? ['*']);
    await changePermissions(
      await this.begin(flags),
      args.vm ?? [],
      { action: 'revoke', grantee, may },
      flags,
    );
  }
}
