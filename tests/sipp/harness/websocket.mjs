// A WebSocket client (RFC 6455) as small as SIP over WebSocket (RFC 7118) needs it: text messages, both ways. It offers no
// extension and leaves nothing to a library, so that nothing but this file stands between SIPp and the server.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const HEAD_END = '\r\n\r\n';
const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const NORMAL_CLOSURE = Buffer.from([0x03, 0xe8]);

/** Opens a connection and calls back with what arrives: `message(bytes)`, and `closed(why)` once. */
export class WebSocketClient {
  #socket;
  #key = randomBytes(16).toString('base64');
  #rest = Buffer.alloc(0);
  #isOpen = false;
  #fragments = [];
  #unsent = [];
  #on;

  constructor({ port, path, subprotocol }, on) {
    this.#on = on;
    this.#socket = net.connect({ host: '127.0.0.1', port });
    this.#socket.setNoDelay(true);
    this.#socket.on('connect', () => {
      const lines = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Upgrade: websocket', 'Connection: Upgrade'];
      lines.push(`Sec-WebSocket-Key: ${this.#key}`, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Protocol: ${subprotocol}`);
      this.#socket.write(lines.join('\r\n') + HEAD_END);
    });
    this.#socket.on('data', (bytes) => this.#take(bytes, subprotocol));
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the server closed the connection'));
  }

  /** Sends one text message; before the handshake has ended it waits. */
  send(bytes) {
    if (this.#isOpen) this.#frame(OPCODE.text, bytes);
    else this.#unsent.push(bytes);
  }

  close() {
    if (this.#isOpen) this.#frame(OPCODE.close, NORMAL_CLOSURE);
    this.#socket.end();
  }

  #take(bytes, subprotocol) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    try {
      if (!this.#isOpen) this.#handshake(subprotocol);
      if (this.#isOpen) while (this.#unframe());
    } catch (error) {
      this.#end(error.message);
    }
  }

  #handshake(subprotocol) {
    const end = this.#rest.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.#rest.subarray(0, end).toString('latin1');
    this.#rest = this.#rest.subarray(end + HEAD_END.length);
    const header = (name) => new RegExp(`^${name}: *(.*?) *$`, 'im').exec(head)?.[1];
    assert.match(head, /^HTTP\/1\.1 101 /, `the upgrade was refused: ${head}`);
    assert.equal(header('Sec-WebSocket-Accept'), createHash('sha1').update(this.#key + GUID).digest('base64'));
    assert.equal(header('Sec-WebSocket-Protocol'), subprotocol);
    this.#isOpen = true;
    for (const bytes of this.#unsent.splice(0)) this.#frame(OPCODE.text, bytes);
  }

  /** Takes one frame off what has arrived, if it is whole (RFC 6455 §5.2). */
  #unframe() {
    const bytes = this.#rest;
    if (bytes.length < 2) return false;
    assert.equal(bytes[0] & 0x70, 0, 'no extension was agreed, yet a reserved bit is set');
    assert.equal(bytes[1] & 0x80, 0, 'a server masks nothing');
    const short = bytes[1] & 0x7f;
    const start = { 126: 4, 127: 10 }[short] ?? 2;
    if (bytes.length < start) return false;
    const length = { 126: () => bytes.readUInt16BE(2), 127: () => Number(bytes.readBigUInt64BE(2)) }[short]?.() ?? short;
    if (bytes.length < start + length) return false;
    this.#rest = bytes.subarray(start + length);
    this.#receive(bytes[0] & 0x0f, (bytes[0] & 0x80) !== 0, bytes.subarray(start, start + length));
    return true;
  }

  #receive(opcode, isFinal, payload) {
    switch (opcode) {
      case OPCODE.continuation:
      case OPCODE.text:
      case OPCODE.binary:
        this.#fragments.push(payload);
        if (isFinal) this.#on.message(Buffer.concat(this.#fragments.splice(0)));
        break;
      case OPCODE.ping:
        this.#frame(OPCODE.pong, payload);
        break;
      case OPCODE.pong:
        break;
      case OPCODE.close:
        this.#frame(OPCODE.close, payload);
        this.#socket.end();
        break;
      default:
        throw new Error(`the server sent a frame of the unknown kind ${opcode}`);
    }
  }

  #frame(opcode, payload) {
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : length < 0x10000 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (head.length === 2 ? length : head.length === 4 ? 126 : 127);
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    const mask = randomBytes(4);
    const masked = Buffer.from(payload.map((byte, index) => byte ^ mask[index % 4]));
    this.#socket.write(Buffer.concat([head, mask, masked]));
  }

  #end(why) {
    this.#socket.destroy();
    const { closed } = this.#on;
    this.#on = { message: () => {}, closed: () => {} };
    closed(why);
  }
}
