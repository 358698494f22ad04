import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { VMS_ARG } from '../../lib/cli/flags.ts';
import { GRANTEE_FLAGS, MAY_FLAG, OWNER_FLAGS } from '../../lib/cli/permission-flags.ts';
import { changePermissions } from '../../lib/tasks/permissions.ts';
import { parseGrantee, parsePermissions } from '../../lib/vm/permission-edit.ts';

export default class PermissionsGrant extends VmopCommand {
  static override summary = 'give users or roles permissions on virtual machines';
  static override description =
    'Adds to spec.permissions: start, stop, reset, console (accessConsole), take (takeConsole, which includes console), or * for all. ' +
    'For administrators of the namespace. Somebody who changes it at the same time is not overwritten.';
  static override examples = [
    '<%= config.bin %> permissions grant desktop-1 --user alice --may start,stop,console',
    "<%= config.bin %> permissions grant --all --role staff --may '*'",
    '<%= config.bin %> permissions grant --pool desktops --role staff --may start',
  ];
  static override args = VMS_ARG;
  static override flags = {
    ...GRANTEE_FLAGS,
    may: Flags.string({
      summary: 'the permissions, e.g. start,stop; repeatable',
      required: true,
      ...MAY_FLAG,
    }),
    ...OWNER_FLAGS,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PermissionsGrant);
    const grantee = parseGrantee(flags.user, flags.role);
    const may = parsePermissions(flags.may);
    await changePermissions(await this.begin(flags), args.vm ?? [], { action: 'grant', grantee, may }, flags);
  }
}
