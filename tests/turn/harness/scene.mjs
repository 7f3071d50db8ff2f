// What most tests of the relay stand in: rooms that know the way to the relayed addresses, echoes in the first of them, and an
// offhook without TLS, with one account. Taken down again, whatever became of it.
import { after, before } from 'node:test';

import { startPeer } from './coturn.mjs';
import { Network } from './network.mjs';
import { restCredential, startOffhook, TURN_PORT } from './offhook.mjs';
import { closeClients, TurnClient } from './turn_client.mjs';

export const LONGEST_MS = 60_000;
export const PEER_PORT = 3480;
export const CHANNEL = 0x4000;

/**
 * Builds it before the tests of a file: `near` is the room of the echoes, at its addresses of these families, `far` another one
 * if there are two. `narrow` is how long an IP packet to the near room may be. The rest is as `startOffhook` takes it.
 */
export function scene({ rooms = 1, families = ['v4'], narrow, settings = [], strict = false } = {}) {
  const scene = {
    /** A connection to the server, from the room of the test, that has no allocation. */
    connection: (transport = 'udp', by = scene.near) => TurnClient.open({ host: by.server.v4, port: TURN_PORT, transport }),
    credential: () => restCredential(scene.server, scene.account),
    /** One that has. */
    async allocated(transport, { by, family } = {}) {
      const client = await scene.connection(transport, by);
      return client.allocated(await scene.credential(), { family });
    },
  };
  before(async () => {
    scene.network = await Network.build(rooms, { knowRelays: true });
    [scene.near, scene.far] = scene.network.rooms;
    if (narrow) await scene.network.narrow(scene.near, narrow);
    scene.peers = await Promise.all(families.map((family) => startPeer(scene.near, scene.near.own[family], PEER_PORT)));
    Object.assign(scene, await startOffhook(settings, { plain: true, strict }));
  }, { timeout: LONGEST_MS });
  after(async () => {
    closeClients();
    await scene.server?.discard();
    await Promise.all((scene.peers ?? []).map((peer) => peer.kill()));
    await scene.network?.remove();
  }, { timeout: LONGEST_MS });
  return scene;
}
