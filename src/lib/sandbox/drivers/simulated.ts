import { randomInt } from 'node:crypto';
import { parseAgentLine } from '../../guest/agent-line.ts';
import type { Driver, ExitCause, Machine, MachineEvent, MachineSpec } from './driver.ts';

/**
 * Machines that only pretend: state changes after a time, and an agent that follows a script. There is no guest, no
 * SPICE port and no screen. Annotations of the VM are the script:
 *
 * - `sandbox.vmop/boot-ms`: milliseconds until the guest has booted, or `never`. Default: the driver's.
 * - `sandbox.vmop/fail-starts`: how many starts in a row fail before one succeeds. Default 0.
 * - `sandbox.vmop/agent`: `normal` greets and answers (root is refused with 504); `absent`: there is none; `silent`
 *   greets and never answers; `slow:<ms>` answers after that time; `fail:<line>` greets and answers every login with
 *   the line, such as `fail:451 no such user`. Default `normal`.
 * - `sandbox.vmop/powerdown`: `obey`, `ignore`, or the milliseconds that the guest takes. Default `obey`.
 * - `sandbox.vmop/password`: `refuse` has the machine refuse each new display password. Default `accept`.
 */
const PREFIX = 'sandbox.vmop/';

export interface SimulatedDriverOptions {
  /** Until a guest has booted, where its VM does not say. */
  bootMs?: number;
}

const BOOT_MS = 5;
const POWERDOWN_MS = 2;
const OS_INFO = { id: 'simulated', name: 'Simulated', 'pretty-name': 'Simulated guest', version: '1' };

export class SimulatedDriver implements Driver {
  readonly name = 'simulated';
  readonly #bootMs: number;
  /** By namespace and name. */
  readonly #machines = new Map<string, SimulatedMachine>();
  /** Failed starts by the VM's uid. */
  readonly #failures = new Map<string, number>();

  constructor({ bootMs = BOOT_MS }: SimulatedDriverOptions = {}) {
    this.#bootMs = bootMs;
  }

  async start(spec: MachineSpec, onEvent: (event: MachineEvent) => void): Promise<SimulatedMachine> {
    const failed = this.#failures.get(spec.uid) ?? 0;
    if (failed < Number(spec.annotations[`${PREFIX}fail-starts`] ?? 0)) {
      this.#failures.set(spec.uid, failed + 1);
      throw new Error('the simulated machine was told to fail');
    }
    this.#failures.delete(spec.uid);
    const key = keyOf(spec.namespace, spec.name);
    const machine = new SimulatedMachine(spec, {
      bootMs: this.#bootMs,
      onEvent: (event) => {
        if (event.type === 'exited' && this.#machines.get(key) === machine) this.#machines.delete(key);
        onEvent(event);
      },
    });
    this.#machines.set(key, machine);
    machine.begin();
    return machine;
  }

  /** Simulated machines live and die with the sandbox's process. */
  async adopt(): Promise<undefined> {}

  async reap(): Promise<void> {}

  /** The machine of a VM, to play the guest and whoever sits at the console; undefined when it does not run. */
  machine(name: string, namespace = 'default'): SimulatedMachine | undefined {
    return this.#machines.get(keyOf(namespace, name));
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

interface MachineSetting {
  bootMs: number;
  onEvent: (event: MachineEvent) => void;
}

export class SimulatedMachine implements Machine {
  /** What the display asks for. */
  readonly display: { password: string | undefined; expiry: string | undefined } = {
    password: undefined,
    expiry: undefined,
  };
  /** Every line that the host sent to the agent, oldest first. */
  readonly agentInput: string[] = [];
  /** How often it was reset. */
  resets = 0;
  readonly #spec: MachineSpec;
  readonly #setting: MachineSetting;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #consoles = new Map<number, string>();
  #agentIsUp = false;
  #over = false;

  constructor(spec: MachineSpec, setting: MachineSetting) {
    this.#spec = spec;
    this.#setting = setting;
  }

  /** Called by the driver, once. */
  begin(): void {
    const { currentCpus, currentRamBytes } = this.#spec;
    this.#emit({ type: 'created', cpus: currentCpus, ramBytes: currentRamBytes });
    this.#later(0, () => {
      this.#emit({ type: 'started' });
      this.#boot();
    });
  }

  async setDisplayPassword(password: string | undefined, expiry: string | undefined): Promise<void> {
    if (password !== undefined && this.#script('password') === 'refuse') {
      throw new Error('the simulated machine was told to refuse passwords');
    }
    if (expiry !== undefined && !/^(now|never|\+?\d+)$/.test(expiry)) {
      throw new Error('the expiry is none of now, never, +seconds and epoch seconds');
    }
    if (password !== undefined) this.display.password = password;
    if (expiry !== undefined) this.display.expiry = expiry;
  }

  sendToAgent(line: string): void {
    this.agentInput.push(line);
    if (this.#agentIsUp) this.#answer(line);
  }

  async reset(): Promise<void> {
    this.resets += 1;
    this.#agentIsUp = false;
    this.#clearTimers();
    this.#emit({ type: 'agentGone' });
    this.#boot();
  }

  async powerDown(): Promise<void> {
    const script = this.#script('powerdown') ?? 'obey';
    if (script === 'ignore') return;
    this.#later(script === 'obey' ? POWERDOWN_MS : Number(script), () => this.#exit('host', 'powered down'));
  }

  async kill(): Promise<void> {
    this.#exit('host', 'ended');
  }

  async resize(cpus: number, ramBytes: number): Promise<{ cpus: number; ramBytes: number }> {
    return {
      cpus: Math.min(cpus, this.#spec.maximumCpus),
      ramBytes: Math.min(ramBytes, this.#spec.maximumRamBytes),
    };
  }

  detach(): void {
    this.#over = true;
    this.#clearTimers();
  }

  /** Somebody connects to the console, as after a right password; returns the client's port. */
  connectConsole(client = '127.0.0.1'): number {
    const port = randomInt(32_768, 61_000);
    // SPICE has one main channel: whoever comes later throws out who was there.
    for (const known of this.#consoles.keys()) this.disconnectConsole(known);
    this.#consoles.set(port, client);
    this.#emit({ type: 'consoleConnected', client, port });
    return port;
  }

  disconnectConsole(port: number): void {
    const client = this.#consoles.get(port);
    if (client === undefined) return;
    this.#consoles.delete(port);
    this.#emit({ type: 'consoleDisconnected', client, port });
  }

  /** The guest's user shuts it down. */
  powerOff(): void {
    this.#exit('guest', 'the guest powered off');
  }

  /** The machine's process dies. */
  crash(): void {
    this.#exit('failed', 'the machine died');
  }

  /** The guest's agent writes a line of its own accord. */
  agentSays(line: string): void {
    this.#emit({ type: 'agentLine', line });
  }

  #boot(): void {
    const script = this.#script('boot-ms');
    if (script === 'never') return;
    this.#later(script === undefined ? this.#setting.bootMs : Number(script), () => {
      this.#emit({ type: 'booted', osinfo: OS_INFO });
      if (this.#script('agent') === 'absent') return;
      this.#agentIsUp = true;
      this.agentSays('220 simulated agent');
    });
  }

  #answer(line: string): void {
    const [mode, argument] = splitOnce(this.#script('agent') ?? 'normal');
    if (mode === 'silent') return;
    const [command, user] = splitOnce(line, ' ');
    let answer = `500 unknown command ${command}`;
    if (command === 'logout') answer = '202 User logged out';
    if (command === 'login') answer = user === 'root' ? '504 root is refused' : '201 User logged in';
    if (command === 'login' && mode === 'fail' && parseAgentLine(argument).code !== undefined)
      answer = argument;
    this.#later(mode === 'slow' ? Number(argument) : 1, () => this.agentSays(answer));
  }

  #script(name: string): string | undefined {
    return this.#spec.annotations[PREFIX + name];
  }

  #later(milliseconds: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, milliseconds);
    this.#timers.add(timer);
  }

  #exit(cause: ExitCause, message: string): void {
    if (this.#over) return;
    this.#emit({ type: 'exited', cause, message });
    this.detach();
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #emit(event: MachineEvent): void {
    if (!this.#over) this.#setting.onEvent(event);
  }
}

/** What is before and after the first separator. */
function splitOnce(text: string, separator = ':'): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
