import http from 'node:http';
import https from 'node:https';
import type { RequestCredentials } from './credentials.ts';
import type { Kubeconfig } from './kubeconfig.ts';
import type { Proxy } from './proxy.ts';

type Tls = RequestCredentials['tls'];

/**
 * Idle connections are closed after this, before any server does: a write that met such an end could not be repeated,
 * because nobody could tell whether it was carried out.
 */
const IDLE_MS = 4000;

const OPTIONS = { keepAlive: true, timeout: IDLE_MS, maxSockets: 64 };

/** The connections to one API server, kept by the certificates that they are made with. */
export class Agents {
  /** The HTTP proxy that requests are sent to in place of the server, as requests without TLS are everywhere. */
  readonly carrier: Proxy | undefined;
  readonly #kubeconfig: Kubeconfig;
  readonly #made = new Map<string, Promise<http.Agent>>();

  constructor(kubeconfig: Kubeconfig) {
    this.#kubeconfig = kubeconfig;
    const { info, proxy } = kubeconfig;
    const isCarrier = info.server.startsWith('http:') && proxy?.url.protocol !== 'socks5:';
    this.carrier = isCarrier ? proxy : undefined;
  }

  forRequests(tls: Tls): Promise<http.Agent> {
    return this.#agent(tls, this.carrier !== undefined);
  }

  /** For what becomes something else than HTTP. */
  forUpgrades(tls: Tls): Promise<http.Agent> {
    return this.#agent(tls, false);
  }

  #agent(tls: Tls, carried: boolean): Promise<http.Agent> {
    const key = [tls.ca, tls.cert, carried].map(String).join();
    const known = this.#made.get(key);
    if (known) return known;
    const made = makeAgent(this.#kubeconfig, tls, carried);
    this.#made.set(key, made);
    return made;
  }

  close(): void {
    for (const agent of this.#made.values()) {
      agent.then(
        (made) => made.destroy(),
        () => {},
      );
    }
  }
}

async function makeAgent({ info, proxy }: Kubeconfig, tls: Tls, carried: boolean): Promise<http.Agent> {
  const options = { ...OPTIONS, ...tls };
  const secure = info.server.startsWith('https:');
  if (!proxy) return secure ? new https.Agent(options) : new http.Agent(OPTIONS);
  const { HttpProxyAgent, HttpsProxyAgent } = await import('./proxy-agent.ts');
  return secure ? new HttpsProxyAgent(proxy, options) : new HttpProxyAgent(proxy, OPTIONS, { carried });
}
