// offhook in the server's room of a network, as on a machine of its own: it listens on every address, at the ports that are
// its own, and relays from addresses that no cable leads to. What it is told beside is in `settings`.
import { Server } from '../../browser/harness/server.mjs';
import { RELAY } from './network.mjs';

export const TURN_PORT = 3478;
export const TURN_TLS_PORT = 5349;

/** Many clients of a test show one credential. */
const ROOM_FOR_TESTS = ['--turn-client-allocations', '200', '--turn-client-mbit', '1000'];

/**
 * Starts it, with one account. The network stands already: it learns the machine's addresses when it starts. A `plain` one
 * has no certificate, and its web services are on loopback; for TURN it listens on every address all the same. A
 * `strict` one has the quotas of `settings`, or else those that it has by itself.
 */
export async function startOffhook(settings = [], { plain = false, strict = false } = {}) {
  const quotas = strict ? [] : ROOM_FOR_TESTS;
  const words = ['--turn-relay', Object.values(RELAY).join(','), ...quotas, ...settings];
  if (plain) words.push('--turn-listen', `[::]:${TURN_PORT}`);
  const server = await Server.prepare(words, { plain, listen: plain ? '127.0.0.1:0' : '[::]:443' });
  try {
    const account = await server.createAccount('a@b.c');
    await server.start();
    return { server, account };
  } catch (error) {
    await server.discard();
    throw error;
  }
}

/** A credential that the web service gave out: { username, credential }. */
export async function restCredential(server, account, ttl) {
  const { ice_servers: servers } = await server.turnCredentials(account, ttl);
  const [{ username, credential }] = servers;
  return { username, credential };
}
