// A flood of requests that prove nothing, from one room, while a relay works for another: not a packet of it is lost, nor late.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { TURN_PORT } from './harness/offhook.mjs';
import { Program } from './harness/program.mjs';
import { CHANNEL, LONGEST_MS, PEER_PORT, scene } from './harness/scene.mjs';

const FLOOD = 200_000;
const LEAST_A_SECOND = 50_000;
/** What a jitter buffer evens out. */
const LATE_MS = 60;
const FLOODER = fileURLToPath(new URL('harness/flood.mjs', import.meta.url));
const props = scene({ rooms: 2 });

for (const [title, padding] of [
  ['50,000 unauthenticated allocations a second leave a running call unharmed', 0],
  ['the same, padded to more than the length of an answer', 100],
]) {
  test(title, { timeout: LONGEST_MS }, async () => {
    const { near, far, server } = props;
    // The same address as the flood's: one socket, and one queue, for both.
    const client = await props.allocated('udp', { by: far });
    assert.equal(await client.bind(CHANNEL, { ip: near.own.v4, port: PEER_PORT }), 0);
    const before = (await server.status()).counters.turn_unauthenticated_dropped;
    const flood = new Program(['node', FLOODER, far.server.v4, TURN_PORT, FLOOD, padding].map(String), { room: far });
    let isOver = false;
    flood.ended.then(() => (isOver = true));
    const roundTrips = [];
    // One packet at a time, and each comes back: a lost one would end the test.
    for (let number = 0; !isOver; number += 1) {
      const words = `packet ${number}`;
      const begun = performance.now();
      client.sendChannel(CHANNEL, words);
      await client.until(`${words} comes back`, ({ data }) => data?.toString() === words);
      roundTrips.push(performance.now() - begun);
    }
    // What the server did not read has flooded nobody.
    const { counters } = await server.status();
    const read = counters.turn_unauthenticated_dropped - before;
    const [, took] = await flood.says(/^sent \d+ in (\d+) ms$/);
    const rate = (read / Number(took)) * 1_000;
    roundTrips.sort((one, other) => one - other);
    const p99 = roundTrips[Math.floor(roundTrips.length * 0.99)];
    const story = `${Math.round(rate)} requests a second read, ${roundTrips.length} round trips, the 99th of 100 in ${p99.toFixed(1)} ms`;
    console.log(story);
    assert.ok(rate >= LEAST_A_SECOND, story);
    assert.ok(p99 < LATE_MS, story);
    assert.equal(await client.refresh(600), 0);
  });
}
