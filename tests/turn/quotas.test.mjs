// Quotas where they are felt: one client sends all that it can, and a second one of the same account, beside it, loses nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHANNEL, LONGEST_MS, PEER_PORT, scene } from './harness/scene.mjs';

/** One Mbit/s. */
const BYTES_A_SECOND = 125_000;
/** What a client has at its start, and what it was lent and has not used. */
const LEASE = 64 * 1_024;
const LONG = 1_000;
const AT_ONCE = 20;
const LASTS_MS = 1_500;
const ALLOCATIONS = 3;
const QUOTA_REACHED = 486;
const props = scene({
  settings: ['--turn-client-mbit', 1, '--turn-client-allocations', ALLOCATIONS].map(String),
  strict: true,
});

test('bandwidth: what is too much is dropped, and the client beside it loses nothing', { timeout: LONGEST_MS }, async () => {
  const [greedy, calm] = await Promise.all([props.connection('tcp'), props.connection('udp')]);
  for (const client of [greedy, calm]) {
    await client.allocated(await props.credential());
    assert.equal(await client.bind(CHANNEL, { ip: props.near.own.v4, port: PEER_PORT }), 0);
  }
  const [begun, before] = [performance.now(), await props.near.udpPackets()];
  let [sent, calmly] = [0, 0];
  while (performance.now() - begun < LASTS_MS) {
    greedy.sendChannel(CHANNEL, ...Array(AT_ONCE).fill(Buffer.alloc(LONG)));
    sent += AT_ONCE;
    const words = `packet ${calmly}`;
    calmly += 1;
    calm.sendChannel(CHANNEL, words);
    await calm.until(`${words} comes back`, ({ data }) => data?.toString() === words);
  }
  // All that it sent was read before this is answered.
  assert.equal(await greedy.refresh(600), 0);
  const seconds = (performance.now() - begun) / 1_000;
  const passed = (await props.near.udpPackets()) - before - calmly;
  const story = `${passed} packets of ${sent} passed in ${seconds.toFixed(2)} s, and ${calmly} beside them`;
  assert.ok(passed * LONG <= BYTES_A_SECOND * seconds + LEASE, story);
  // Some come back, and count as well.
  assert.ok(passed * LONG >= BYTES_A_SECOND * seconds / 4, story);
  assert.ok(sent > 4 * passed, story);
  assert.equal((await props.server.status()).counters.turn_packets_dropped_quota > 0, true);
});

test('allocations: one too many is refused with 486, and a client beside it gets its own', { timeout: LONGEST_MS }, async () => {
  const given = await props.credential();
  const allocate = async (shown) => {
    const client = await props.connection('udp');
    await client.use(shown);
    return { client, code: (await client.allocate()).code };
  };
  const full = [];
  for (let number = 0; number < ALLOCATIONS; number += 1) full.push(await allocate(given));
  assert.deepEqual(full.map(({ code }) => code), Array(ALLOCATIONS).fill(0));
  assert.equal((await allocate(given)).code, QUOTA_REACHED);
  assert.equal((await allocate(await props.credential())).code, 0);
  assert.equal(await full[0].client.refresh(0), 0);
  assert.equal((await allocate(given)).code, 0);
});
