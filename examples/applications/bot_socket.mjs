// The application's end of a stream: a WebSocket (RFC 6455) as far as one needs it, without a library. Checks the signature where
// OFFHOOK_SECRET is set.
import { createHash } from 'node:crypto';

import { isOurs } from './signature.mjs';

const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];

/** Calls `talk` with a Bot for each stream that comes to the server. */
export function streams(server, talk, secret = process.env.OFFHOOK_SECRET) {
  server.on('upgrade', (request, socket) => {
    const { headers } = request;
    if (secret && !isOurs(headers, headers['x-offhook-instance'], secret)) return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const key = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${key}`];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    talk(new Bot(socket), request);
  });
}

/** Set `onWord` and `onSound`: they get control messages, and 20 ms of samples (Int16Array) at a time. `onEnd` is called once. */
class Bot {
  onWord = () => {};
  onSound = () => {};
  onEnd = () => {};
  #socket;
  #unread = Buffer.alloc(0);

  constructor(socket) {
    this.#socket = socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => {}).on('close', () => this.onEnd());
  }

  /** `{event: 'clear'}`, `{event: 'mark', name}` or `{event: 'end', result}`. */
  tell(word) {
    this.#send(TEXT, Buffer.from(JSON.stringify(word)));
  }

  /** Any number of samples; they are heard one after the other. */
  say(samples) {
    const whole = 16_000;
    for (let at = 0; at < samples.length; at += whole) {
      const part = samples.subarray(at, at + whole);
      this.#send(BINARY, Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    }
  }

  close(code = 1000) {
    this.#send(CLOSE, Buffer.from([code >> 8, code & 255]));
  }

  // RFC 6455 §5.2. A server masks nothing, and a client everything.
  #send(kind, bytes) {
    if (this.#socket.destroyed) return;
    const head = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | kind, ...head]), bytes]));
  }

  #take(chunk) {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 2) {
      const [first, second] = this.#unread;
      const long = (second & 127) === 126 ? 2 : 0;
      if (this.#unread.length < 2 + long + 4) return;
      const length = long ? this.#unread.readUInt16BE(2) : second & 127;
      const begins = 2 + long + 4;
      if (this.#unread.length < begins + length) return;
      const mask = this.#unread.subarray(begins - 4, begins);
      // A copy, so that samples stand where an array of them may begin.
      const bytes = Buffer.from(Uint8Array.from(this.#unread.subarray(begins, begins + length), (byte, at) => byte ^ mask[at % 4]).buffer);
      this.#unread = this.#unread.subarray(begins + length);
      this.#on(first & 15, bytes);
    }
  }

  #on(kind, bytes) {
    if (kind === BINARY) this.onSound(new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
    if (kind === TEXT) this.onWord(JSON.parse(bytes.toString()));
    if (kind === PING) this.#send(PONG, bytes);
    if (kind === CLOSE) {
      this.#send(CLOSE, bytes);
      this.#socket.end();
    }
  }
}
