import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';

export default class SandboxDaemon extends VmopCommand {
  static override summary = 'the sandbox’s own process; vmop sandbox start starts it';
  static override hidden = true;
  static override flags = {
    dir: Flags.string({ summary: 'the sandbox’s folder', required: true }),
    api: Flags.option({ options: ['embedded', 'kube-apiserver'] as const })(),
    driver: Flags.option({ options: ['auto', 'qemu', 'simulated'] as const, default: 'auto' as const })(),
    image: Flags.string({ summary: 'disk image' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxDaemon);
    const context = await this.begin(flags);
    const { runDaemon } = await import('../../lib/sandbox/index.ts');
    const { dir: root, api, driver, image } = flags;
    await runDaemon({ root, api, driver, image, env: context.runtime.env, signal: context.signal });
  }
}
