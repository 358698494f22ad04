import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import {
  printAs,
  SANDBOX_TIMEOUT_MS,
  SANDBOX_VIEW,
  sandboxText,
  vmopEntry,
} from '../../lib/tasks/sandbox.ts';

export default class SandboxStart extends VmopCommand {
  static override summary = 'start a cluster with three virtual machines on this machine';
  static override description =
    'An API server, an operator that behaves as VM-Operator does, and VMs in QEMU, or simulated ones where QEMU is ' +
    'missing. It goes on in the background; without any kubeconfig, vmop uses it. Your own kubeconfig stays as it is.';
  static override examples = [
    '<%= config.bin %> sandbox start',
    '<%= config.bin %> sandbox start --driver simulated',
    '<%= config.bin %> sandbox start --image debian.qcow2',
  ];
  static override flags = {
    driver: Flags.option({
      summary: 'how machines are run; auto: QEMU where it is installed',
      options: ['auto', 'qemu', 'simulated'] as const,
      default: 'auto' as const,
    })(),
    image: Flags.string({ summary: 'disk image that the machines boot; it is never changed' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxStart);
    const context = await this.begin(flags);
    const { startSandbox } = await import('../../lib/sandbox/index.ts');
    const progress = context.terminal.progress();
    try {
      const info = await startSandbox({
        env: context.runtime.env,
        entry: vmopEntry(),
        driver: flags.driver,
        image: flags.image,
        timeoutMs: SANDBOX_TIMEOUT_MS,
        signal: context.signal,
        onProgress: (text) => progress.step(text),
      });
      progress.done(info.alreadyRunning ? 'it was running already' : undefined);
      await printAs(context, info, SANDBOX_VIEW, sandboxText(info));
    } finally {
      progress.done();
    }
  }
}
