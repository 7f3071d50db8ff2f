// One end of plain RTP (RFC 3550): a socket of the test's own that counts what comes, and says one sound over and over.
import dgram from 'node:dgram';

import { every, Happenings } from '../../browser/harness/bounded.mjs';

const HEADER_BYTES = 12;
const FRAME_BYTES = 160;
const FRAME_MS = 20;
const PCMA = 8;

export class Rtp {
  #socket = dgram.createSocket('udp4');
  #heard = new Happenings();
  #from = null;
  #fallSilent = () => {};

  static async listen() {
    const rtp = new Rtp();
    rtp.#socket.on('message', (bytes, from) => rtp.#take(bytes, from));
    await new Promise((bound) => rtp.#socket.bind(0, '127.0.0.1', bound));
    return rtp;
  }

  get port() {
    return this.#socket.address().port;
  }

  /** It speaks to this port of loopback at first, as a telephone does that has been told of it. */
  knows(port) {
    this.#from ??= { address: '127.0.0.1', port };
  }

  /** Packets of this payload type that have come. */
  count(type = PCMA) {
    return this.#heard.all.filter((packet) => packet.type === type).length;
  }

  /** Waits until so many packets have come in a row without a gap, of one source and 20 ms of PCMA each. */
  async receives(count) {
    await this.#heard.first(`${count} packets of RTP have come`, () => this.#heard.all.length >= count);
    const packets = this.#heard.all.slice(0, count);
    for (const [index, { type, ssrc, sequence, samples }] of packets.entries()) {
      const first = packets[0];
      const expected = (first.sequence + index) & 0xffff;
      if (type !== PCMA || ssrc !== first.ssrc || sequence !== expected || samples.length !== FRAME_BYTES) {
        throw new Error(`packet ${index} is type ${type}, SSRC ${ssrc}, number ${sequence}, of ${samples.length} bytes`);
      }
    }
  }

  /** Says two samples of PCMA in turn, over and over, to where packets come from. */
  says(one, other) {
    return this.#repeat(Buffer.alloc(FRAME_BYTES, Buffer.from([one, other])));
  }

  /** The same of a sine, of which a frame holds whole waves. */
  saysTone(hz) {
    const wave = (place) => 8_000 * Math.sin((2 * Math.PI * hz * place * FRAME_MS) / 1_000 / FRAME_BYTES);
    return this.#repeat(Buffer.from(Array.from({ length: FRAME_BYTES }, (_, place) => pcma(wave(place)))));
  }

  async #repeat(samples) {
    if (!this.#from) await this.#heard.first('a packet of RTP has come', () => true);
    const header = Buffer.alloc(HEADER_BYTES);
    header[0] = 0x80;
    header.writeUInt32BE(0x0ff00000 | this.port, 8);
    let count = 0;
    this.#fallSilent = every(FRAME_MS, () => {
      header[1] = (count === 0 ? 0x80 : 0) | PCMA;
      header.writeUInt16BE(count & 0xffff, 2);
      header.writeUInt32BE(count * FRAME_BYTES, 4);
      count += 1;
      this.#socket.send(Buffer.concat([header, samples]), this.#from.port, this.#from.address);
    });
  }

  /** Waits until so many packets have come that hold these two samples in turn and nothing else. */
  async hears(one, other, count) {
    const [even, odd] = [Buffer.from([one, other]), Buffer.from([other, one])].map((two) => Buffer.alloc(FRAME_BYTES, two));
    const isSound = ({ type, samples }) => type === PCMA && (samples.equals(even) || samples.equals(odd));
    await this.#counts(`${count} packets with ${one} and ${other} have come`, count, isSound);
  }

  /** Waits until so many packets have come whose samples change sign as often as those of this tone do. */
  async hearsTone(hz, count) {
    const wanted = (2 * hz * FRAME_MS) / 1_000;
    const isTone = ({ type, samples }) => type === PCMA && Math.abs(crossings(samples) - wanted) <= 1;
    await this.#counts(`${count} packets with a tone of ${hz} Hz have come`, count, isTone);
  }

  /** Waits until so many packets have come with something loud in them, such as the beeps of a browser's fake microphone. */
  async hearsLoud(count) {
    const hasLoud = ({ type, samples }) => type === PCMA && samples.some(isLoud);
    await this.#counts(`${count} loud packets have come`, count, hasLoud);
  }

  /** What came last, for people. */
  story() {
    const last = this.#heard.all.at(-1);
    return last ? `${this.#heard.all.length} packets, the last: ${last.samples.toString('hex')}` : 'no packet came';
  }

  /** Waits until so many packets have come that fit. Looks at each once: a test that lags behind is not to lag more. */
  async #counts(what, count, fits) {
    let [seen, fitting] = [0, 0];
    await this.#heard.first(what, () => {
      for (; seen < this.#heard.all.length; seen += 1) fitting += fits(this.#heard.all[seen]) ? 1 : 0;
      return fitting >= count;
    });
  }

  close() {
    this.#fallSilent();
    return new Promise((closed) => this.#socket.close(closed));
  }

  #take(bytes, from) {
    // RTCP is none of it (RFC 5761 §4).
    if (bytes.length < HEADER_BYTES || (bytes[1] >= 192 && bytes[1] <= 223)) return;
    this.#from = from;
    const samples = Buffer.from(bytes.subarray(HEADER_BYTES));
    this.#heard.add({ type: bytes[1] & 0x7f, sequence: bytes.readUInt16BE(2), ssrc: bytes.readUInt32BE(8), samples });
  }
}

/** A sample of 16 bits as one of PCMA (ITU-T G.711). */
function pcma(sample) {
  const level = Math.min(Math.abs(Math.trunc(sample)) >> 4, 0x7ff);
  const segment = Math.max(0, Math.floor(Math.log2(level || 1)) - 3);
  const place = (level >> Math.max(0, segment - 1)) & 0x0f;
  return ((sample < 0 ? 0 : 0x80) | (segment << 4) | place) ^ 0x55;
}

/** Whether a sample of PCMA is beyond a thousand, of 32 thousand. */
function isLoud(sample) {
  return ((sample ^ 0x55) & 0x7f) >= 0x30;
}

/** How often the sign changes, which is the first bit of each sample of PCMA. */
function crossings(samples) {
  let count = 0;
  for (let place = 1; place < samples.length; place += 1) count += (samples[place] ^ samples[place - 1]) >> 7;
  return count;
}
