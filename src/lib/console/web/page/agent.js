/** What the guest's agent says: the server cuts it into pieces, and the client takes each for a whole message. */
import { SpiceMainConn } from './spice-client/index.js';

const AGENT_DATA = 109;
/** Before an agent's message; its last word is the length of what follows. */
const HEAD_BYTES = 20;
const LENGTH_AT = 16;
/** Who copies more than that gets nothing of it. */
const LONGEST_BYTES = 16 * 1024 * 1024;

/** Puts pieces together. */
export class AgentMessages {
  /** @type {Uint8Array[]} */
  #pieces = [];
  #missing = 0;
  #dropped = false;

  /** @param {ArrayBuffer} piece @returns {ArrayBuffer | undefined} The message that it completes. */
  add(piece) {
    if (this.#missing === 0) {
      if (piece.byteLength < HEAD_BYTES) return piece;
      this.#missing = HEAD_BYTES + new DataView(piece).getUint32(LENGTH_AT, true);
      this.#dropped = this.#missing > LONGEST_BYTES;
    }
    if (!this.#dropped) this.#pieces.push(new Uint8Array(piece));
    this.#missing = Math.max(this.#missing - piece.byteLength, 0);
    if (this.#missing > 0) return undefined;
    const pieces = this.#pieces.splice(0);
    if (this.#dropped) return undefined;
    const whole = new Uint8Array(pieces.reduce((length, each) => length + each.length, 0));
    let at = 0;
    for (const each of pieces) {
      whole.set(each, at);
      at += each.length;
    }
    return whole.buffer;
  }
}

export class SpiceClient extends SpiceMainConn {
  #agent = new AgentMessages();

  /** @param {{ type: number, data: ArrayBuffer }} message @override */
  process_channel_message(message) {
    if (message.type !== AGENT_DATA) return super.process_channel_message(message);
    const data = this.#agent.add(message.data);
    return data === undefined || super.process_channel_message({ ...message, data });
  }
}
