// Who is judged: offhook, or, where JUDGED says so, coturn's server, which shows what the judges are worth.
import { certificate } from './certificate.mjs';
import { Coturn } from './coturn.mjs';
import { RELAY } from './network.mjs';
import { restCredential, startOffhook, TURN_PORT, TURN_TLS_PORT } from './offhook.mjs';

/** Starts the server on every address that the rooms reach it by. It relays from addresses of its own. */
export async function judged(network) {
  if (process.env.JUDGED === 'coturn') return judgedCoturn(network);
  const { server, account } = await startOffhook();
  return {
    port: TURN_PORT,
    tlsPort: TURN_TLS_PORT,
    certificatePath: server.certificatePath,
    ca: server.certificate,
    credential: () => restCredential(server, account),
    get output() {
      return server.lastOutput();
    },
    stop: () => server.discard(),
  };
}

async function judgedCoturn(network) {
  const { path, keyPath, pem, discard } = await certificate();
  const addresses = network.rooms.flatMap((room) => Object.values(room.server));
  const coturn = await Coturn.start(addresses, Object.values(RELAY), { certificate: { path, keyPath } });
  return {
    port: coturn.port,
    tlsPort: coturn.tlsPort,
    certificatePath: path,
    ca: pem,
    credential: async () => coturn.credential,
    get output() {
      return coturn.output;
    },
    stop: async () => {
      await coturn.stop();
      await discard();
    },
  };
}
