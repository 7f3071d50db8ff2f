// A way to the peer that is narrower than the packets: what may be fragmented arrives, what may not is lost and counted, and
// what the kernel was handed in one piece (UDP_SEGMENT) arrives though it cannot be cut there.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHANNEL, LONGEST_MS, PEER_PORT, scene } from './harness/scene.mjs';

/** The least that IPv6 allows (RFC 8200 §5). */
const NARROW = 1_280;
const TOO_LONG = 1_400;
const BURST = 30;
const props = scene({ rooms: 2, families: ['v4', 'v6'], narrow: NARROW });

// By the other cable, which is as wide as ever.
const allocated = (transport, family) => props.allocated(transport, { by: props.far, family });

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
