// Stands between the browser and the server where a scenario must break the wire or move the server to another port. It
// ends TLS itself, so that it can see whose connection it holds and which answer it swallows; it changes nothing.
import tls from 'node:tls';

import { eventually } from './bounded.mjs';

export class Proxy {
  #listener;
  #connections = new Set();
  #swallow = null;
  /** The port of the server; null while there is none. */
  upstream = null;

  static async listen({ certificate, key }) {
    const proxy = new Proxy();
    const options = { cert: certificate, key, ALPNProtocols: ['http/1.1'] };
    proxy.#listener = tls.createServer(options, (socket) => proxy.#join(socket, certificate));
    // A browser that is closed in the middle of a handshake is nothing to tell.
    proxy.#listener.on('tlsClientError', () => {});
    await new Promise((listening) => proxy.#listener.listen(0, '127.0.0.1', listening));
    return proxy;
  }

  get port() {
    return this.#listener.address().port;
  }

  /** Breaks the connection of the client `id`, at both ends at once. */
  async cut(id) {
    const connection = await eventually(`a connection of ${id} is open`, () =>
      [...this.#connections].reverse().find(({ owner }) => owner === id),
    );
    connection.cut();
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

  #join(client, certificate) {
    if (this.upstream === null) {
      client.destroy();
      return;
    }
    const server = tls.connect({ host: '127.0.0.1', port: this.upstream, ca: certificate, ALPNProtocols: ['http/1.1'] });
    const connection = { owner: null, cut: () => [client, server].forEach((socket) => socket.destroy()) };
    this.#connections.add(connection);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', connection.cut);
      socket.on('close', () => {
        connection.cut();
        this.#connections.delete(connection);
      });
    }
    client.on('data', (bytes) => server.write(bytes));
    client.on('end', () => server.end());
    server.on('end', () => client.end());
    server.on('data', (bytes) => {
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
      client.write(bytes);
    });
  }
}
