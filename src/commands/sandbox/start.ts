import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { runSandboxStart } from '../../lib/tasks/sandbox.ts';

export default class SandboxStart extends VmopCommand {
  static override summary = 'start a cluster with three virtual machines on this machine';
  static override description =
    'An API server, an operator that behaves as VM-Operator does, and VMs in QEMU, or simulated ones where QEMU is ' +
    'missing. It goes on in the background; without any kubeconfig, vmop uses it. Your own kubeconfig stays as it is.';
  static override examples = [
    '<%= config.bin %> sandbox start',
    '<%= config.bin %> sandbox start --driver simulated',
    '<%= config.bin %> sandbox start --api kube-apiserver',
    '<%= config.bin %> sandbox start --image debian.qcow2',
  ];
  static override flags = {
    api: Flags.option({
      summary:
        'the sandbox’s own API server, or the real one; default: that of the last time, embedded at first',
      options: ['embedded', 'kube-apiserver'] as const,
    })(),
    driver: Flags.option({
      summary: 'how machines are run; auto: QEMU where it is installed',
      options: ['auto', 'qemu', 'simulated'] as const,
      default: 'auto' as const,
    })(),
    image: Flags.string({ summary: 'disk image that the machines boot; it is never changed' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(SandboxStart);
    const { api, driver, image } = flags;
    await runSandboxStart(await this.begin(flags), { api, driver, image });
  }
}
