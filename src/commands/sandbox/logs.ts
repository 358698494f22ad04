import { Flags } from '@oclif/core';
import { VmopCommand } from '../../lib/cli/command.ts';
import { sanitize } from '../../lib/text.ts';

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
    const context = await this.begin(flags);
    const { sandboxLogs } = await import('../../lib/sandbox/index.ts');
    const signal = AbortSignal.any([context.signal, context.terminal.outputClosed]);
    for await (const line of sandboxLogs(context.runtime.env, {
      tailLines: flags.tail,
      follow: flags.follow,
      signal,
    })) {
      await context.terminal.out(`${sanitize(line)}\n`);
    }
    context.signal.throwIfAborted();
  }
}
