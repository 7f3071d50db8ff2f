// Sockets in the server's room that nobody may get a packet to. What falls in is kept with the words it carries, so that a
// test counts packets where they would arrive and believes no reply.
import dgram from 'node:dgram';

import { bounded } from '../../browser/harness/bounded.mjs';

const CANARY = 'canary';
const FIRST_RELAY_PORT = 49_152;

export class Traps {
  #sockets = [];
  #fell = [];
  #canaries = new Map();
  port;

  /** One port on every IPv4 address of the room and on every IPv6 address; they listen to the multicast groups as well. */
  static async set(groups = []) {
    const traps = new Traps();
    const v4 = await traps.#openBelowRelays();
    traps.port = v4.address().port;
    v4.setBroadcast(true);
    for (const group of groups) v4.addMembership(group, '127.0.0.1');
    await traps.#open({ type: 'udp6', ipv6Only: true }, { address: '::', port: traps.port });
    return traps;
  }

  /** The words of every packet that fell in so far. */
  async fallen() {
    // A socket of this room hands over in the order of arrival: behind the canary there is nothing of before.
    await Promise.all(this.#sockets.map((socket) => this.#sing(socket)));
    return this.#fell.splice(0);
  }

  close() {
    for (const socket of this.#sockets) socket.close();
  }

  /** A port that no relayed address has: as a peer, it is the machine's own and nothing else. */
  async #openBelowRelays() {
    for (;;) {
      const socket = await this.#open({ type: 'udp4' }, { address: '0.0.0.0', port: 0 });
      if (socket.address().port < FIRST_RELAY_PORT) return socket;
      this.#sockets.splice(this.#sockets.indexOf(socket), 1);
      socket.close();
    }
  }

  async #open(options, where) {
    const socket = dgram.createSocket({ ...options, recvBufferSize: 1 << 20 });
    await new Promise((bound, failed) => socket.once('error', failed).bind(where, bound));
    socket.on('message', (bytes) => {
      const words = bytes.toString();
      if (words === CANARY) this.#canaries.get(socket)?.();
      else this.#fell.push(words);
    });
    this.#sockets.push(socket);
    return socket;
  }

  #sing(socket) {
    const heard = new Promise((resolve) => this.#canaries.set(socket, resolve));
    const { port, family } = socket.address();
    socket.send(CANARY, port, family === 'IPv6' ? '::1' : '127.0.0.1');
    return bounded(heard, 'a trap hears its canary');
  }
}
