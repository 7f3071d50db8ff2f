// Between SIPp, which speaks SIP over TCP, and the server, which speaks it over WebSocket: each TCP connection becomes one
// WebSocket connection, each message one text frame (RFC 7118 §5). It changes no byte of a message.
import net from 'node:net';

import { Happenings } from '../../browser/harness/bounded.mjs';
import { WebSocketClient } from './websocket.mjs';

const HEAD_END = '\r\n\r\n';
const TO_SIPP = 'to SIPp';
const TO_SERVER = 'to the server';

export class Bridge {
  #listener;
  #sockets = new Set();
  #happenings = new Happenings();

  static async listen(serverPort) {
    const bridge = new Bridge();
    bridge.#listener = net.createServer((socket) => bridge.#join(socket, serverPort));
    await new Promise((listening) => bridge.#listener.listen(0, '127.0.0.1', listening));
    return bridge;
  }

  get port() {
    return this.#listener.address().port;
  }

  /** Waits until the server has sent `count` messages for which `fits(text)` holds. */
  async received(what, fits, count = 1) {
    const enough = () => this.#happenings.all.filter(({ kind, text }) => kind === TO_SIPP && fits(text)).length >= count;
    await this.#happenings.first(what, enough);
  }

  /** What went wrong on the way, for people; empty if nothing did. */
  faults() {
    return this.#happenings.all.filter(({ kind }) => kind === 'fault').map(({ text }) => text);
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#listener.close(closed));
  }

  #join(socket, serverPort) {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    const fault = (text) => {
      this.#happenings.add({ kind: 'fault', text });
      socket.destroy();
    };
    let isLeft = false;
    const server = new WebSocketClient({ port: serverPort, path: '/sipproxy', subprotocol: 'sip' }, {
      message: (bytes) => {
        const text = bytes.toString('latin1');
        // A keep-alive (RFC 5626 §4.4.1) is no message.
        if (/^(\r\n)+$/.test(text)) return;
        // In TCP it is the Content-Length alone that divides messages, so a wrong one would be SIPp's despair, not its verdict.
        if (lengthOf(text) !== bytes.length) return fault(`the server's Content-Length is missing or wrong:\n${text}`);
        socket.write(bytes);
        this.#happenings.add({ kind: TO_SIPP, text });
      },
      closed: (why) => (isLeft ? socket.end() : fault(why)),
    });
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const length = lengthOf(rest.toString('latin1'));
        if (Number.isNaN(length)) return fault(`SIPp sent a message without Content-Length:\n${rest}`);
        if (length === null || rest.length < length) return;
        this.#happenings.add({ kind: TO_SERVER, text: rest.toString('latin1', 0, length) });
        server.send(rest.subarray(0, length));
        rest = rest.subarray(length);
      }
    });
    const leave = () => {
      isLeft = true;
      this.#sockets.delete(socket);
      server.close();
    };
    socket.on('error', leave);
    socket.on('close', leave);
  }
}

/** The length of the message that the text begins with; null before its head is whole, NaN if it does not say. */
function lengthOf(text) {
  const end = text.indexOf(HEAD_END);
  if (end < 0) return null;
  const value = /^(?:Content-Length|l) *: *(\d+) *$/im.exec(text.slice(0, end))?.[1];
  return end + HEAD_END.length + Number(value);
}
