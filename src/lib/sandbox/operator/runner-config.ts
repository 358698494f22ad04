import { parse, stringify } from 'yaml';
import { asBoolean, asInteger, asNumber, asObject, asString, compact } from '../../cluster/parse.ts';
import type { OperatedVm } from './resources.ts';

/** What the manager tells a runner through `config.yaml`. Sizes in bytes. */
export interface RunnerConfig {
  /** The VM's generation that this was made from. */
  generation: number;
  /** The runner resets the machine when this increases. */
  resetCounter: number;
  /** There is a display Secret: the display asks for a password. */
  hasDisplayPassword: boolean;
  maximumCpus: number;
  currentCpus: number;
  maximumRamBytes: number;
  currentRamBytes: number;
  powerdownTimeoutSeconds: number;
  /** undefined: no display. */
  spicePort?: number;
  /** undefined: whoever is logged in shall be logged out. */
  loggedInUser?: string;
}

const DEFAULT_RAM_BYTES = 1e9;
/** VM-Operator's default, with which a machine never starts its CPUs. */
const DEFAULT_CPUS = 1;

export interface ConfigInput {
  vm: OperatedVm;
  /** Who shall be logged in, pools considered. */
  loggedInUser: string | undefined;
  hasDisplayPassword: boolean;
}

export function runnerConfig({ vm, loggedInUser, hasDisplayPassword }: ConfigInput): RunnerConfig {
  const { spec } = vm;
  const maximumRamBytes = spec.maximumRamBytes ?? DEFAULT_RAM_BYTES;
  const currentCpus = spec.currentCpus ?? DEFAULT_CPUS;
  return compact({
    generation: vm.generation,
    // The manager's own value: it never counts up, so that whoever adds one to what stands here resets the machine.
    resetCounter: 0,
    hasDisplayPassword,
    maximumCpus: Math.max(spec.maximumCpus ?? currentCpus, 1),
    currentCpus,
    maximumRamBytes,
    currentRamBytes: spec.currentRamBytes ?? maximumRamBytes,
    powerdownTimeoutSeconds: spec.powerdownTimeoutSeconds,
    spicePort: spec.spice?.port,
    loggedInUser,
  });
}

/** `config.yaml`. Clients edit it: `resetCounter` stands below the quoted key `"/Runner"`. */
export function renderRunnerConfig(config: RunnerConfig): string {
  const { spicePort, loggedInUser } = config;
  const body = stringify(
    compact({
      generation: config.generation,
      resetCounter: config.resetCounter,
      hasDisplayPassword: config.hasDisplayPassword,
      vm: compact({
        maximumCpus: config.maximumCpus,
        currentCpus: config.currentCpus,
        maximumRam: config.maximumRamBytes,
        currentRam: config.currentRamBytes,
        powerdownTimeout: config.powerdownTimeoutSeconds,
        display: compact({
          loggedInUser,
          spice: spicePort === undefined ? undefined : { port: spicePort },
        }),
      }),
    }),
  );
  return `"/Runner":\n${body.replaceAll(/^(?=.)/gm, '  ')}`;
}

/** The reverse; what is missing or broken gets its default. Throws when the text is no YAML at all. */
export function parseRunnerConfig(text: string): RunnerConfig {
  const runner = asObject(asObject(parse(text))['/Runner']);
  const vm = asObject(runner['vm']);
  const display = asObject(vm['display']);
  const maximumRamBytes = asNumber(vm['maximumRam']) ?? DEFAULT_RAM_BYTES;
  const currentCpus = asInteger(vm['currentCpus']) ?? DEFAULT_CPUS;
  return compact({
    generation: asInteger(runner['generation']) ?? 0,
    resetCounter: asInteger(runner['resetCounter']) ?? 0,
    hasDisplayPassword: asBoolean(runner['hasDisplayPassword']) ?? false,
    maximumCpus: asInteger(vm['maximumCpus']) ?? currentCpus,
    currentCpus,
    maximumRamBytes,
    currentRamBytes: asNumber(vm['currentRam']) ?? maximumRamBytes,
    powerdownTimeoutSeconds: asNumber(vm['powerdownTimeout']) ?? 900,
    spicePort: asInteger(asObject(display['spice'])['port']),
    loggedInUser: asString(display['loggedInUser']),
  });
}
