import { ACCESS_FLAGS } from '../../lib/cli/access-flags.ts';
import { VmopCommand } from '../../lib/cli/command.ts';
import { generateAccess } from '../../lib/tasks/access.ts';

export default class AccessGenerate extends VmopCommand {
  static override summary = 'print what makes the API server enforce spec.permissions';
  static override description =
    'Roles and RoleBindings for everybody whom VMs and pools name, and admission policies that let each change only ' +
    'what their permissions are for. The order never changes: fit for git. docs/permissions.md says what each ' +
    'permission lets through.';
  static override examples = [
    '<%= config.bin %> access generate > access.yaml',
    '<%= config.bin %> access generate --users alice --no-policies',
    '<%= config.bin %> access generate -o json | kubectl apply --server-side -f -',
  ];
  static override flags = ACCESS_FLAGS;

  async run(): Promise<void> {
    const { flags } = await this.parse(AccessGenerate);
    await generateAccess(await this.begin(flags), flags);
  }
}
