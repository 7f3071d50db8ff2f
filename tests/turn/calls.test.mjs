// What a call allows: a credential reaches the addresses that the call's other side named, our own relayed addresses, and
// nothing else; nothing at all is left of it ten seconds after the call. Whoever steals it gets no further.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { eventually } from '../browser/harness/bounded.mjs';
import { Caller } from './harness/caller.mjs';
import { startPeer } from './harness/coturn.mjs';
import { Network, RELAY } from './harness/network.mjs';
import { restCredential, startOffhook, TURN_PORT, TURN_TLS_PORT } from './harness/offhook.mjs';
import { ATTRIBUTE, CLASS, METHOD } from './harness/stun.mjs';
import { Traps } from './harness/traps.mjs';
import { closeClients, TurnClient } from './harness/turn_client.mjs';

const LONGEST_MS = 60_000;
const PEER_PORT = 3480;
const CODE = { none: 0, unauthenticated: 401, forbidden: 403, wrongCredentials: 441, quota: 486 };
/** How long the addresses of an ended call may still be reached, and how long the test waits for their end. */
const GRACE_MS = 10_000;
const GRACE_LONGEST_MS = 16_000;
const props = {};

before(async () => {
  props.network = await Network.build(2, { knowRelays: true });
  [props.near, props.far] = props.network.rooms;
  props.traps = await Traps.set();
  props.peer = await startPeer(props.far, props.far.own.v4, PEER_PORT);
  Object.assign(props, await startOffhook([], { plain: true }));
}, { timeout: LONGEST_MS });

after(async () => {
  closeClients();
  await props.server?.discard();
  props.traps?.close();
  await props.peer?.kill();
  await props.network?.remove();
}, { timeout: LONGEST_MS });

let count = 0;

/** Two registered clients, closed after `body`. */
function scenario(title, body) {
  test(title, { timeout: LONGEST_MS }, async () => {
    count += 1;
    const open = (name) => Caller.open(props.server, props.account, `${name}.${count}`);
    const [alice, bob] = await Promise.all([open('alice'), open('bob')]);
    try {
      await Promise.all([alice.register(), bob.register()]);
      await body({ alice, bob });
    } catch (error) {
      console.log(`--- ${title}: the server's last words\n${props.server.lastOutput()}\n---`);
      throw error;
    } finally {
      await Promise.all([alice.close(), bob.close()]);
    }
  });
}

/** Alice calls bob, and both name what they can be reached by. */
async function connect({ alice, bob }, named = { alice: [], bob: [] }) {
  const call = await alice.call(bob, named.alice);
  const invite = await bob.called(call);
  await Promise.all([bob.answer(invite, named.bob), alice.connected(call)]);
  return call;
}

/** A TURN client of the first room's, with an allocation. */
async function relayed(credential) {
  const client = await TurnClient.open({ host: props.near.server.v4, port: TURN_PORT });
  return client.allocated(credential);
}

/** Whether what is sent to the peer comes back. */
async function echoes(client, words) {
  client.send({ ip: props.far.own.v4, port: PEER_PORT }, words);
  await client.until('the peer echoes', ({ data }) => data?.toString() === words);
}

scenario('before a call: nobody, our own relayed addresses included', async ({ alice, bob }) => {
  const [hers, his] = await Promise.all([relayed(await alice.credential()), relayed(await bob.credential())]);
  for (const peer of [{ ip: props.far.own.v4, port: PEER_PORT }, his.relayed, hers.relayed]) {
    assert.equal(await hers.permit(peer.ip), CODE.forbidden);
    assert.equal(await hers.bind(0x4000, peer), CODE.forbidden);
  }
});

scenario('in a call: our own relayed addresses, with nobody naming them', async ({ alice, bob }) => {
  const [hers, his] = await Promise.all([relayed(await alice.credential()), relayed(await bob.credential())]);
  await connect({ alice, bob });
  assert.equal(await hers.permit(his.relayed.ip), CODE.none);
  assert.equal(await his.bind(0x4000, hers.relayed), CODE.none);
  hers.send(his.relayed, 'from relay to relay');
  const came = await his.until('the other relay is reached', () => true);
  assert.deepEqual([came.channel, came.data.toString()], [0x4000, 'from relay to relay']);
});

scenario('in a call: what the other side named, for whoever it was named to', async ({ alice, bob }) => {
  const [hers, his] = await Promise.all([relayed(await alice.credential()), relayed(await bob.credential())]);
  await connect({ alice, bob }, { alice: [], bob: [props.far.own.v4] });
  assert.equal(await hers.permit(props.far.own.v4), CODE.none);
  await echoes(hers, 'named by bob');
  // Bob may not reach what he named himself.
  assert.equal(await his.permit(props.far.own.v4), CODE.forbidden);
});

scenario('naming a forbidden address opens no way to it', async ({ alice, bob }) => {
  const forbidden = ['127.0.0.1', '10.9.8.7', '169.254.169.254', '::1', '::ffff:127.0.0.1', props.near.server.v4];
  const hers = await relayed(await alice.credential());
  await connect({ alice, bob }, { alice: forbidden, bob: [...forbidden, props.far.own.v4] });
  for (const ip of forbidden.filter((address) => !address.includes(':'))) {
    assert.equal(await hers.permit(ip), CODE.forbidden, ip);
    assert.equal(await hers.bind(0x4001, { ip, port: props.traps.port }), CODE.forbidden, ip);
    hers.send({ ip, port: props.traps.port }, `Send to ${ip}`);
  }
  assert.equal(await hers.permit(props.far.own.v4), CODE.none);
  await echoes(hers, 'all that came before was looked at');
  assert.deepEqual(await props.traps.fallen(), []);
});

scenario("a stolen credential scans the networks around the node and reaches nothing but the call's", async ({ alice, bob }) => {
  await connect({ alice, bob }, { alice: [], bob: [props.far.own.v4] });
  // The thief is somewhere else, and has what alice was given.
  const { username, credential } = await alice.credential();
  const thief = await TurnClient.open({ host: props.far.server.v4, port: TURN_PORT });
  await thief.allocated({ username, credential });
  const networks = ['192.0.2', '198.51.100', '203.0.113', '127.0.0', '10.9.8', '192.168.7', '169.254.169'];
  const targets = networks.flatMap((network) => Array.from({ length: 256 }, (_, host) => `${network}.${host}`));
  const reached = [];
  for (const ip of targets) {
    // Its requests are answered one after another, as fast as a scan can be that wants to know.
    if ((await thief.permit(ip)) === CODE.none) reached.push(ip);
    for (const port of [props.traps.port, props.server.port, TURN_PORT, TURN_TLS_PORT]) thief.send({ ip, port }, `scan of ${ip}`);
  }
  // Our own relayed addresses are no secret; behind their other ports there is nothing.
  assert.deepEqual(reached, [props.far.own.v4, RELAY.v4]);
  await echoes(thief, 'the scan is over');
  assert.deepEqual(await props.traps.fallen(), []);
});

scenario('after the call: for ten seconds more, then not a packet, though the allocation stands', async ({ alice, bob }) => {
  const hers = await relayed(await alice.credential());
  const call = await connect({ alice, bob }, { alice: [], bob: [props.far.own.v4] });
  assert.equal(await hers.bind(0x4002, { ip: props.far.own.v4, port: PEER_PORT }), CODE.none);
  const earlier = await props.far.udpPackets();
  await echoes(hers, 'during the call');
  assert.ok((await props.far.udpPackets()) > earlier, 'what arrives at the peer is counted');
  const hungUp = alice.hangUp(call);
  await bob.ended();
  await hungUp;
  const ended = Date.now();
  assert.equal(await hers.permit(props.far.own.v4), CODE.none, 'right after the call');
  await echoes(hers, 'right after the call');
  await eventually('the way is closed', async () => (await hers.permit(props.far.own.v4)) === CODE.forbidden, GRACE_LONGEST_MS);
  const waited = Date.now() - ended;
  assert.ok(waited > GRACE_MS - 1_000, `the way was closed after ${waited} ms already`);
  // The channel is bound for ten minutes, and its permission is gone all the same.
  const [arrived, came] = [await props.far.udpPackets(), hers.arrived.length];
  hers.sendChannel(0x4002, 'after the call');
  hers.send({ ip: props.far.own.v4, port: PEER_PORT }, 'after the call');
  assert.equal(await hers.bind(0x4002, { ip: props.far.own.v4, port: PEER_PORT }), CODE.forbidden);
  assert.equal(await hers.permit(hers.relayed.ip), CODE.forbidden);
  // Answered after all that came before, by the same thread.
  assert.equal(await hers.refresh(600), CODE.none, 'the allocation still stands');
  assert.equal(await props.far.udpPackets(), arrived, 'a packet arrived at the peer');
  assert.equal(hers.arrived.length, came);
});

scenario('after the connection: no allocation with its credential, and no refresh', async ({ alice }) => {
  const credential = await alice.credential();
  const hers = await relayed(credential);
  await alice.close();
  await eventually('it refreshes no more', async () => (await hers.refresh(600)) !== CODE.none);
  const late = await TurnClient.open({ host: props.near.server.v4, port: TURN_PORT });
  await late.use(credential);
  assert.equal((await late.allocate()).code, CODE.unauthenticated);
});

scenario("another client's credential does nothing with an allocation: 441", async ({ alice, bob }) => {
  const hers = await relayed(await alice.credential());
  await hers.use(await bob.credential());
  assert.equal(await hers.permit(RELAY.v4), CODE.wrongCredentials);
  assert.equal(await hers.bind(0x4003, { ip: RELAY.v4, port: 50_000 }), CODE.wrongCredentials);
  assert.equal(await hers.refresh(0), CODE.wrongCredentials);
  await hers.use(await restCredential(props.server, props.account));
  assert.equal(await hers.refresh(0), CODE.wrongCredentials);
});

scenario('a credential that was changed, or that nobody gave out, is refused: 401', async ({ alice }) => {
  const { username, credential } = await alice.credential();
  const [until, name] = username.split(':');
  const words = name.split('.');
  const other = [...words.slice(0, -1), (BigInt(`0x${words.at(-1)}`) + 1n).toString(16)].join('.');
  const forged = [`${Number(until) + 3_600}:${name}`, `${until}:${other}`, `${until}:${name}0`, `${until}:`, '', 'x'.repeat(500)];
  for (const forgery of forged) {
    const client = await TurnClient.open({ host: props.near.server.v4, port: TURN_PORT });
    await client.use({ username: forgery, credential });
    const { code } = await client.allocate();
    assert.ok([CODE.unauthenticated, 400].includes(code), `${forgery}: ${code}`);
    client.close();
  }
});

test('whoever has shown no token gets a small credential, and an unknown key none', { timeout: LONGEST_MS }, async () => {
  const stranger = await Caller.open(props.server, { ...props.account, api_key: null }, 'stranger');
  const credential = await stranger.credential();
  const life = Number(credential.username.split(':')[0]) - Date.now() / 1_000;
  assert.ok(life > 30 && life <= 61, `it lives for ${life} s`);
  const codes = [];
  while (codes.at(-1) !== CODE.quota && codes.length < 20) {
    const client = await TurnClient.open({ host: props.near.server.v4, port: TURN_PORT });
    await client.use(credential);
    codes.push((await client.allocate()).code);
  }
  assert.equal(codes.at(-1), CODE.quota, `so many allocations: ${codes.length}`);
  const unknown = await Caller.open(props.server, { webrtc_access_key: 'nobodyhasthiskey' }, 'stranger');
  assert.equal((await unknown.iceServers()).status, 403);
  await Promise.all([stranger.close(), unknown.close()]);
});

scenario('what was relayed stands in the record of the call, for each side and direction', async ({ alice, bob }) => {
  const hers = await relayed(await alice.credential());
  const call = await connect({ alice, bob }, { alice: [], bob: [props.far.own.v4] });
  assert.equal(await hers.permit(props.far.own.v4), CODE.none);
  for (let packet = 0; packet < 20; packet += 1) await echoes(hers, `packet ${String(packet).padStart(3, '0')}`);
  const hungUp = alice.hangUp(call);
  await bob.ended();
  await hungUp;
  await hers.refresh(0);
  const record = await eventually('the record has everything', async () => {
    const records = await props.server.calls(props.account);
    const own = records.find(({ call_id: id }) => id === call.id);
    return own?.ended && own.relay.caller.sent.packets >= 20 && own;
  });
  const traffic = { packets: 20, bytes: 20 * 'packet 000'.length };
  assert.deepEqual(record.relay.caller, { sent: traffic, received: traffic });
  assert.deepEqual(record.relay.callee, { sent: { packets: 0, bytes: 0 }, received: { packets: 0, bytes: 0 } });
});

test('without a certificate two URLs are handed out, and both answer', { timeout: LONGEST_MS }, async () => {
  const { ice_servers: servers } = await props.server.turnCredentials(props.account);
  const urls = servers.flatMap(({ urls: list }) => list);
  const expected = [`turn:127.0.0.1:${TURN_PORT}?transport=udp`, `turn:127.0.0.1:${TURN_PORT}?transport=tcp`];
  assert.deepEqual(urls, expected);
  for (const transport of ['udp', 'tcp']) {
    const client = await TurnClient.open({ host: '127.0.0.1', port: TURN_PORT, transport });
    const answer = await client.request(METHOD.binding, [], { proven: false });
    assert.equal(answer.kind, CLASS.success);
    assert.ok(answer.address(ATTRIBUTE.xorMappedAddress));
    client.close();
  }
});
