// Stands between browsers and the server where a scenario must break the wire or move the server to another port. It ends
// TLS itself where there is TLS, so that it can see whose connection it holds and which answer it swallows; it changes
// nothing. Where each client has a proxy of its own, it needs not look: every signalling connection here is its client's.
import net from 'node:net';
import tls from 'node:tls';

import { eventually, Happenings } from './bounded.mjs';

const UPGRADE = /^GET \/sipproxy[ ?]/;

export class Proxy {
  #listener;
  #certificate;
  #connections = new Set();
  #swallow = null;
  #ambush = null;
  /** One entry for each signalling connection that was opened, in order. */
  #signalling = new Happenings();
  /** The port of the server; null while there is none. */
  upstream = null;

  /** With a certificate it speaks TLS on both sides, without it plain TCP. */
  static async listen({ certificate, key } = {}) {
    const proxy = new Proxy();
    proxy.#certificate = certificate;
    if (certificate) {
      const options = { cert: certificate, key, ALPNProtocols: ['http/1.1'] };
      proxy.#listener = tls.createServer(options, (socket) => proxy.#join(socket));
      // A browser that is closed in the middle of a handshake is nothing to tell.
      proxy.#listener.on('tlsClientError', () => {});
    } else {
      proxy.#listener = net.createServer((socket) => proxy.#join(socket));
    }
    await new Promise((listening) => proxy.#listener.listen(0, '127.0.0.1', listening));
    return proxy;
  }

  get port() {
    return this.#listener.address().port;
  }

  /** The origin of what is behind it, as a page names it. */
  get origin() {
    return `${this.#certificate ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  /** How many signalling connections were opened so far. */
  get opened() {
    return this.#signalling.all.length;
  }

  /** Waits until so many signalling connections were opened, and the last of them is still open. */
  async untilOpened(count, ms) {
    await this.#signalling.first(`${count} signalling connections are opened`, () => this.opened >= count, { ms });
  }

  /** Breaks the connection of the client `id`, at both ends at once. */
  async cut(id) {
    const connection = await eventually(`a connection of ${id} is open`, () =>
      [...this.#connections].reverse().find(({ owner }) => owner === id),
    );
    connection.cut();
  }

  /** Breaks every signalling connection at once; says how many there were. */
  cutSignalling() {
    const live = this.#live();
    for (const connection of live) connection.cut();
    return live.length;
  }

  /**
   * Breaks the next signalling connection over which bytes come from `side` ('client' or 'server'), `atLeast` so many at
   * once: `passed` of them still get through. Gives back a promise of the moment.
   */
  ambush(side, passed = 0, atLeast = 0) {
    return new Promise((sprung) => {
      this.#ambush = { side, passed, atLeast, sprung };
    });
  }

  /** From now on the signalling connections that are open now are silent: bytes vanish both ways, and nothing is closed. */
  freeze() {
    const live = this.#live();
    for (const connection of live) connection.frozen = true;
    return live.length;
  }

  /** The next answer that matches never arrives: it is swallowed, and its connection breaks. */
  swallow(pattern) {
    return new Promise((swallowed) => {
      this.#swallow = { pattern, swallowed };
    });
  }

  close() {
    for (const connection of this.#connections) connection.cut();
    return new Promise((closed) => this.#listener.close(closed));
  }

  #live() {
    return [...this.#connections].filter(({ signalling, frozen }) => signalling && !frozen);
  }

  #dial() {
    const where = { host: '127.0.0.1', port: this.upstream };
    return this.#certificate
      ? tls.connect({ ...where, ca: this.#certificate, ALPNProtocols: ['http/1.1'] })
      : net.connect(where);
  }

  #join(client) {
    if (this.upstream === null) {
      client.on('error', () => {});
      client.destroy();
      return;
    }
    const server = this.#dial();
    const connection = { owner: null, signalling: false, frozen: false, broken: false };
    const cut = () => {
      connection.broken = true;
      for (const socket of [client, server]) socket.destroy();
    };
    connection.cut = cut;
    this.#connections.add(connection);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => connection.frozen || cut());
      socket.on('close', () => {
        // Half-open is where one end does not learn of the other's close.
        if (connection.frozen && !connection.broken) return;
        cut();
        this.#connections.delete(connection);
      });
    }
    client.on('end', () => connection.frozen || server.end());
    server.on('end', () => connection.frozen || client.end());
    client.on('data', (bytes) => this.#fromClient(connection, bytes, server));
    server.on('data', (bytes) => this.#fromServer(connection, bytes, client));
  }

  #fromClient(connection, bytes, server) {
    if (connection.frozen) return;
    if (!connection.signalling && UPGRADE.test(bytes.toString('latin1', 0, 32))) {
      connection.signalling = true;
      this.#signalling.add(connection);
    } else if (this.#springs(connection, 'client', bytes, server)) {
      return;
    }
    server.write(bytes);
  }

  #fromServer(connection, bytes, client) {
    if (connection.frozen) return;
    const text = bytes.toString('latin1');
    // The first answer is to a request of the client's own, so its From tells whose connection this is.
    connection.owner ??= /^From:[^\r]*<sip:([^@>]+)@/im.exec(text)?.[1] ?? null;
    if (this.#swallow?.pattern.test(text)) {
      const { swallowed } = this.#swallow;
      this.#swallow = null;
      connection.cut();
      swallowed();
      return;
    }
    if (this.#springs(connection, 'server', bytes, client)) return;
    client.write(bytes);
  }

  #springs(connection, side, bytes, towards) {
    if (!connection.signalling || this.#ambush?.side !== side || bytes.length < this.#ambush.atLeast) return false;
    const { passed, sprung } = this.#ambush;
    this.#ambush = null;
    connection.frozen = true;
    // What still gets through is on its way before the connection breaks.
    towards.write(bytes.subarray(0, passed), () => connection.cut());
    sprung();
    return true;
  }
}
