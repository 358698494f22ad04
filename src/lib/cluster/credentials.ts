import { readFile } from 'node:fs/promises';
import type https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { messageOf, VmopError } from '../errors.ts';
import { asObject, asString } from './parse.ts';

export interface CredentialsSource {
  config: KubeConfig;
  server: string;
  clusterName: string;
  /** The path of the user's `tokenFile`. */
  tokenFile?: (() => Promise<string | undefined>) | undefined;
}

/** How long credentials from files and plug-ins are used before they are asked for again. */
const LIFETIME_MS = 30_000;

/** The credentials of a kubeconfig's user, asked for when they are needed: once, however many requests wait for them. */
export class Credentials {
  readonly #source: CredentialsSource;
  #config: KubeConfig;
  #asked: { answer: Promise<https.RequestOptions>; at: number } | undefined;

  constructor(source: CredentialsSource) {
    this.#source = source;
    this.#config = source.config;
  }

  /** Error: `unreachable` when they cannot be had. */
  async get(): Promise<https.RequestOptions> {
    if (this.#asked === undefined || Date.now() - this.#asked.at > LIFETIME_MS) {
      // While a plug-in waits for somebody it is not asked a second time.
      const asked = { answer: this.#ask(), at: Infinity };
      this.#asked = asked;
      asked.answer.then(
        () => (asked.at = Date.now()),
        // What failed is asked for again.
        () => {
          if (this.#asked === asked) this.#asked = undefined;
        },
      );
    }
    return this.#asked.answer;
  }

  /** The server does not take these any more: the next `get` asks anew. Does nothing when that has happened already. */
  async refused(options: https.RequestOptions): Promise<void> {
    const { answer } = this.#asked ?? {};
    if (answer === undefined || (await answer.catch(() => undefined)) !== options) return;
    if (this.#asked?.answer !== answer) return;
    this.#asked = undefined;
    // client-node remembers what plug-ins and files said for as long as the object lives.
    this.#config = new KubeConfig();
    this.#config.loadFromOptions(this.#source.config);
  }

  async #ask(): Promise<https.RequestOptions> {
    const options: https.RequestOptions = {};
    // Nothing secret is sent in the clear.
    if (!this.#source.server.startsWith('https:')) return options;
    try {
      await this.#config.applyToHTTPSOptions(options);
      const headers = new Map(Object.entries(asObject(options.headers)));
      const tokenFile = await this.#source.tokenFile?.();
      if (tokenFile !== undefined)
        headers.set('Authorization', `Bearer ${await readFile(tokenFile, 'utf8')}`);
      options.headers = Object.fromEntries([...headers].map(([name, value]) => [name, String(value).trim()]));
    } catch (error) {
      throw this.#explain(error);
    }
    return options;
  }

  #explain(error: unknown): VmopError {
    const exec = asObject(this.#config.getCurrentUser()?.exec);
    const plugin = asString(exec['command']);
    const why = plugin === undefined ? messageOf(error) : pluginProblem(plugin, error);
    const message = `no credentials for cluster "${this.#source.clusterName}": ${why}`;
    const hint =
      asString(exec['installHint']) ?? 'check the user of this context in your kubeconfig, or log in again';
    return new VmopError('unreachable', message, { hint, cause: error });
  }
}

function pluginProblem(plugin: string, error: unknown): string {
  if (error instanceof SyntaxError || error instanceof TypeError) return `${plugin} printed no credentials`;
  if (error instanceof Error && 'syscall' in error) return `${plugin} cannot be started: ${error.message}`;
  return `${plugin} failed: ${messageOf(error).trim() || 'it does not say why'}`;
}
