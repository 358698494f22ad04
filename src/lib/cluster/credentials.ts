import { readFile } from 'node:fs/promises';
import type https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { messageOf, VmopError } from '../errors.ts';
import type { ExecCredential, PluginTerminal } from './exec-plugin.ts';
import { headerText, userImpersonation } from './impersonation.ts';
import type { Kubeconfig } from './kubeconfig.ts';
import type { OidcTokens } from './oidc.ts';
import { asObject, asString } from './parse.ts';
import type { JsonObject } from './types.ts';

/** What a request and its connection are made with. */
export interface RequestCredentials {
  tls: Pick<https.AgentOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>;
  headers: Record<string, string | string[]>;
  /** The file that the token is from. */
  tokenFile?: string | undefined;
}

export interface CredentialOptions {
  /** Absent: log-in plug-ins meet nobody. */
  plugin?: PluginTerminal | undefined;
  /** Told of what is no failure now and may be one for the next command. */
  warn?: ((text: string) => void) | undefined;
}

/** How long credentials from files are used before they are read again. */
const LIFETIME_MS = 30_000;

/** The credentials of a kubeconfig's user, asked for when they are needed: once, however many requests wait for them. */
export class Credentials {
  readonly #kubeconfig: Kubeconfig;
  readonly #options: CredentialOptions;
  readonly #closed = new AbortController();
  /** Without what vmop does itself. */
  #config: KubeConfig;
  #asked: { answer: Promise<RequestCredentials>; until: number } | undefined;
  #plugin: ExecCredential | undefined;
  #tokens: OidcTokens | undefined;
  #warned = false;
  /** The `Authorization` that the server did not take. */
  #refused: unknown;

  constructor(kubeconfig: Kubeconfig, options: CredentialOptions) {
    this.#kubeconfig = kubeconfig;
    this.#options = options;
    this.#config = plainConfig(kubeconfig);
  }

  /** Error: `unreachable` when they cannot be had. */
  async get(): Promise<RequestCredentials> {
    if (this.#asked === undefined || Date.now() > this.#asked.until) {
      // While a plug-in waits for somebody it is not asked a second time.
      const asked = { answer: this.#ask(), until: Infinity };
      this.#asked = asked;
      asked.answer.then(
        () =>
          (asked.until = Math.min(Date.now() + LIFETIME_MS, this.#plugin?.expires?.getTime() ?? Infinity)),
        // What failed is asked for again.
        () => {
          if (this.#asked === asked) this.#asked = undefined;
        },
      );
    }
    return this.#asked.answer;
  }

  /** The server does not take these any more: the next `get` asks anew. Does nothing when that has happened already. */
  async refused(credentials: RequestCredentials): Promise<void> {
    const { answer } = this.#asked ?? {};
    if (answer === undefined || (await answer.catch(() => undefined)) !== credentials) return;
    if (this.#asked?.answer !== answer) return;
    this.#asked = undefined;
    this.#plugin = undefined;
    this.#refused = credentials.headers['Authorization'];
    // client-node remembers what its own plug-ins said for as long as the object lives.
    this.#config = plainConfig(this.#kubeconfig);
  }

  /** Ends the plug-in that is running. */
  close(): void {
    this.#closed.abort();
  }

  async #ask(): Promise<RequestCredentials> {
    // Nothing secret is sent in the clear.
    if (!this.#kubeconfig.info.server.startsWith('https:')) return { tls: {}, headers: {} };
    try {
      const options: https.RequestOptions = {};
      await this.#config.applyToHTTPSOptions(options);
      const { ca, cert, key, rejectUnauthorized, servername, auth } = options;
      const headers = new Map(
        Object.entries(asObject(options.headers)).map(([name, value]) => [name, String(value).trim()]),
      );
      const as = headers.get('Impersonate-User');
      if (as !== undefined) headers.set('Impersonate-User', headerText(as));
      if (auth) headers.set('Authorization', `Basic ${Buffer.from(auth).toString('base64')}`);
      const { tokenFile, ...impersonated } = await this.#kubeconfig.userExtras();
      const own = tokenFile ? { token: await readToken(tokenFile) } : await this.#login();
      if (own.token) headers.set('Authorization', `Bearer ${own.token}`);
      return {
        tls: { ca, cert, key, rejectUnauthorized, servername, ...own.certificate },
        headers: { ...Object.fromEntries(headers), ...userImpersonation(impersonated) },
        tokenFile,
      };
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** What a plug-in or an OIDC issuer gives. */
  async #login(): Promise<Pick<ExecCredential, 'token' | 'certificate'>> {
    const user = this.#kubeconfig.config.getCurrentUser();
    if (user?.token) return {};
    if (user?.exec) return this.#askPlugin(user.exec);
    return asObject(user?.authProvider)['name'] === 'oidc' ? this.#askIssuer(user?.authProvider) : {};
  }

  async #askPlugin(exec: unknown): Promise<ExecCredential> {
    const { expires } = this.#plugin ?? {};
    if (this.#plugin && (expires === undefined || expires.getTime() > Date.now())) return this.#plugin;
    const { askPlugin, parseExec } = await import('./exec-plugin.ts');
    const plugin = parseExec(exec);
    const cluster = plugin.provideClusterInfo ? await this.#clusterInfo() : undefined;
    this.#plugin = await askPlugin(plugin, cluster, {
      env: this.#kubeconfig.env,
      terminal: this.#options.plugin,
      signal: this.#closed.signal,
    });
    return this.#plugin;
  }

  /** As client-go tells it to plug-ins. */
  async #clusterInfo(): Promise<JsonObject> {
    const cluster = this.#kubeconfig.config.getCurrentCluster();
    const { caFile, caData, skipTLSVerify, tlsServerName, proxyUrl } = cluster ?? {};
    const authority = caFile ? (await readFile(caFile)).toString('base64') : caData;
    return {
      server: this.#kubeconfig.info.server,
      ...(tlsServerName ? { 'tls-server-name': tlsServerName } : {}),
      ...(skipTLSVerify ? { 'insecure-skip-tls-verify': true } : {}),
      ...(authority ? { 'certificate-authority-data': authority } : {}),
      ...(proxyUrl ? { 'proxy-url': proxyUrl } : {}),
      config: (await this.#kubeconfig.execConfig()) ?? null,
    };
  }

  async #askIssuer(provider: unknown): Promise<{ token: string | undefined }> {
    const { isOver, parseOidc, refreshTokens } = await import('./oidc.ts');
    const { config, env, userFile } = this.#kubeconfig;
    const user = { ...parseOidc(provider), ...this.#tokens };
    const { idToken = '', refreshToken } = user;
    const refused = this.#refused === `Bearer ${idToken}` && refreshToken !== undefined;
    if (!isOver(idToken) && !refused) return { token: idToken };
    const tokens = await refreshTokens(user, env);
    this.#tokens = tokens;
    const { storeTokens } = await import('./store-tokens.ts');
    await storeTokens(userFile, config.getCurrentUser()?.name ?? '', tokens).catch((error: unknown) => {
      this.#warnUnstored(error);
    });
    return { token: tokens.idToken };
  }

  /** A file that is read only, or just being written: the tokens serve until the end of this run. */
  #warnUnstored(error: unknown): void {
    if (this.#warned) return;
    this.#warned = true;
    const { userFile } = this.#kubeconfig;
    this.#options.warn?.(
      `the new log-in tokens cannot be stored in ${userFile}: ${messageOf(error)}; the next command may ask you to log in`,
    );
  }

  #explain(error: unknown): VmopError {
    const { config, info, places } = this.#kubeconfig;
    const message = `no credentials for cluster "${info.cluster}" (${info.server}): ${messageOf(error)}`;
    const installHint = asString(asObject(config.getCurrentUser()?.exec)['installHint']);
    const hint =
      (error instanceof Error && isMissing(error) && installHint) ||
      `log in again, or correct ${places.user}`;
    return new VmopError('unreachable', message, { hint, cause: error });
  }
}

async function readToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`the token file ${file} cannot be read: ${messageOf(cause)}`, { cause });
  });
  const token = text.trim();
  // Without one the server would answer nobody in particular.
  if (token === '') throw new Error(`the token file ${file} is empty`);
  return token;
}

/** The plug-in's program is not there. */
function isMissing({ cause }: { cause?: unknown }): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

/** client-node reads files and data, tokens and passwords; plug-ins, OIDC and proxies are vmop's own. */
function plainConfig({ config }: Kubeconfig): KubeConfig {
  const plain = new KubeConfig();
  plain.loadFromOptions({
    contexts: config.contexts,
    currentContext: config.currentContext,
    clusters: config.clusters.map((cluster) => ({ ...cluster, proxyUrl: '' })),
    users: config.users.map((user) => ({
      ...user,
      exec: undefined,
      authProvider: asObject(user.authProvider)['name'] === 'oidc' ? undefined : user.authProvider,
    })),
  });
  return plain;
}
