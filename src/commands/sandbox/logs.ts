import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { runSandboxLogs } from '../../lib/tasks/sandbox.ts';

export default class SandboxLogs extends VmopCommand {
  static override summary = 'the log of the cluster on this machine';
  static override description = 'What its API, operator and machines did. It never holds a password.';
  static override examples = ['<%= config.bin %> sandbox logs', '<%= config.bin %> sandbox logs -f'];
  static override flags = {
    follow: Flags.boolean({ char: 'f', summary: 'go on as it grows', default: false }),
    tail: Flags.integer({ summary: 'how many of the last lines', default: 100, min: 0 }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxLogs);
    await runSandboxLogs(await this.begin(flags), flags.tail, flags.follow);
  }
}
