import { Args, Flags } from '@oclif/core';
import { VmopCommand } from '../lib/cli/command.ts';
import { DISCONNECT_ACTIONS } from '../lib/console-choices.ts';
import { finishSession } from '../lib/tasks/finish-session.ts';

export default class FinishSession extends VmopCommand {
  static override summary = 'what is left of a console session whose vmop was killed; vmop console starts it';
  static override hidden = true;
  static override args = {
    vm: Args.string({ required: true }),
    session: Args.string({ required: true }),
  };
  static override flags = {
    uid: Flags.string({ required: true }),
    'on-disconnect': Flags.option({ options: DISCONNECT_ACTIONS, required: true })(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(FinishSession);
    const { uid, 'on-disconnect': action } = flags;
    await finishSession(await this.begin(flags), { ...args, uid, action });
  }
}
