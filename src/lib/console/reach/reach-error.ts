import { VmopError, messageOf } from '../../errors.ts';
import { sanitize, truncate } from '../../text.ts';
import { checkedHost, checkedPort, checkedProxy, hostInUrl, type Endpoint } from './address.ts';
import { HungUp } from '../../read-exactly.ts';
import { LINK_NEEDS_TLS, NotSpice } from '../spice-link.ts';
import { TimeIsUp } from '../../within.ts';

/** What is done, in this order, until a SPICE server is met. */
export type ReachStep = 'dns' | 'tcp' | 'proxy' | 'port-forward' | 'tls' | 'greeting';

/** Why no SPICE server was met. */
export type ReachProblem =
  | 'nameUnknown'
  /** Whoever knows names does not answer. */
  | 'namesSilent'
  | 'refused'
  | 'unroutable'
  /** Nobody answers at all. */
  | 'timeout'
  /** The connection is accepted and nothing is ever said: a viewer would hang. */
  | 'silent'
  | 'closed'
  | 'notSpice'
  /** The server does not give the channel. */
  | 'spiceError'
  | 'needsTls'
  /** TLS does not come about; a certificate that is not trusted is one reason. */
  | 'tlsFailed'
  | 'proxyUnreachable'
  | 'proxyRefused'
  /** The API server carries no connection to the port. */
  | 'forwardFailed';

/** What the sentences name. */
export interface ReachTarget {
  host: string;
  at: string;
  proxy: string | undefined;
}

/** Errors: see `refusal`. */
export function reachTarget(endpoint: Endpoint): ReachTarget {
  const proxy = endpoint.proxy && checkedProxy(endpoint.proxy);
  const host = checkedHost(endpoint.host);
  return {
    host,
    at: `${hostInUrl(host)}:${checkedPort(endpoint.port)}`,
    proxy: proxy && `${hostInUrl(proxy.host)}:${proxy.port}`,
  };
}

/** No SPICE server was met: what happened, and what to do about it. */
export class ReachError extends VmopError {
  readonly step: ReachStep;
  readonly problem: ReachProblem;

  constructor(step: ReachStep, problem: ReachProblem, target: ReachTarget, detail: string, cause?: unknown) {
    const [message, hint] = SENTENCES[problem](target, detail);
    super('console', message, { hint, cause });
    this.name = 'ReachError';
    this.step = step;
    this.problem = problem;
  }
}

/** A proxy's refusal; the message is its answer. */
export class ProxyRefusal extends Error {}

/** A server's link error. */
export class LinkRefusal extends Error {
  readonly error: number;

  constructor(error: number) {
    super(String(error));
    this.error = error;
  }
}

/** What an error means at the step where it came. */
export function reachError(error: unknown, step: ReachStep, target: ReachTarget): VmopError {
  // The API server's refusals say themselves what they are.
  if (error instanceof VmopError) return error;
  const problem = PROBLEMS[step](error, target.proxy !== undefined);
  return new ReachError(step, problem, target, truncate(sanitize(detailOf(error)), LONGEST_DETAIL), error);
}

const LONGEST_DETAIL = 300;
/** Between the errors of several addresses. */
const BETWEEN = '; ';

/** Connecting failed at each of a host's addresses. */
export class Attempts extends Error {
  readonly errors: readonly Error[];

  constructor(errors: readonly Error[]) {
    super(errors.map(messageOf).join(BETWEEN));
    this.errors = errors;
  }
}

const BY_CODE: Record<string, ReachProblem> = {
  ENOTFOUND: 'nameUnknown',
  EAI_AGAIN: 'namesSilent',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unroutable',
  ENETUNREACH: 'unroutable',
  EADDRNOTAVAIL: 'unroutable',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
};

/** What a failure of each step is; `proxied`: a proxy is what is looked for. */
const PROBLEMS: Record<ReachStep, (error: unknown, proxied: boolean) => ReachProblem> = {
  dns: (error, proxied) => (proxied ? 'proxyUnreachable' : nameProblem(error)),
  tcp: (error, proxied) => (proxied ? 'proxyUnreachable' : addressProblem(error)),
  proxy: () => 'proxyRefused',
  'port-forward': () => 'forwardFailed',
  tls: () => 'tlsFailed',
  greeting: greetingProblem,
};

function greetingProblem(error: unknown): ReachProblem {
  if (error instanceof TimeIsUp) return 'silent';
  if (error instanceof NotSpice) return 'notSpice';
  if (error instanceof LinkRefusal) return error.error === LINK_NEEDS_TLS ? 'needsTls' : 'spiceError';
  return 'closed';
}

function nameProblem(error: unknown): ReachProblem {
  return error instanceof TimeIsUp ? 'namesSilent' : codeProblem(error);
}

/** What the addresses of a host have in common. */
function addressProblem(error: unknown): ReachProblem {
  const tried = triedAddresses(error);
  const problems = new Set(tried.map(codeProblem));
  // The addresses that did not fail have not answered.
  if (error instanceof TimeIsUp) problems.add('timeout');
  const [problem = 'unroutable', ...others] = problems;
  return others.length === 0 ? problem : 'unroutable';
}

/** The errors of all addresses; those that failed before the time was up are its cause's. */
function triedAddresses(error: unknown): readonly unknown[] {
  if (error instanceof TimeIsUp) return error.cause instanceof Attempts ? error.cause.errors : [];
  return error instanceof Attempts ? error.errors : [error];
}

function codeProblem(error: unknown): ReachProblem {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return BY_CODE[code] ?? 'unroutable';
}

function detailOf(error: unknown): string {
  if (error instanceof HungUp) return 'it hangs up';
  if (error instanceof TimeIsUp) {
    const failed = triedAddresses(error).map((one) => `${messageOf(one)}${BETWEEN}`);
    return `${failed.join('')}it does not answer`;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  // OpenSSL's message for what is no TLS names nothing but its own source files.
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'it does not speak TLS';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its certificate is for another name';
  // Node adds advice about its own options.
  const why = messageOf(error).replace(/;.*/s, '');
  return UNTRUSTED.has(code)
    ? `its certificate is of no authority that --ca names (${why})`
    : messageOf(error);
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
]);

const ROUTE = 'run vmop where the node can be reached, or name a way there with --host or --proxy';
const FIREWALL = `a firewall may stand between: ${ROUTE}`;
const CHECK_PROXY = 'check --proxy; --proxy none goes without';
const PROXY_PASSWORD = 'name and password go into it: --proxy http://USER:PASSWORD@HOST:PORT';

/** Only several addresses have more to say than the sentence. */
function ofEach(detail: string): string {
  return detail.includes(BETWEEN) ? ` (${detail})` : '';
}

type Sentence = (target: ReachTarget, detail: string) => [message: string, hint: string];

const SENTENCES: Record<ReachProblem, Sentence> = {
  nameUnknown: ({ host }) => [`the console's host ${host} has no address here`, ROUTE],
  namesSilent: ({ host }) => [
    `the console's host ${host} cannot be looked up: no name server answers`,
    "are this machine's network and VPN up? --host names an address instead",
  ],
  refused: ({ at }, detail) => [
    `nothing accepts connections at ${at}${ofEach(detail)}`,
    `is that the console's host and port? ${FIREWALL}`,
  ],
  unroutable: ({ at }, detail) => [`there is no way to ${at} from here: ${detail}`, ROUTE],
  timeout: ({ at }, detail) => [`${at} does not answer${ofEach(detail)}`, FIREWALL],
  silent: ({ at }) => [
    `${at} accepts connections and says nothing: a viewer would hang`,
    'its VM may hang, or something else than a console listens there',
  ],
  closed: ({ at }) => [
    `${at} hangs up at once`,
    'the VM may be stopping, or a proxy in front of it has no way to it',
  ],
  notSpice: ({ at }) => [`what answers at ${at} is no SPICE server`, 'check host and port (--host, --port)'],
  spiceError: ({ at }, detail) => [
    `the SPICE server at ${at} refuses with error ${detail}`,
    'the log of the VM’s runner may say why',
  ],
  needsTls: ({ at }) => [
    `the SPICE server at ${at} accepts only TLS`,
    'name its TLS port with --port and its authority with --ca',
  ],
  tlsFailed: ({ at }, detail) => [`no TLS with ${at}: ${detail}`, 'check --ca and --port'],
  proxyUnreachable: ({ proxy }, detail) => [
    `the proxy ${proxy ?? ''} cannot be reached: ${detail}`,
    CHECK_PROXY,
  ],
  proxyRefused: ({ proxy, at }, detail) => [
    `the proxy ${proxy ?? ''} gives no way to ${at}: ${detail}`,
    /\b407\b/.test(detail) ? PROXY_PASSWORD : CHECK_PROXY,
  ],
  forwardFailed: ({ at }, detail) => [
    `the API server carries no connection to ${at}: ${detail}`,
    'the VM may be stopping; --tunnel never goes without the API server',
  ],
};
