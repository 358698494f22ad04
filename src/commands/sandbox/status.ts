import { VmopCommand } from '../../lib/cli/command.ts';
import { SANDBOX_VIEW } from '../../lib/tasks/sandbox.ts';

export default class SandboxStatus extends VmopCommand {
  static override summary = 'how the cluster on this machine is';
  static override description =
    'Where its API and its kubeconfig are, how machines are run, and whether an agent will answer in them.';
  static override examples = ['<%= config.bin %> sandbox status', '<%= config.bin %> sandbox status --json'];

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxStatus);
    const context = await this.begin(flags);
    const { sandboxStatus } = await import('../../lib/sandbox/index.ts');
    await context.print(await sandboxStatus(context.runtime.env), SANDBOX_VIEW);
  }
}
