import { VmopCommand } from '../../lib/cli/command.ts';
import { runSandboxStatus } from '../../lib/tasks/sandbox.ts';

export default class SandboxStatus extends VmopCommand {
  static override summary = 'how the cluster on this machine is';
  static override description =
    'Where its API and its kubeconfig are, how machines are run, and whether an agent will answer in them. ' +
    'Ends with 7 where it was killed or its API does not answer; one that was never started or was stopped is no error.';
  static override examples = ['<%= config.bin %> sandbox status', '<%= config.bin %> sandbox status --json'];

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxStatus);
    const context = await this.begin(flags);
    await runSandboxStatus(context);
  }
}
