// A client of TURN over UDP, TCP or TLS that does what a test tells it, right or wrong. It keeps what comes in and never
// refreshes, retries or closes by itself, but for a request that got no answer over UDP: that is sent again, as RFC 8489
// §6.2.1 wants it.
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import tls from 'node:tls';

import { bounded, eventually, Happenings, PATIENCE_MS } from '../../browser/harness/bounded.mjs';
import * as stun from './stun.mjs';

const { ATTRIBUTE, CLASS, METHOD } = stun;
const AGAIN_MS = 700;

const open = new Set();

/** Closes every client of this process: one that is left open keeps it from ending. */
export function closeClients() {
  for (const client of [...open]) client.close();
}

export class TurnClient {
  #write;
  #close;
  #answers = new Map();
  #arrived = new Happenings();
  #isStream = false;
  #rest = Buffer.alloc(0);
  /** Whether the other end has closed the stream. */
  isClosed = false;
  realm = null;
  nonce = null;
  key = null;
  username = null;
  relayed = null;

  static async open({ host, port, transport = 'udp', ca }) {
    const client = new TurnClient();
    open.add(client);
    if (transport === 'udp') await client.#openDatagram({ host, port });
    else await client.#openStream({ host, port, ca, isTls: transport === 'tls' });
    return client;
  }

  /** Every ChannelData and Data indication that came in: { channel or peer, data }. */
  get arrived() {
    return this.#arrived.all;
  }

  /** Waits for data that fits. */
  async until(what, fits, ms) {
    return (await this.#arrived.first(what, fits, { ms })).happening;
  }

  /** Sends bytes as they are. */
  raw(bytes) {
    this.#write(bytes);
  }

  /** Sends a request and gives back the answer. With `proven` it shows the credential, with the nonce that was told last. */
  async request(method, attributes = [], { proven = true, fingerprint = false, nonce = this.nonce, ms = PATIENCE_MS } = {}) {
    const transaction = randomBytes(12);
    const own = typeof attributes === 'function' ? attributes(transaction) : attributes;
    const shown = proven ? this.#credential(nonce) : [];
    const key = proven ? this.key : undefined;
    const bytes = stun.encode({ method, transaction, attributes: [...own, ...shown], key, fingerprint });
    return this.exchange(bytes, ms);
  }

  /** Sends a request that is written already, and gives back the answer. */
  async exchange(bytes, ms = PATIENCE_MS) {
    const name = bytes.toString('hex', 8, 20);
    let again;
    const answered = new Promise((resolve) => this.#answers.set(name, resolve));
    this.raw(bytes);
    if (!this.#isStream) again = setInterval(() => this.raw(bytes), AGAIN_MS);
    try {
      return await bounded(answered, 'a request is answered', ms);
    } finally {
      clearInterval(again);
      this.#answers.delete(name);
    }
  }

  /** Takes this credential, { username, credential }, for what follows, and asks for realm and nonce if they are not known. */
  async use({ username, credential }) {
    if (this.realm === null) this.#challenged(await this.request(METHOD.refresh, [], { proven: false }));
    this.username = username;
    this.key = stun.longTermKey({ username, credential }, this.realm);
  }

  /** Asks for an allocation, and gives back the answer: `relayed` is known if it was granted. */
  async allocate({ family, more = [], ...how } = {}) {
    const attributes = [stun.REQUESTED_TRANSPORT_UDP, ...(family ? [stun.requestedFamily(family)] : []), ...more];
    let answer = await this.request(METHOD.allocate, attributes, how);
    if (answer.code === 438) {
      this.#challenged(answer);
      answer = await this.request(METHOD.allocate, attributes, how);
    }
    if (answer.kind === CLASS.success) this.relayed = answer.address(ATTRIBUTE.xorRelayedAddress);
    return answer;
  }

  /** Opens an allocation with this credential, or fails. */
  async allocated(credential, options) {
    await this.use(credential);
    const answer = await this.allocate(options);
    if (answer.kind !== CLASS.success) throw new Error(`no allocation: ${answer.code}`);
    return this;
  }

  /** The status of CreatePermission for these addresses; 0 is success. */
  async permit(...peers) {
    const attributes = (transaction) =>
      peers.map((ip) => [ATTRIBUTE.xorPeerAddress, stun.xorAddress(transaction, { ip, port: 9 })]);
    return (await this.request(METHOD.createPermission, attributes)).code;
  }

  /** The status of ChannelBind; 0 is success. */
  async bind(channel, peer) {
    const attributes = (transaction) => [
      [ATTRIBUTE.channelNumber, stun.number16(channel)],
      [ATTRIBUTE.xorPeerAddress, stun.xorAddress(transaction, peer)],
    ];
    return (await this.request(METHOD.channelBind, attributes)).code;
  }

  /** The status of Refresh; 0 is success. */
  async refresh(seconds) {
    return (await this.request(METHOD.refresh, [[ATTRIBUTE.lifetime, stun.number32(seconds)]])).code;
  }

  /** A Send indication. `whole`: no router may fragment what it sends. */
  send(peer, payload, { whole = false } = {}) {
    const transaction = randomBytes(12);
    const attributes = [
      [ATTRIBUTE.xorPeerAddress, stun.xorAddress(transaction, peer)],
      ...(whole ? [[ATTRIBUTE.dontFragment, Buffer.alloc(0)]] : []),
      [ATTRIBUTE.data, Buffer.from(payload)],
    ];
    this.raw(stun.encode({ method: METHOD.send, kind: CLASS.indication, transaction, attributes }));
  }

  /** ChannelData: of several payloads, in one piece as far as the transport lets it. */
  sendChannel(channel, ...payloads) {
    const written = payloads.map((payload) => stun.channelData(channel, Buffer.from(payload), { isPadded: this.#isStream }));
    if (this.#isStream) this.raw(Buffer.concat(written));
    else for (const bytes of written) this.raw(bytes);
  }

  /** Waits until the other end has closed the stream. */
  untilClosed(ms) {
    return eventually('the server closes the stream', () => this.isClosed, ms);
  }

  close() {
    if (open.delete(this)) this.#close?.();
  }

  #credential(nonce) {
    return [
      [ATTRIBUTE.username, Buffer.from(this.username)],
      [ATTRIBUTE.realm, Buffer.from(this.realm)],
      [ATTRIBUTE.nonce, nonce],
    ];
  }

  #challenged(answer) {
    this.nonce = Buffer.from(answer.get(ATTRIBUTE.nonce) ?? '');
    this.realm = answer.get(ATTRIBUTE.realm)?.toString() ?? this.realm;
  }

  async #openDatagram({ host, port }) {
    const socket = dgram.createSocket({ type: net.isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
    // Connected, so that a port that nobody listens on shows itself.
    await new Promise((connected) => socket.connect(port, host, connected));
    socket.on('message', (bytes) => this.#take(bytes));
    socket.on('error', (error) => this.#arrived.add({ error }));
    this.#write = (bytes) => socket.send(bytes);
    this.#close = () => socket.close();
  }

  async #openStream({ host, port, ca, isTls }) {
    this.#isStream = true;
    const where = { host, port };
    // No name of the certificate is looked at: who trusts these bytes trusts this very server.
    const socket = isTls ? tls.connect({ ...where, ca, checkServerIdentity: () => undefined }) : net.connect(where);
    socket.setNoDelay(true);
    const opened = new Promise((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve);
      socket.once('error', reject);
    });
    await bounded(opened, `a connection to port ${port} is open`);
    socket.on('error', () => {});
    socket.on('close', () => (this.isClosed = true));
    socket.on('data', (bytes) => {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      for (;;) {
        const length = stun.lengthInStream(this.#rest);
        if (length === null || this.#rest.length < length) return;
        this.#take(this.#rest.subarray(0, length));
        this.#rest = this.#rest.subarray(length);
      }
    });
    this.#write = (bytes) => socket.write(bytes);
    this.#close = () => socket.destroy();
  }

  #take(bytes) {
    if (bytes[0] >= 0x40 && bytes[0] < 0x50) {
      const data = Buffer.from(bytes.subarray(4, 4 + bytes.readUInt16BE(2)));
      return this.#arrived.add({ channel: bytes.readUInt16BE(0), data });
    }
    const message = stun.decode(bytes);
    if (!message) return this.#arrived.add({ error: new Error(`no STUN: ${bytes.toString('hex')}`) });
    if (message.kind === CLASS.indication) {
      const data = Buffer.from(message.get(ATTRIBUTE.data) ?? '');
      return this.#arrived.add({ peer: message.address(ATTRIBUTE.xorPeerAddress), data });
    }
    this.#answers.get(message.transaction.toString('hex'))?.(message);
  }
}
