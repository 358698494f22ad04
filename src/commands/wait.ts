import { Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { TARGET_FLAGS, VMS_ARG } from '../lib/cli/flags.ts';
import { runWait } from '../lib/tasks/wait.ts';

export default class Wait extends VmopCommand {
  static override summary = 'wait until virtual machines are in a certain state';
  static override description =
    'Conditions: running, stopped, booted, agent (the agent in the guest has greeted), login=USER, logout, console, ' +
    'no-console, password (the display password is set), jsonpath=PATH=VALUE (of the object, as kubectl wait).';
  static override examples = [
    '<%= config.bin %> wait desktop-1 --for booted',
    '<%= config.bin %> wait desktop-1 --for login=alice --timeout 2m',
    "<%= config.bin %> wait --all --for jsonpath='{.status.cpus}'=2",
  ];
  static override args = VMS_ARG;
  static override flags = {
    for: Flags.string({ summary: 'the condition', required: true }),
    ...TARGET_FLAGS,
    timeout: Flags.string({ summary: 'how long to wait, e.g. 90s or 5m', default: '5m' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Wait);
    await runWait(await this.begin(flags), args.vm ?? [], flags);
  }
}
