import { X509Certificate } from 'node:crypto';
import { messageOf, VmopError } from '../errors.ts';
import { ProxyError, type ProxyProblem } from './proxy.ts';

/** What a lost connection is told with. */
export interface Connection {
  /** Cluster and server. */
  where: string;
  /** Entries and files of the kubeconfig. */
  places: { cluster: string; user: string };
  /** The client's, PEM. */
  certificate?: unknown;
}

/** The connection was lost or never made; nobody answered. */
export class ConnectionError extends VmopError {
  readonly systemCode: string;
  /** A kept-alive connection that the server, by all appearances, had closed meanwhile. */
  readonly stale: boolean;

  /** `reused`: the connection had served before. */
  constructor(connection: Connection, error: unknown, reused: boolean) {
    const systemCode = systemCodeOf(error);
    const { why, hint } = explanation(systemCode, error, connection);
    super('unreachable', `${connection.where} cannot be reached: ${why}`, { hint, cause: error });
    this.name = 'ConnectionError';
    this.systemCode = systemCode;
    this.stale = reused && DROPPED.has(systemCode);
  }
}

function systemCodeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return systemCodeOf(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return '';
}

interface Explanation {
  why: string;
  hint: string;
}

const DROPPED = new Set(['ECONNRESET', 'EPIPE']);

function explanation(systemCode: string, error: unknown, { places, certificate }: Connection): Explanation {
  if (error instanceof ProxyError) return proxyExplanation(error);
  // OpenSSL's name of the alert: CERTIFICATE_EXPIRED, UNKNOWN_CA, CERTIFICATE_REQUIRED and others.
  const alert = /^ERR_SSL_.*ALERT_(?<name>.*(?:CERTIFICATE|UNKNOWN_CA).*)$/.exec(systemCode)?.groups?.[
    'name'
  ];
  if (alert !== undefined) return clientCertificateExplanation(alert, places.user, certificate);
  // Some servers hang up instead.
  if (DROPPED.has(systemCode) && certificateEnd(certificate) !== undefined)
    return clientCertificateExplanation('', places.user, certificate);
  switch (systemCode) {
    case 'ECONNREFUSED':
      return {
        why: 'nothing listens there',
        hint: `is the API server running, and is the address of ${places.cluster} right?`,
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        why: 'its name is not known',
        hint: `check the server of ${places.cluster}, the network and the VPN`,
      };
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return { why: 'there is no route to it', hint: 'check the network and the VPN' };
    case 'ECONNRESET':
    case 'EPIPE':
      return {
        why: 'the connection was dropped',
        hint: 'try again; a proxy or load balancer between may be at fault',
      };
    case 'CERT_HAS_EXPIRED':
      return {
        why: 'its certificate has expired',
        hint: 'the cluster needs a new certificate: ask its administrator',
      };
    case 'CERT_NOT_YET_VALID':
      return { why: 'its certificate is not valid yet', hint: 'is the clock of this machine right?' };
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'CERT_SIGNATURE_FAILURE':
      return {
        why: 'its certificate is not trusted',
        hint: `put the right certificate-authority into ${places.cluster}; the cluster may have been set up anew`,
      };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        why: 'its certificate is for another name',
        hint: `use a name that the certificate has, or set tls-server-name of ${places.cluster}`,
      };
    case 'EPROTO':
      return {
        why: `TLS cannot be spoken with it: ${tlsReason(error)}`,
        hint: `check the server of ${places.cluster}: its port may be another service’s, or take http:// only`,
      };
    default:
      return { why: messageOf(error) || systemCode, hint: `check the server of ${places.cluster}` };
  }
}

const PROXY_HINTS: Record<ProxyProblem, (origin: string) => string> = {
  unreachable: (origin) => `is it up? otherwise correct ${origin}`,
  credentials: (origin) => `put them into ${origin}: http://NAME:PASSWORD@…, special characters as %40`,
  refused: (origin) => `ask the proxy’s administrator, or correct ${origin}`,
  noWay: () => 'is the API server up, and does the proxy know its name?',
};

function proxyExplanation({ message, problem, proxy: { origin } }: ProxyError): Explanation {
  const hint = PROXY_HINTS[problem](origin);
  const without = /^https?_proxy$/i.test(origin) ? '; NO_PROXY names servers that are asked without it' : '';
  return { why: message, hint: hint + without };
}

function clientCertificateExplanation(alert: string, user: string, certificate: unknown): Explanation {
  const ended = certificateEnd(certificate);
  if (ended !== undefined)
    return { why: `the client certificate has expired (${ended})`, hint: `put a new one into ${user}` };
  const words = alert.toLowerCase().replaceAll('_', ' ');
  return certificate === undefined
    ? { why: `it wants a client certificate (${words})`, hint: `put one into ${user}` }
    : { why: `it does not take the client certificate (${words})`, hint: `put another one into ${user}` };
}

/** When a certificate that has expired did so, as it says itself; undefined for all others. */
export function certificateEnd(pem: unknown): string | undefined {
  if (typeof pem !== 'string' && !(pem instanceof Buffer)) return undefined;
  try {
    const { validTo } = new X509Certificate(pem);
    return new Date(validTo).getTime() < Date.now() ? validTo : undefined;
  } catch {
    return undefined;
  }
}

/** OpenSSL's reason, out of the line that tells also its function and source file. */
function tlsReason(error: unknown): string {
  const text = messageOf(error);
  return /:SSL routines:[^:]*:(?<reason>[^:]+)/.exec(text)?.groups?.['reason'] ?? text.trim();
}
