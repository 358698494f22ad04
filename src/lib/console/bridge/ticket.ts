import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPair,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';
import { KEY_BYTES } from '../spice-link.ts';

/** SPICE's form of RSA: OAEP with SHA-1. It hides a password from the network only, and so does TLS better. */
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' };

/** A bridge's own key and the password that it takes from its viewers. */
export interface BridgeKey {
  /** SPKI (DER), `KEY_BYTES` long. */
  publicKey: Buffer;
  ticket: string;
  /** Whether this is the ticket, encrypted to the key. */
  opens(encrypted: Buffer): boolean;
}

export async function createBridgeKey(): Promise<BridgeKey> {
  // The size is the protocol's: there is room for no other.
  const pair = await promisify(generateKeyPair)('rsa', { modulusLength: 1024, publicExponent: 0x10001 });
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  if (publicKey.length !== KEY_BYTES) throw new Error(`a key of ${publicKey.length} bytes`);
  const ticket = randomBytes(32).toString('base64url');
  return {
    publicKey,
    ticket,
    opens: (encrypted) => {
      const given = decrypted(encrypted, pair.privateKey);
      return given !== undefined && timingSafeEqual(digest(given), digest(Buffer.from(ticket)));
    },
  };
}

function decrypted(encrypted: Buffer, key: KeyObject): Buffer | undefined {
  try {
    const password = privateDecrypt({ key, ...OAEP }, encrypted);
    const end = password.indexOf(0);
    return end < 0 ? password : password.subarray(0, end);
  } catch {
    return undefined;
  }
}

/** Of equal length whatever was given. */
function digest(password: Buffer): Buffer {
  return createHash('sha256').update(password).digest();
}

/** A password as a server takes it. Errors: Node's, for what is no key, or a password of more than 85 bytes. */
export function encryptPassword(password: string, publicKey: Buffer): Buffer {
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  return publicEncrypt({ key, ...OAEP }, Buffer.from(`${password}\0`));
}
