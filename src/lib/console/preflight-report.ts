import { VmopError, messageOf } from '../errors.ts';
import { sanitize, truncate } from '../text.ts';
import { hostInUrl, type Proxy } from './address.ts';

/** Why no SPICE server was met. */
export type PreflightProblem =
  | 'nameUnknown'
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
  | 'proxyRefused';

/** How far a call has come: what it waits for now. */
export type PreflightStage = 'connect' | 'proxy' | 'tls' | 'link';

export interface PreflightTarget {
  host: string;
  port: number;
  proxy: Proxy | undefined;
}

/** Ends a call; the message is the detail, which may be empty. */
export class PreflightFailure extends Error {
  readonly problem: PreflightProblem;

  constructor(problem: PreflightProblem, detail = '') {
    super(truncate(sanitize(detail), 200));
    this.problem = problem;
  }
}

const BY_CODE: Record<string, PreflightProblem> = {
  ENOTFOUND: 'nameUnknown',
  EAI_AGAIN: 'nameUnknown',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unroutable',
  ENETUNREACH: 'unroutable',
  EADDRNOTAVAIL: 'unroutable',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
};

/** What an error means at the stage where it came; `late` when it is the end of the time. */
export function failureOf(
  error: unknown,
  { stage, late, target }: { stage: PreflightStage; late: boolean; target: PreflightTarget },
): PreflightFailure {
  const known = error instanceof PreflightFailure ? error.problem : undefined;
  const detail = late ? 'it does not answer' : known === 'closed' ? 'it hangs up' : causeOf(error);
  if (stage === 'connect' && target.proxy) return new PreflightFailure('proxyUnreachable', detail);
  if (stage === 'proxy') return new PreflightFailure('proxyRefused', detail);
  if (stage === 'tls') return new PreflightFailure('tlsFailed', detail);
  if (late) return new PreflightFailure(stage === 'link' ? 'silent' : 'timeout');
  if (error instanceof PreflightFailure) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new PreflightFailure(BY_CODE[code] ?? 'unroutable', detail);
}

/** OpenSSL's message for what is no TLS names nothing but its own source files. */
function causeOf(error: unknown): string {
  const wrong = error instanceof Error && 'code' in error && error.code === 'ERR_SSL_WRONG_VERSION_NUMBER';
  return wrong ? 'it does not speak TLS' : messageOf(error);
}

const ROUTE = 'run vmop where the node can be reached, or name a way there with --host or --proxy';

/** The sentence for a failure, and what to do about it. */
export function preflightError(
  { problem, message: detail }: PreflightFailure,
  target: PreflightTarget,
): VmopError {
  const at = `${hostInUrl(target.host)}:${target.port}`;
  const proxy = target.proxy ? `${hostInUrl(target.proxy.host)}:${target.proxy.port}` : '';
  const firewall = `a firewall may stand between: ${ROUTE}`;
  const sentences: Record<PreflightProblem, [message: string, hint: string]> = {
    nameUnknown: [`the console's host ${target.host} has no address here`, ROUTE],
    refused: [`nothing accepts connections at ${at}`, `is that the console's host and port? ${firewall}`],
    unroutable: [`there is no way to ${at} from here: ${detail}`, ROUTE],
    timeout: [`${at} does not answer`, firewall],
    silent: [
      `${at} accepts connections and says nothing: a viewer would hang`,
      'its VM may hang, or something else than a console listens there',
    ],
    closed: [`${at} hangs up at once`, 'the VM may be stopping, or a proxy in front of it has no way to it'],
    notSpice: [`what answers at ${at} is no SPICE server`, 'check host and port (--host, --port)'],
    spiceError: [
      `the SPICE server at ${at} refuses with error ${detail}`,
      'the log of the VM’s runner may say why',
    ],
    needsTls: [
      `the SPICE server at ${at} accepts only TLS`,
      'name its TLS port with --port and its authority with --ca',
    ],
    tlsFailed: [`no TLS with ${at}: ${detail}`, 'check --ca and --port'],
    proxyUnreachable: [
      `the proxy ${proxy} cannot be reached: ${detail}`,
      'check --proxy; --proxy none goes without',
    ],
    proxyRefused: [
      `the proxy ${proxy} gives no way to ${at}: ${detail}`,
      'check --proxy; --proxy none goes without',
    ],
  };
  const [message, hint] = sentences[problem];
  return new VmopError('console', message, { hint });
}
