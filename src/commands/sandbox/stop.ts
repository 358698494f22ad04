import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { runSandboxStop } from '../../lib/tasks/sandbox.ts';

export default class SandboxStop extends VmopCommand {
  static override summary = 'end the cluster on this machine and its virtual machines';
  static override description =
    'Leaves no process and no socket, also after the sandbox was killed. Its VMs are kept for the next start.';
  static override examples = ['<%= config.bin %> sandbox stop', '<%= config.bin %> sandbox stop --purge'];
  static override flags = {
    purge: Flags.boolean({ summary: 'forget the VMs and everything else, too', default: false }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxStop);
    await runSandboxStop(await this.begin(flags), flags.purge);
  }
}
