import { isIP, isIPv6 } from 'node:net';
import { VmopError } from '../../errors.ts';
import { checkedHost, hostInUrl, quoted } from '../reach/address.ts';

/** What flags say about where the browser console listens. Absent: nothing was said; without an address nothing is. */
export interface ListenRequest {
  /** `--listen`: `ADDRESS`, `ADDRESS:PORT` or `[IPV6]:PORT`. */
  address?: string | undefined;
  /** `--listen-cert`, `--listen-key`: files. */
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** `--listen-name`: the name under which others reach this computer. */
  name?: string | undefined;
  /** `--listen-for-others`: it is meant. */
  forOthers?: boolean | undefined;
}

/** Where to listen; all of it checked. */
export interface ListenPlan {
  /** An IP address. */
  host: string;
  /** 0: any free port. */
  port: number;
  /** What browsers put into `Host`, without the port. */
  name: string;
  tls?: { certFile: string; keyFile: string };
}

const LOOPBACK = '127.0.0.1';

/**
 * Decides where the browser console listens: on loopback unless others are meant, and then only with TLS and an
 * explicit flag. Errors: `usage`.
 */
export function checkListen({ address, certFile, keyFile, name, forOthers }: ListenRequest = {}): ListenPlan {
  if (address === undefined) return { host: LOOPBACK, port: 0, name: LOOPBACK };
  const { host, port } = parseAddress(address);
  const loopback = isLoopback(host);
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new VmopError('usage', 'TLS takes a certificate and its key', {
      hint: 'give both --listen-cert and --listen-key',
    });
  }
  if (!loopback && certFile === undefined) {
    throw new VmopError('usage', `${address} can be reached by others, so the console needs TLS there`, {
      hint: 'add --listen-cert FILE and --listen-key FILE, or leave --listen out',
    });
  }
  if (!loopback && forOthers !== true) {
    throw new VmopError(
      'usage',
      `${address} can be reached by others: whoever gets the link gets the desktop`,
      {
        hint: 'add --listen-for-others when this is meant',
      },
    );
  }
  if (!loopback && name === undefined && isWildcard(host)) {
    throw new VmopError('usage', `${host} is no address that a browser can open`, {
      hint: 'add --listen-name NAME: the name in the certificate',
    });
  }
  const tls = certFile !== undefined && keyFile !== undefined ? { tls: { certFile, keyFile } } : {};
  return {
    host,
    port,
    name: checkedName(name ?? host, name === undefined ? '--listen' : '--listen-name'),
    ...tls,
  };
}

function parseAddress(address: string): { host: string; port: number } {
  const { six, four, port } =
    /^(?:\[(?<six>[^\]]*)\]|(?<four>[^:]*))(?::(?<port>\d{1,5}))?$/.exec(address)?.groups ?? {};
  const bare = isIPv6(address) ? address : (six ?? four ?? '');
  const host = bare === 'localhost' ? LOOPBACK : bare;
  const number = Number(isIPv6(address) ? 0 : (port ?? 0));
  if (isIP(host) === 0 || (six !== undefined && !isIPv6(six)) || number > 65_535) {
    throw new VmopError('usage', `${quoted(address)} is no address to listen on`, {
      hint: 'e.g. 192.0.2.7:8443, [2001:db8::7]:8443 or 0.0.0.0:8443',
    });
  }
  return { host, port: number };
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isWildcard(host: string): boolean {
  return /^[0:.]+$/.test(host);
}

/** Browsers write names in lower case. */
function checkedName(value: string, source: string): string {
  return hostInUrl(checkedHost({ value, source }).toLowerCase());
}
