// A way to the peer that is narrower than the packets: what may be fragmented arrives, what may not is lost and counted, and
// what the kernel was handed in one piece (UDP_SEGMENT) arrives though it cannot be cut there.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startPeer } from './harness/coturn.mjs';
import { Network } from './harness/network.mjs';
import { restCredential, startOffhook, TURN_PORT } from './harness/offhook.mjs';
import { closeClients, TurnClient } from './harness/turn_client.mjs';

const LONGEST_MS = 60_000;
const PEER_PORT = 3480;
const CHANNEL = 0x4000;
/** The least that IPv6 allows (RFC 8200 §5). */
const NARROW = 1_280;
const TOO_LONG = 1_400;
const BURST = 30;
const props = {};

before(async () => {
  props.network = await Network.build(2, { knowRelays: true });
  [props.near, props.far] = props.network.rooms;
  await props.network.narrow(props.near, NARROW);
  const { v4, v6 } = props.near.own;
  props.peers = await Promise.all([v4, v6].map((address) => startPeer(props.near, address, PEER_PORT)));
  Object.assign(props, await startOffhook([], { plain: true }));
}, { timeout: LONGEST_MS });

after(async () => {
  closeClients();
  await props.server?.discard();
  await Promise.all((props.peers ?? []).map((peer) => peer.kill()));
  await props.network?.remove();
}, { timeout: LONGEST_MS });

async function allocated(transport, family) {
  // By the other cable, which is as wide as ever.
  const client = await TurnClient.open({ host: props.far.server.v4, port: TURN_PORT, transport });
  return client.allocated(await restCredential(props.server, props.account), { family });
}

async function unsent() {
  const { counters } = await props.server.status();
  return counters.turn_packets_unsent;
}

function comes(client, payload) {
  return client.until(`${payload.length} bytes of ${payload[0]} come back`, ({ data }) => data?.equals(payload));
}

for (const family of [4, 6]) {
  const ip = () => props.near.own[`v${family}`];

  test(`DONT-FRAGMENT to a peer of IPv${family}: what is too long is lost, and nothing else`, { timeout: LONGEST_MS }, async () => {
    const client = await allocated('udp', family);
    const peer = { ip: ip(), port: PEER_PORT };
    assert.equal(await client.permit(peer.ip), 0);
    const before = await unsent();
    // Each is waited for, so that what does not come was sent before what did.
    const sendings = [[TOO_LONG, true], [TOO_LONG, false], [172, true], [TOO_LONG, true], [TOO_LONG, false]];
    for (const [number, [length, whole]] of sendings.entries()) {
      const payload = Buffer.alloc(length, number);
      client.send(peer, payload, { whole });
      if (length < NARROW || !whole) await comes(client, payload);
    }
    assert.deepEqual(client.arrived.map(({ data }) => data[0]), [1, 2, 4]);
    assert.equal((await unsent()) - before, 2);
    client.close();
  });

  test(`a burst to a peer of IPv${family} arrives whole and in order, though each packet is longer than the way allows`, { timeout: LONGEST_MS }, async () => {
    // Of a stream, many packets are read at once, and sent as one.
    const client = await allocated('tcp', family);
    assert.equal(await client.bind(CHANNEL, { ip: ip(), port: PEER_PORT }), 0);
    const before = await unsent();
    const payloads = Array.from({ length: BURST }, (_, number) => Buffer.alloc(number === BURST - 1 ? 777 : TOO_LONG, number));
    client.sendChannel(CHANNEL, ...payloads);
    await comes(client, payloads.at(-1));
    assert.deepEqual(client.arrived.map(({ data }) => data[0]), [...payloads.keys()]);
    assert.equal(await unsent(), before);
    client.close();
  });
}
