import { VmopError } from '../errors.ts';
import {
  checkedHost,
  checkedPort,
  checkedProxy,
  hostInUrl,
  LONGEST_SOCKET_PATH,
  proxyUrl,
  type Endpoint,
  type LocalEndpoint,
} from './reach/address.ts';
import { checkedCertificates, checkedSubject } from './reach/certificates.ts';
import { keyFileGroup } from './key-file.ts';

export interface ConnectionRequest {
  endpoint: Endpoint | LocalEndpoint;
  /** undefined: the display asks for none. */
  password?: string | undefined;
  /** What the window's title shows. */
  title?: string | undefined;
  fullScreen?: boolean | undefined;
  /** Let the viewer delete the file as soon as it has read it. */
  deleteThisFile?: boolean | undefined;
}

/** A viewer that opens a connection file forgets its own keys: only these exist. */
const HOTKEYS = {
  'toggle-fullscreen': 'shift+f11',
  'release-cursor': 'shift+f12',
  'secure-attention': 'ctrl+alt+end',
};

/**
 * The text of a `.vv` file (`application/x-virt-viewer`). Every field is checked or escaped, whoever wrote it.
 * Errors: `console` for what comes from the VM's object, `usage` for what the caller was given (see `refusal`).
 */
export function connectionFile(request: ConnectionRequest): string {
  const { endpoint, password, title, fullScreen = false, deleteThisFile = false } = request;
  return keyFileGroup('virt-viewer', {
    type: 'spice',
    ...('unixPath' in endpoint ? localKeys(endpoint) : networkKeys(endpoint)),
    password,
    title: title === undefined ? undefined : literalTitle(title),
    fullscreen: fullScreen,
    'delete-this-file': deleteThisFile,
    ...HOTKEYS,
  });
}

function networkKeys({ host, port, tls, proxy }: Endpoint): Record<string, string | number | undefined> {
  const { ca, hostSubject } = tls ?? {};
  return {
    // Brackets are needed behind a proxy and harmless elsewhere.
    host: hostInUrl(checkedHost(host)),
    // With both ports in the file the viewer would speak plain text: only one is ever written.
    [tls === undefined ? 'port' : 'tls-port']: checkedPort(port),
    ca: ca && checkedCertificates(ca),
    'host-subject': hostSubject && checkedSubject(hostSubject),
    proxy: proxy && proxyUrl(checkedProxy(proxy)),
  };
}

function localKeys({ unixPath }: LocalEndpoint): Record<string, string> {
  if (!unixPath.startsWith('/') || Buffer.byteLength(unixPath) > LONGEST_SOCKET_PATH) {
    throw new VmopError('console', `${JSON.stringify(unixPath)} is not the path of a socket`);
  }
  return { 'unix-path': unixPath };
}

/** Control characters and marks that turn the direction of writing: they would forge what the window shows. */
const FORGING = /[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu;

/** The viewer puts a display's number in place of `%d` and knows no escape: an invisible joiner parts the two. */
function literalTitle(title: string): string | undefined {
  const text = title.toWellFormed().replace(FORGING, ' ').trim().replaceAll('%d', '%\u2060d');
  return text === '' ? undefined : text;
}
