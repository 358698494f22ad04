import { setTimeout as delay } from 'node:timers/promises';
import { asArray, asBoolean, asInteger, asObject, asString } from '../../../cluster/parse.ts';
import { messageOf, VmopError } from '../../../errors.ts';
import { parseAgentLine } from '../../../guest/agent-line.ts';
import type { Machine, MachineEvent, MachineSpec } from '../driver.ts';
import { AgentPort, osinfoOfAgentLine } from './agent-port.ts';
import { AGENT_PORT, GUEST_AGENT_PORT } from './arguments.ts';
import { ConsoleWatch, exitOf, mainChannel, portChange } from './events.ts';
import { readLog, removeSockets, type MachineFiles } from './files.ts';
import { askOsinfo } from './guest-agent.ts';
import { setDisplayPassword } from './password.ts';
import { endQemu, hasEnded, type QemuProcess } from './process.ts';
import { QmpClient, type QmpEvent } from './qmp.ts';
import { askForRam, cpuCount, isCpuRemoved, ramBytes, setCpus, setRam } from './size.ts';
import { lastWords } from './start-error.ts';

export interface QemuMachineParts {
  spec: MachineSpec;
  files: MachineFiles;
  process: QemuProcess;
  /** How long QEMU may take to answer. */
  answerMs: number;
  onEvent: (event: MachineEvent) => void;
}

const QUIT_MS = 3000;
/** Until a guest under load has noticed that its port has no host: its agent looks five times a second. */
const UNHOSTED_MS = 1500;
const OSINFO_TRIES = 10;
const OSINFO_TIMEOUT_MS = 5000;

/** A QEMU under control of this process. */
export class QemuMachine implements Machine {
  readonly #parts: QemuMachineParts;
  readonly #consoles = new ConsoleWatch();
  readonly #exited = Promise.withResolvers<void>();
  readonly #end = new AbortController();
  #qmp: QmpClient | undefined;
  #agent: AgentPort | undefined;
  #size = { cpus: 0, ramBytes: 0 };
  #resizing: Promise<unknown> = Promise.resolve();
  #osinfo: Record<string, string> | undefined;
  #asksGuestAgent = false;
  #powerDownAsked = false;
  #killed = false;
  #shutdownReason: string | undefined;

  private constructor(parts: QemuMachineParts) {
    this.#parts = parts;
  }

  /** Takes control of a running QEMU through its sockets. */
  static async connect(parts: QemuMachineParts): Promise<QemuMachine> {
    const machine = new QemuMachine(parts);
    machine.#qmp = await QmpClient.connect(parts.files.qmp, {
      timeoutMs: parts.answerMs,
      onEvent: (event) => machine.#qmpEvent(event),
      onClose: () => void machine.#gone(),
    });
    return machine;
  }

  /** Lets the machine that was created paused become what its spec says, and run. */
  async begin(): Promise<void> {
    const { spec } = this.#parts;
    await this.#created();
    if (spec.currentCpus > this.#size.cpus) {
      const cpus = await setCpus(this.#control, Math.min(spec.currentCpus, spec.maximumCpus));
      this.#resized({ cpus });
    }
    if (spec.currentRamBytes < spec.maximumRamBytes) await askForRam(this.#control, spec.currentRamBytes);
    await this.#connectAgent();
    await this.#control.execute('cont');
    this.#emit({ type: 'started' });
  }

  /**
   * Finds out where a machine stands that an earlier process has begun. `booted` follows when the guest says so again:
   * our agent notices the new host and describes its system, without greeting; QEMU's guest agent is asked. Another
   * agent says nothing until it is spoken to.
   */
  async resume(): Promise<void> {
    const status = asString(asObject(await this.#control.execute('query-status'))['status']);
    // The earlier process ended before it let the machine run.
    if (status === 'prelaunch') return await this.begin();
    await this.#created();
    this.#emit({ type: 'started' });
    if (this.#parts.spec.spicePort !== undefined) {
      for (const channel of asArray(asObject(await this.#control.execute('query-spice'))['channels'])) {
        const main = mainChannel(channel);
        if (main && this.#consoles.add(main)) this.#emit({ type: 'consoleConnected', ...main });
      }
    }
    // Only now: the guest's lines come after `started`. The guest describes itself anew only when it has seen its port
    // without a host, so a host that comes right after the last one keeps away for a moment.
    await delay(UNHOSTED_MS);
    await this.#connectAgent();
    for (const port of asArray(await this.#control.execute('query-chardev')).map(asObject)) {
      if (asBoolean(port['frontend-open']) === true) this.#portOpened(asString(port['label']));
    }
  }

  async setDisplayPassword(password: string | undefined, expiry: string | undefined): Promise<void> {
    const { name, spicePort, passwordProtected } = this.#parts.spec;
    if (spicePort === undefined || !passwordProtected) {
      throw new VmopError('state', `the display of ${name} has no password`);
    }
    await setDisplayPassword(this.#control, password, expiry);
  }

  sendToAgent(line: string): void {
    this.#agent?.send(line);
  }

  async reset(): Promise<void> {
    await this.#control.execute('system_reset');
  }

  async powerDown(): Promise<void> {
    this.#powerDownAsked = true;
    await this.#control.execute('system_powerdown');
  }

  async kill(): Promise<void> {
    this.#killed = true;
    // An answer may not come any more.
    await this.#qmp?.execute('quit', undefined, QUIT_MS).catch(() => undefined);
    if (!(await hasEnded(this.#parts.process, QUIT_MS))) await endQemu(this.#parts.process);
    await this.#exited.promise;
  }

  async resize(cpus: number, bytes: number): Promise<{ cpus: number; ramBytes: number }> {
    const { maximumCpus, maximumRamBytes } = this.#parts.spec;
    const work = this.#resizing.then(async () => {
      this.#resized({ cpus: await setCpus(this.#control, Math.min(cpus, maximumCpus)) });
      this.#resized({ ramBytes: await setRam(this.#control, bytes, maximumRamBytes) });
      const { cpus: got, ramBytes: gotBytes } = this.#size;
      const line = `asked for ${cpus} CPUs and ${bytes} bytes of memory, has ${got} and ${gotBytes}`;
      if (got !== cpus || gotBytes !== bytes) this.#emit({ type: 'log', line });
      return this.#size;
    });
    this.#resizing = work.catch(() => undefined);
    return await work;
  }

  detach(): void {
    this.#end.abort();
    this.#qmp?.close();
    this.#agent?.close();
  }

  get #control(): QmpClient {
    if (this.#qmp === undefined) throw new Error('the machine is not connected');
    return this.#qmp;
  }

  async #connectAgent(): Promise<void> {
    this.#agent = await AgentPort.connect(this.#parts.files.agent, (line) => this.#agentLine(line));
  }

  #emit(event: MachineEvent): void {
    if (!this.#end.signal.aborted) this.#parts.onEvent(event);
  }

  async #created(): Promise<void> {
    const { maximumRamBytes } = this.#parts.spec;
    this.#size = {
      cpus: await cpuCount(this.#control),
      ramBytes: await ramBytes(this.#control, maximumRamBytes),
    };
    this.#emit({ type: 'created', ...this.#size });
  }

  #resized(change: { cpus?: number | undefined; ramBytes?: number | undefined }): void {
    const { cpus, ramBytes } = this.#size;
    const size = { cpus: change.cpus ?? cpus, ramBytes: change.ramBytes ?? ramBytes };
    if (size.cpus === cpus && size.ramBytes === ramBytes) return;
    this.#size = size;
    this.#emit({ type: 'resized', ...size });
  }

  async #recount(): Promise<void> {
    const cpus = await cpuCount(this.#control).catch(() => undefined);
    this.#resized({ cpus });
  }

  #booted(osinfo?: Record<string, string>): void {
    this.#osinfo = osinfo ?? this.#osinfo;
    this.#emit({ type: 'booted', ...(this.#osinfo === undefined ? {} : { osinfo: this.#osinfo }) });
    // A guest that was not up yet has not seen the power button.
    if (this.#powerDownAsked) this.#control.execute('system_powerdown').catch(() => undefined);
  }

  #agentLine(line: string): void {
    const osinfo = osinfoOfAgentLine(line);
    if (osinfo !== undefined) this.#booted(osinfo);
    else if (parseAgentLine(line).kind === 'ready' && this.#osinfo === undefined) this.#booted();
    this.#emit({ type: 'agentLine', line });
  }

  #qmpEvent(event: QmpEvent): void {
    const console = this.#consoles.take(event);
    if (console !== undefined) {
      const { connected, ...client } = console;
      this.#emit({ type: connected ? 'consoleConnected' : 'consoleDisconnected', ...client });
    }
    const port = portChange(event);
    if (port?.open === true) this.#portOpened(port.id);
    else if (port?.id === AGENT_PORT && this.#agent?.setGuestListens(false) === true) {
      this.#emit({ type: 'agentGone' });
    } else if (port?.id === GUEST_AGENT_PORT) this.#asksGuestAgent = false;
    if (event.name === 'SHUTDOWN') this.#shutdownReason = asString(event.data['reason']);
    else if (event.name === 'POWERDOWN') this.#powerDownAsked = true;
    else if (event.name === 'RESET') this.#emit({ type: 'log', line: 'the machine was reset' });
    else if (event.name === 'BALLOON_CHANGE') this.#resized({ ramBytes: asInteger(event.data['actual']) });
    else if (isCpuRemoved(event)) void this.#recount();
  }

  #portOpened(id: string | undefined): void {
    if (id === AGENT_PORT) this.#agent?.setGuestListens(true);
    else if (id === GUEST_AGENT_PORT && !this.#asksGuestAgent) {
      this.#asksGuestAgent = true;
      void this.#askGuestAgent();
    }
  }

  /** QEMU's guest agent answers late while the guest is busy booting. */
  async #askGuestAgent(): Promise<void> {
    const { signal } = this.#end;
    for (let tries = 0; tries < OSINFO_TRIES && this.#asksGuestAgent && !signal.aborted; tries += 1) {
      try {
        this.#booted(await askOsinfo(this.#parts.files.guestAgent, OSINFO_TIMEOUT_MS));
        return;
      } catch (error) {
        this.#emit({ type: 'log', line: `guest agent: ${messageOf(error)}` });
        await delay(1000, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** The control socket has closed: QEMU ends, or has lost us, and is ended then. */
  async #gone(): Promise<void> {
    const { process, files } = this.#parts;
    if (!(await hasEnded(process, QUIT_MS))) await endQemu(process);
    const log = await readLog(files);
    await removeSockets(files);
    this.#emit({
      type: 'exited',
      ...exitOf({
        reason: this.#shutdownReason,
        asked: this.#killed || this.#powerDownAsked,
        signal: process.endedBy(),
        lastWords: lastWords(log),
      }),
    });
    this.detach();
    this.#exited.resolve();
  }
}
