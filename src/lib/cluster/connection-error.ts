import { messageOf, VmopError } from '../errors.ts';

/** The connection was lost or never made; nobody answered. */
export class ConnectionError extends VmopError {
  readonly systemCode: string;
  /** A kept-alive connection that the server, by all appearances, had closed meanwhile. */
  readonly stale: boolean;

  /** `where` names the cluster; `reused`: the connection had served before. */
  constructor(where: string, error: unknown, reused: boolean) {
    const systemCode = systemCodeOf(error);
    const { why, hint } = explanation(systemCode, error);
    super('unreachable', `${where} cannot be reached: ${why}`, { hint, cause: error });
    this.name = 'ConnectionError';
    this.systemCode = systemCode;
    this.stale = reused && (systemCode === 'ECONNRESET' || systemCode === 'EPIPE');
  }
}

function systemCodeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return systemCodeOf(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return '';
}

function explanation(systemCode: string, error: unknown): { why: string; hint: string } {
  switch (systemCode) {
    case 'ECONNREFUSED':
      return {
        why: 'nothing listens there',
        hint: 'is the API server running, and is the address in the kubeconfig right?',
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        why: 'its name is not known',
        hint: 'check the server address in your kubeconfig, the network and the VPN',
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
        hint: 'put the right certificate-authority into the kubeconfig; the cluster may have been set up anew',
      };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        why: 'its certificate is for another name',
        hint: 'use the name in the certificate, or set tls-server-name in the kubeconfig',
      };
    case 'EPROTO':
      return {
        why: `TLS cannot be spoken with it: ${tlsReason(error)}`,
        hint: 'check the server address in your kubeconfig: its port may be another service’s, or take http:// only',
      };
    default:
      return { why: messageOf(error) || systemCode, hint: 'check the server address in your kubeconfig' };
  }
}

/** OpenSSL's reason, out of the line that tells also its function and source file. */
function tlsReason(error: unknown): string {
  const text = messageOf(error);
  return /:SSL routines:[^:]*:(?<reason>[^:]+)/.exec(text)?.groups?.['reason'] ?? text.trim();
}
