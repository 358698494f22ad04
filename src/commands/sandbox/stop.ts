import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { printAs, SANDBOX_TIMEOUT_MS, STOPPED_VIEW } from '../../lib/tasks/sandbox.ts';

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
    const context = await this.begin(flags);
    const { stopSandbox } = await import('../../lib/sandbox/index.ts');
    const progress = context.terminal.progress();
    progress.step('ending the machines');
    try {
      const stopped = await stopSandbox({
        env: context.runtime.env,
        purge: flags.purge,
        timeoutMs: SANDBOX_TIMEOUT_MS,
        signal: context.signal,
      });
      progress.done();
      const text = stopped.wasRunning ? 'the sandbox has ended' : 'no sandbox was running';
      await printAs(
        context,
        stopped,
        STOPPED_VIEW,
        `${text}${stopped.purged ? ', and its state is gone' : ''}\n`,
      );
    } finally {
      progress.done();
    }
  }
}
