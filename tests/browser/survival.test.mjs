// Calls survive lost connections: sockets are killed at random and on purpose, under our library and under the unmodified
// SDK with the shim; the call lives at both ends, and in the end both are told the right thing. docs/resume.md.
import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { stage } from './harness/scenario.mjs';
import { Seeded } from './harness/seeded.mjs';

const scenario = stage({ plain: true });

const KILLS = 50;
const ORDEAL_MS = 150_000;
const SEED = Number(process.env.OFFHOOK_SEED ?? 20_261_122);
/** So much of a frame, at most, gets through before its socket dies: a head, a part of a message, or all of it. */
const LONGEST_PART = 1_500;
/** What a client sends with so many bytes at once is an INVITE or its answer. */
const WITH_SDP = 1_500;
/** A tab that is closed is not waited for: the window is 60 s. */
const TOLD_AT_ONCE_MS = 5_000;
/** Silence is noticed after 10 s, and asked about for 4 s more. */
const HALF_OPEN_FOUND_MS = 20_000;
const REASON = /^SIP;\s*cause=[3-6]\d\d;\s*text="[^"]+"$/;

const LIBRARY = { kind: 'offhook', ownProxy: true };
const SHIM = { kind: 'shim', ownProxy: true };
const BOTH_KINDS = [['the library', LIBRARY], ['SDK 4.0.8 with the shim', SHIM]];

const RECEIVES = { audio: 1, video: 1 };

/** Registers afresh with another token, and waits for the answer: the signalling lives both ways. */
async function registersAgain(client) {
  const token = await client.token();
  await client.enableIncoming(token);
  const isIt = (sent) => sent.header('Authorization') === `Bearer ${token}`;
  await client.untilTraced('sends', /^REGISTER /, isIt);
  const [sent] = client.traced('sends', /^REGISTER /).filter(isIt);
  await client.untilTraced('receives', /^SIP\/2.0 200 /, (answer) => answer.header('CSeq') === sent.header('CSeq'));
}

/** The ways in which sockets are killed; each leaves a living session, and says how many it has killed. */
const WAYS = {
  'in silence': async (client) => {
    const { opened } = client.proxy;
    assert.equal(client.proxy.cutSignalling(), 1);
    await client.proxy.untilOpened(opened + 1);
    return 1;
  },
  'while it sends': async (client, chance) => {
    const killed = client.proxy.ambush('client', chance.below(LONGEST_PART));
    await Promise.all([registersAgain(client), killed]);
    return 1;
  },
  'while it receives': async (client, chance) => {
    const killed = client.proxy.ambush('server', chance.below(LONGEST_PART));
    await Promise.all([registersAgain(client), killed]);
    return 1;
  },
  'while it comes back': async (client, chance) => {
    const killed = client.proxy.ambush('server', chance.below(300));
    client.proxy.cutSignalling();
    await killed;
    return 2;
  },
};

function assertUndisturbed({ alice, bob, outgoing, incoming }) {
  assert.equal(outgoing.hasEnded() || incoming.hasEnded(), false);
  for (const client of [alice, bob]) assert.deepEqual(client.told('state').filter(({ ready }) => !ready), []);
}

for (const [name, kind] of BOTH_KINDS) {
  scenario(`50 sockets are killed in one call with video, under ${name}`, async (scene) => {
    const chance = new Seeded(SEED);
    const call = await scene.connected({ video: true }, undefined, kind);
    const { alice, bob, outgoing, incoming } = call;
    await alice.register();
    await Promise.all([outgoing.receives(RECEIVES), incoming.receives(RECEIVES)]);
    for (let killed = 0; killed < KILLS; ) {
      const victims = chance.pick([[alice], [bob], [alice, bob]]);
      const way = chance.pick(Object.keys(WAYS));
      scene.trace.note('seed', SEED, `${killed} were killed, now ${victims.map((victim) => victim.name)} ${way}`);
      for (const count of await Promise.all(victims.map((victim) => WAYS[way](victim, chance)))) killed += count;
      await Promise.all([outgoing.receives(RECEIVES), incoming.receives(RECEIVES), ...victims.map(registersAgain)]);
      assertUndisturbed(call);
    }
    assert.deepEqual(await Promise.all([alice.isListed(), bob.isListed()]), [true, true]);
    const killedAtTheEnd = bob.proxy.ambush('client', chance.below(LONGEST_PART));
    await Promise.all([incoming.reject(486), killedAtTheEnd]);
    assert.equal(await outgoing.ended(), 'BUSY');
    await incoming.ended();
    for (const ended of [outgoing, incoming]) assert.equal(ended.told('disconnected').length, 1);
    await Promise.all([alice, bob].map(registersAgain));
  }, { timeout: ORDEAL_MS });

  scenario(`both sockets are killed while it rings, under ${name}: answered, and the call is up`, async (scene) => {
    const { alice, bob } = await scene.pair(kind);
    const outgoing = await alice.call(bob);
    const incoming = await bob.incoming();
    await outgoing.until('ringing');
    await Promise.all([alice, bob].map((client) => WAYS['in silence'](client)));
    await incoming.answer();
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
    await outgoing.hangUp();
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
  });

  scenario(`killed within the INVITE, within the 200 and within the ACK, under ${name}: the call is up`, async (scene) => {
    const { alice, bob } = await scene.pair(kind);
    await alice.register();
    const inTheInvite = alice.proxy.ambush('client', 700, WITH_SDP);
    const outgoing = await alice.call(bob);
    await inTheInvite;
    const incoming = await bob.incoming();
    await outgoing.until('ringing');
    const inTheAnswer = bob.proxy.ambush('client', 700, WITH_SDP);
    await incoming.answer();
    await inTheAnswer;
    const beforeTheAck = bob.proxy.ambush('server', 0);
    await Promise.all([outgoing.until('connected'), incoming.until('connected'), beforeTheAck]);
    await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
    await incoming.hangUp();
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
  });

  scenario(`a REGISTER that is unanswered at the kill, under ${name}: registered all the same`, async (scene) => {
    const bob = await scene.client('bob', kind);
    const lost = bob.proxy.swallow(/SIP\/2.0 200 [^]*CSeq: \d+ REGISTER/i);
    await bob.enableIncoming(await bob.token());
    await lost;
    await bob.until('state', ({ ready }) => ready);
    assert.equal(await bob.isListed(), true);
    const alice = await scene.client('alice', kind);
    const outgoing = await alice.call(bob);
    await (await bob.incoming()).reject(486);
    assert.equal(await outgoing.ended(), 'BUSY');
  });

  scenario(`the other side hangs up while the socket is away, under ${name}: told when it is back`, async (scene) => {
    const { alice, bob, outgoing, incoming } = await scene.connected({}, undefined, kind);
    bob.proxy.upstream = null;
    assert.equal(bob.proxy.cutSignalling(), 1);
    await outgoing.hangUp();
    assert.equal(await outgoing.ended(), 'NORMAL');
    assert.equal(incoming.hasEnded(), false);
    bob.proxy.upstream = scene.server.port;
    assert.equal(await incoming.ended(), 'NORMAL');
    const again = await alice.call(bob);
    await (await bob.incoming()).reject(486);
    assert.equal(await again.ended(), 'BUSY');
  });

  scenario(`a tab is closed in a call, under ${name}: the other side is told at once`, async (scene) => {
    const { alice, incoming } = await scene.connected({}, undefined, kind);
    await alice.page.close();
    await incoming.ended(TOLD_AT_ONCE_MS);
    const [bye] = await scene.trace.until('bob', 'receives', /^BYE /);
    assert.match(bye.header('Reason') ?? 'SIP;cause=480;text="a page that says BYE itself"', REASON);
  });
}

scenario('a change of the call is under way at the kill: hold and resume arrive, once', async (scene) => {
  const { alice, bob, outgoing, incoming } = await scene.connected({}, undefined, LIBRARY);
  const steps = [['hold', alice, 'client'], ['resume', bob, 'server'], ['hold', bob, 'client'], ['resume', alice, 'server']];
  for (const [act, victim, side] of steps) {
    const killed = victim.proxy.ambush(side, 40);
    await Promise.all([outgoing.ask((call, name) => call[name](), act), killed]);
    const held = act === 'hold';
    await incoming.until('hold', (event) => event.by === 'remote' && event.held === held);
  }
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
  assert.deepEqual(incoming.told('hold').map(({ held }) => held), [true, false, true, false]);
});

scenario('onSignalling tells of the loss and of the return', async (scene) => {
  const bob = await scene.client('bob', LIBRARY);
  await bob.register();
  await WAYS['in silence'](bob);
  const { reason } = await bob.until('signalling', ({ state }) => state === 'resuming');
  assert.match(reason, /\w \w/);
  await bob.until('signalling', ({ state }) => state === 'connected');
  assert.deepEqual(bob.told('signalling').map(({ state }) => state), ['connecting', 'connected', 'resuming', 'connected']);
  assert.equal(scene.trace.messages('bob', 'sends', /^REGISTER /).length, 1);
});

// These mostly wait, and can do so together.
describe('half-open', { concurrency: true }, () => {
  scenario('half-open sockets at both ends, library and shim: found by asking, and the call lives', async (scene) => {
    const call = await scene.connected({}, undefined, LIBRARY, SHIM);
    const { alice, bob, outgoing, incoming } = call;
    const opened = [alice, bob].map(({ proxy }) => proxy.opened);
    assert.deepEqual([alice, bob].map(({ proxy }) => proxy.freeze()), [1, 1]);
    await Promise.all([alice, bob].map(({ proxy }, index) => proxy.untilOpened(opened[index] + 1, HALF_OPEN_FOUND_MS)));
    await registersAgain(bob);
    await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
    assertUndisturbed(call);
    await outgoing.hangUp();
    assert.equal(await incoming.ended(), 'NORMAL');
  });

  for (const [name, kind] of BOTH_KINDS) {
    scenario(`another network, half-open, under ${name}: found within 5 s, and what waited arrives`, async (scene) => {
      const { bob, outgoing, incoming } = await scene.connected({}, undefined, kind);
      const { opened } = bob.proxy;
      assert.equal(bob.proxy.freeze(), 1);
      await outgoing.hangUp();
      await outgoing.ended();
      await bob.page.evaluate(() => void window.dispatchEvent(new Event('online')));
      await bob.proxy.untilOpened(opened + 1, 5_000);
      assert.equal(await incoming.ended(), 'NORMAL');
    });
  }
});
