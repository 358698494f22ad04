import { asArray, asStrings } from '../../../../src/lib/cluster/parse.ts';
import type { JsonObject } from '../../../../src/lib/cluster/types.ts';
import { CONDITIONS } from '../../../../src/lib/vm/types.ts';
import type { MachineEvent } from '../../../../src/lib/sandbox/drivers/driver.ts';
import { OPERATED_VMS } from '../../../../src/lib/sandbox/operator/resources.ts';
import type { RunnerConfig } from '../../../../src/lib/sandbox/operator/runner-config.ts';
import { runnerStatusOf } from '../../../../src/lib/sandbox/operator/runner-status.ts';
import { runnerStep } from '../../../../src/lib/sandbox/operator/runner-state.ts';
import { initialRunnerState } from '../../../../src/lib/sandbox/operator/runner-types.ts';
import type {
  DisplayPassword,
  RunnerEffect,
  RunnerInput,
  RunnerState,
} from '../../../../src/lib/sandbox/operator/runner-types.ts';

const GI = 2 ** 30;
export const CONFIG: RunnerConfig = {
  generation: 4,
  resetCounter: 0,
  hasDisplayPassword: true,
  maximumCpus: 4,
  currentCpus: 2,
  maximumRamBytes: 2 * GI,
  currentRamBytes: GI,
  powerdownTimeoutSeconds: 900,
  spicePort: 5900,
};
const SECRET: DisplayPassword = { password: 'one', expiry: 'now' };

/** A runner under test: each call feeds one input and returns what came of it, a line per effect. */
export class RunnerTrace {
  state: RunnerState;
  config = CONFIG;
  secret: DisplayPassword | undefined = SECRET;
  #conditions = new Map<string, string>();

  constructor(status: JsonObject = {}, { adopt = false } = {}) {
    const conditions = CONDITIONS.map((type) => ({
      type,
      status: 'False',
      reason: 'Creation',
      message: '',
    }));
    const vm = OPERATED_VMS.parse({
      apiVersion: '',
      kind: '',
      metadata: { name: 'vm', namespace: 'n', uid: 'u' },
      spec: { vm: {} },
      status: { conditions, ...status },
    });
    this.state = initialRunnerState(runnerStatusOf(vm, new Date(0)), adopt);
    this.#note(this.state.status.conditions);
  }

  input(input: RunnerInput, now = new Date(0)): string[] {
    const { state, effects } = runnerStep(this.state, input, now);
    this.state = state;
    return effects.flatMap((effect) => this.#describe(effect));
  }

  /** A new configuration, or a new Secret, or both. */
  configure(config: Partial<RunnerConfig> = {}, secret = this.secret): string[] {
    this.config = { ...this.config, generation: this.config.generation + 1, ...config };
    this.secret = secret;
    return this.input({ type: 'configured', config: this.config, secret });
  }

  unconfigure(...keys: 'loggedInUser'[]): string[] {
    const config = { ...this.config };
    for (const key of keys) delete config[key];
    this.config = config;
    return this.configure();
  }

  machine(event: MachineEvent): string[] {
    return this.input({ type: 'machine', event });
  }

  agent(line: string): string[] {
    return this.machine({ type: 'agentLine', line });
  }

  /** As far as Running=True, with the first password set. */
  run(config: Partial<RunnerConfig> = {}): this {
    this.configure(config);
    this.machine({ type: 'created', cpus: this.config.currentCpus, ramBytes: this.config.currentRamBytes });
    this.machine({ type: 'started' });
    this.input({ type: 'timer', timer: 'displayPassword' });
    return this;
  }

  #describe(effect: RunnerEffect): string[] {
    if (effect.type === 'status') return [`status ${this.#describeStatus(effect.patch)}`];
    if (effect.type === 'event') return [`event ${effect.reason}`];
    if (effect.type === 'start' || effect.type === 'adopt') return [effect.type];
    if (effect.type === 'timer') return [`timer ${effect.timer} ${effect.afterMs}`];
    return [Object.values(effect).join(' ')];
  }

  #describeStatus({ conditions, ...fields }: JsonObject): string {
    const changed = this.#note(asArray(conditions));
    const others = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    return [...changed, ...others].join(' ');
  }

  /** The conditions that are new, as `type=status/reason`. */
  #note(conditions: unknown[]): string[] {
    return conditions.flatMap((condition) => {
      const { type = '', status, reason } = asStrings(condition);
      const text = `${status}/${reason}`;
      if (this.#conditions.get(type) === text) return [];
      this.#conditions.set(type, text);
      return [`${type}=${text}`];
    });
  }
}

/** Without the lines for the log. */
export function withoutLog(lines: string[]): string[] {
  return lines.filter((line) => !line.startsWith('log '));
}
