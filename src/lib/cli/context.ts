import path from 'node:path';
import {
  credentialsFingerprint,
  loadKubeconfig,
  openCluster,
  type Cluster,
  type Kubeconfig,
  type ObjectRef,
} from '../cluster/index.ts';
import { VmopError } from '../errors.ts';
import type { Runtime } from '../io/runtime.ts';
import type { Terminal } from '../io/terminal.ts';
import { parseDuration } from '../output/duration.ts';
import type { OutputFormat } from '../output/format.ts';
import { render, type TextView, type View } from '../output/render.ts';
import type { Subject } from '../vm/permissions.ts';
import { argumentFrom, homeNamespace } from '../vm/write.ts';
import { askStanding, rememberedStanding, subjectOf, type Standing } from './identity.ts';
import { loadSettings, type Settings } from './settings.ts';

export interface GlobalOptions {
  namespace?: string | undefined;
  context?: string | undefined;
  kubeconfig?: string | undefined;
  server?: string | undefined;
  as?: string | undefined;
  'as-group'?: string[] | undefined;
  'user-name'?: string | undefined;
  'request-timeout': string;
}

export interface ContextParts {
  runtime: Runtime;
  terminal: Terminal;
  options: GlobalOptions;
  format: OutputFormat;
  version: string;
  /** Kubeconfig of a sandbox on this machine, used when nothing else is configured. */
  sandboxKubeconfig: (env: Runtime['env']) => string | undefined;
}

const AFTERWARDS_MS = 5000;

/** The collaborators of one command, each built when it is first asked for. */
export class Context {
  readonly runtime: Runtime;
  readonly terminal: Terminal;
  readonly format: OutputFormat;
  readonly #parts: ContextParts;
  #kubeconfig: Kubeconfig | undefined;
  #cluster: Cluster | undefined;
  #afterwards: Cluster | undefined;
  #settings: Promise<Settings> | undefined;
  readonly #standings = new Map<string | undefined, Promise<Standing>>();

  constructor(parts: ContextParts) {
    this.#parts = parts;
    this.runtime = parts.runtime;
    this.terminal = parts.terminal;
    this.format = parts.format;
  }

  /** Aborted by SIGINT and SIGTERM. */
  get signal(): AbortSignal {
    return this.runtime.signal;
  }

  get cluster(): Cluster {
    this.#cluster ??= this.#openCluster({ signal: this.signal });
    return this.#cluster;
  }

  /** For what has to be undone even after the signal, which ends every call of `cluster`; each call has 5 s. */
  get afterwards(): Cluster {
    this.#afterwards ??= this.#openCluster({ timeoutMs: AFTERWARDS_MS });
    return this.#afterwards;
  }

  #openCluster(limits: { signal?: AbortSignal; timeoutMs?: number }): Cluster {
    const { options, version } = this.#parts;
    if (options.as === '') throw new VmopError('usage', '--as needs the name of a user');
    if (options.as === undefined && options['as-group'] !== undefined) {
      throw new VmopError(
        'usage',
        '--as-group needs --as: groups are only impersonated together with a user',
      );
    }
    const impersonate = { user: options.as, groups: options['as-group'] };
    return openCluster(this.#loadKubeconfig(), {
      userAgent: `vmop/${version}`,
      timeoutMs: parseRequestTimeout(options['request-timeout']),
      impersonate,
      home: this.home,
      plugin: {
        streams: this.runtime,
        lend: (use) => this.terminal.lend(use),
        say: (text) => this.terminal.info(text),
      },
      warn: (text) => this.terminal.warn(text),
      ...limits,
    });
  }

  /** `-n`, else the kubeconfig's context. */
  get namespace(): string {
    return this.#parts.options.namespace ?? this.#loadKubeconfig().info.namespace;
  }

  /** Where another command of the kubeconfig's context looks for a bare name; '' where its environment decides. */
  get home(): string {
    return homeNamespace(this.#loadKubeconfig().info.namespace, this.runtime.env['VMOP_NAMESPACE']);
  }

  /** What `-o name` prints of a VM or a pool: another command of the context takes it for the same. */
  readonly nameOf = (ref: ObjectRef): string => argumentFrom(this.home, ref);

  get settings(): Promise<Settings> {
    this.#settings ??= loadSettings(this.runtime, this.#loadKubeconfig().info.name);
    return this.#settings;
  }

  /** Who I am in `spec.permissions`; `namespace` undefined: across all namespaces. */
  async subject(namespace: string | undefined): Promise<Subject> {
    const [standing, settings] = await Promise.all([this.#rememberedStanding(namespace), this.settings]);
    return subjectOf(standing, settings, this.#parts.options['user-name']);
  }

  /** The name by which the API server knows me, whatever vmop was told. */
  async username(namespace: string | undefined): Promise<string> {
    return (await this.#rememberedStanding(namespace)).username;
  }

  /** As `subject`, asked anew: for what goes on for hours. */
  async subjectNow(namespace: string | undefined): Promise<Subject> {
    const [standing, settings] = await Promise.all([this.standing(namespace), this.settings]);
    return subjectOf(standing, settings, this.#parts.options['user-name']);
  }

  /** What the API server says of me now, nothing remembered. */
  async standing(namespace: string | undefined): Promise<Standing> {
    return askStanding(this.cluster, namespace);
  }

  /** Prints a command's result in the format that was asked for. */
  async print<Row>(data: Row | readonly Row[], view: View<Row> | TextView<Row>): Promise<void> {
    const text = await render(this.format, data, view, this.terminal);
    if (text !== '') await this.terminal.out(text);
  }

  close(): void {
    this.#cluster?.close();
    this.#afterwards?.close();
    this.terminal.close();
  }

  #loadKubeconfig(): Kubeconfig {
    if (this.#kubeconfig) return this.#kubeconfig;
    const { options, runtime, sandboxKubeconfig, terminal } = this.#parts;
    this.#kubeconfig = loadKubeconfig({
      env: runtime.env,
      file: options.kubeconfig,
      context: options.context,
      server: options.server,
      fallback: () => sandboxKubeconfig(runtime.env),
    });
    if (this.#kubeconfig.fallback) terminal.note('no kubeconfig: using the sandbox on this machine');
    return this.#kubeconfig;
  }

  /** Flags that lead another vmop of the same environment to the same cluster as the same user. */
  sameCluster(): string[] {
    const { options } = this.#parts;
    const { config, info, fallback, origin } = this.#loadKubeconfig();
    const file = fallback ? origin : options.kubeconfig;
    const known = config.getContexts().some(({ name }) => name === info.name);
    const flag = (name: string, value: string | undefined): string[] =>
      value === undefined ? [] : [`--${name}=${value}`];
    return [
      ...flag('kubeconfig', file && path.resolve(file)),
      ...flag('context', known ? info.name : undefined),
      ...flag('server', options.server),
      ...flag('as', options.as),
      ...(options['as-group'] ?? []).flatMap((group) => flag('as-group', group)),
    ];
  }

  #rememberedStanding(namespace: string | undefined): Promise<Standing> {
    const known = this.#standings.get(namespace) ?? this.#recallStanding(namespace);
    this.#standings.set(namespace, known);
    return known;
  }

  /** Of whoever the kubeconfig, its files and the flags make me. */
  async #recallStanding(namespace: string | undefined): Promise<Standing> {
    const { as = null, 'as-group': groups = [] } = this.#parts.options;
    const user = await credentialsFingerprint(this.#loadKubeconfig());
    return rememberedStanding(this.runtime, this.cluster, JSON.stringify([user, as, groups]), namespace);
  }
}

/** The longest time that Node's timers know, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** Milliseconds; 0 is no limit, as in kubectl. */
function parseRequestTimeout(text: string): number {
  return Math.min(parseDuration(text) || LONGEST_MS, LONGEST_MS);
}
