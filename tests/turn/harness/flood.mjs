// Runs as a program of its own: sends Allocate requests that prove nothing, as long as it is told, each from the next of many ports and with a
// transaction of its own, as fast as it can. Prints how long that took.
import { randomFillSync } from 'node:crypto';
import dgram from 'node:dgram';

import { encode, METHOD, REQUESTED_TRANSPORT_UDP } from './stun.mjs';

const SOCKETS = 64;
/** What is sent before the kernel is waited for. */
const AT_ONCE = 1_000;
const TRANSACTION = 8;

const [host, port, count, padding] = process.argv.slice(2);
const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => connected()));
// An attribute that need not be understood.
const more = Number(padding) > 0 ? [[0xc000, Buffer.alloc(Number(padding))]] : [];
const request = encode({ method: METHOD.allocate, attributes: [REQUESTED_TRANSPORT_UDP, ...more] });
const begun = performance.now();
for (let sent = 0; sent < Number(count); ) {
  const last = Math.min(sent + AT_ONCE, Number(count)) - 1;
  await new Promise((taken) => {
    for (; sent <= last; sent += 1) {
      const message = Buffer.from(request);
      randomFillSync(message, TRANSACTION, 12);
      sockets[sent % SOCKETS].send(message, sent === last ? taken : undefined);
    }
  });
}
console.log(`sent ${count} in ${Math.round(performance.now() - begun)} ms`);
for (const socket of sockets) socket.close();

async function connected() {
  const socket = dgram.createSocket('udp4');
  socket.on('error', () => {});
  await new Promise((done) => socket.connect(Number(port), host, done));
  return socket;
}
