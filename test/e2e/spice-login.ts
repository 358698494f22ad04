import assert from 'node:assert/strict';
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { connect } from 'node:net';
import { linkMessage } from '../../src/lib/console/spice-link.ts';

const HEADER_BYTES = 16;
const KEY_BYTES = 162;
const AUTH_SPICE = 1;
const REFUSED = 7;
/** The password is right, and there is no such session. */
const NO_SESSION = 8;
const CONNECTION_ID_AT = HEADER_BYTES;
const TYPE_AT = HEADER_BYTES + 4;
const DISPLAY = 2;

const LIMIT_MS = 10_000;

/** Whether a SPICE server takes a password now. Asked with a channel of nobody's session, which disturbs nobody. */
export async function takesPassword(port: number, password: string): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('the SPICE server says nothing')));
  const message = linkMessage();
  message.writeUInt32LE(1, CONNECTION_ID_AT);
  message.writeUInt8(DISPLAY, TYPE_AT);
  socket.write(message);
  let bytes = Buffer.alloc(0);
  let asked = false;
  for await (const chunk of socket) {
    assert.ok(Buffer.isBuffer(chunk));
    bytes = Buffer.concat([bytes, chunk]);
    if (!asked && bytes.length >= HEADER_BYTES && bytes.length >= replyBytes(bytes)) {
      socket.write(ticket(bytes.subarray(HEADER_BYTES + 4, HEADER_BYTES + 4 + KEY_BYTES), password));
      bytes = bytes.subarray(replyBytes(bytes));
      asked = true;
    }
    if (!asked || bytes.length < 4) continue;
    const result = bytes.readUInt32LE();
    assert.ok(result === NO_SESSION || result === REFUSED, `SPICE link result ${result}`);
    return result === NO_SESSION;
  }
  throw new Error('the SPICE server hung up');
}

function replyBytes(header: Buffer): number {
  return HEADER_BYTES + header.readUInt32LE(12);
}

function ticket(publicKey: Buffer, password: string): Buffer {
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const method = Buffer.alloc(4);
  method.writeUInt32LE(AUTH_SPICE);
  return Buffer.concat([
    method,
    publicEncrypt({ key, padding, oaepHash: 'sha1' }, Buffer.from(`${password}\0`)),
  ]);
}
