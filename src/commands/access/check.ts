import { COMPARING_FLAGS } from '../../lib/cli/access-flags.ts';
import { VmopCommand } from '../../lib/cli/command.ts';
import { checkAccess } from '../../lib/tasks/access.ts';

export default class AccessCheck extends VmopCommand {
  static override summary = 'compare what the API server enforces with spec.permissions';
  static override description =
    'Shows what access apply would change, object by object and field by field. Exit code 5 when there is anything.';
  static override examples = ['<%= config.bin %> access check', '<%= config.bin %> access check -A -o json'];
  static override flags = COMPARING_FLAGS;

  async run(): Promise<void> {
    const { flags } = await this.parse(AccessCheck);
    await checkAccess(await this.begin(flags), flags);
  }
}
