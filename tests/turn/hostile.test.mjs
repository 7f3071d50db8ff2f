// What was overheard, and who only holds the door: nonces of others, requests sent again from elsewhere, silent connections.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHANNEL, LONGEST_MS, PEER_PORT, scene } from './harness/scene.mjs';
import { ATTRIBUTE, encode, METHOD, number32 } from './harness/stun.mjs';

const STALE_NONCE = 438;
const QUOTA_REACHED = 486;
/** Of one client, in these tests. */
const ALLOCATIONS = 200;
const HOARDED = 220;
const SILENT = 600;
const SILENCE_ENDS_MS = 50_000;
const props = scene();

/** Bytes that prove this client, for whoever sends them. */
function refreshOf({ username, realm, nonce, key }, seconds) {
  const proof = [
    [ATTRIBUTE.username, Buffer.from(username)],
    [ATTRIBUTE.realm, Buffer.from(realm)],
    [ATTRIBUTE.nonce, nonce],
  ];
  return encode({ method: METHOD.refresh, attributes: [[ATTRIBUTE.lifetime, number32(seconds)], ...proof], key });
}

async function echoes(client, words) {
  client.sendChannel(CHANNEL, words);
  await client.until(`${words} comes back`, ({ data }) => data?.toString() === words);
}

test('a nonce that nobody gave: 438, with one that is good', { timeout: LONGEST_MS }, async () => {
  const client = await props.allocated();
  const nonce = Buffer.from(client.nonce.toString().replace(/^./, (first) => (first === 'A' ? 'B' : 'A')));
  const answer = await client.exchange(refreshOf({ ...proofOf(client), nonce }, 600));
  assert.equal(answer.code, STALE_NONCE);
  assert.ok(answer.get(ATTRIBUTE.nonce));
  assert.equal(await client.refresh(600), 0);
});

function proofOf({ username, realm, nonce, key }) {
  return { username, realm, nonce, key };
}

test('what was overheard and is sent from elsewhere ends nothing: 438', { timeout: LONGEST_MS }, async () => {
  const [client, thief] = await Promise.all([props.allocated(), props.allocated()]);
  const overheard = refreshOf(proofOf(client), 0);
  const answer = await thief.exchange(overheard);
  assert.equal(answer.code, STALE_NONCE);
  assert.equal(await client.bind(CHANNEL, { ip: props.near.own.v4, port: PEER_PORT }), 0);
  await echoes(client, 'still there');
  assert.equal(await thief.refresh(600), 0);
  // Of the client itself it is good, once: what is ended stays ended.
  assert.equal((await client.exchange(overheard)).code ?? 0, 0);
  assert.equal((await client.exchange(refreshOf(proofOf(client), 600))).code, 437);
});

test('hundreds of connections that say nothing are closed, and who talks beside them goes on', { timeout: LONGEST_MS }, async () => {
  const client = await props.allocated('tcp');
  assert.equal(await client.bind(CHANNEL, { ip: props.near.own.v4, port: PEER_PORT }), 0);
  const open = () => props.connection('tcp');
  const silent = await Promise.all(Array.from({ length: SILENT }, open));
  await echoes(client, 'beside silence');
  await Promise.all(silent.map((one) => one.untilClosed(SILENCE_ENDS_MS)));
  await echoes(client, 'after silence');
  assert.equal(client.isClosed, false);
});

test('ports that are set aside count like allocations: nobody hoards them', { timeout: LONGEST_MS }, async () => {
  const client = await props.connection();
  await client.use(await props.credential());
  const pair = [[ATTRIBUTE.evenPort, Buffer.from([0x80])]];
  const codes = [];
  for (let number = 0; number < HOARDED; number += 1) {
    codes.push((await client.allocate({ more: pair })).code);
    if (codes.at(-1) === 0) assert.equal(await client.refresh(0), 0);
  }
  // What is left of each pair is one port. For the last one there is no room for two.
  const granted = codes.filter((code) => code === 0).length;
  assert.equal(granted, ALLOCATIONS - 1);
  assert.ok(codes.slice(granted).every((code) => code === QUOTA_REACHED), `${codes}`);
  // Others have theirs.
  assert.equal(await (await props.allocated()).refresh(600), 0);
});
