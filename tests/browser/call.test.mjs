// Calls from client to client: media both ways, every way in which they end, and what passes between the two apps.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage({ whole: true });
const INVITE = /^INVITE /;
const ANSWER = /^SIP\/2.0 200 [^]*\r\nCSeq: \d+ INVITE\r\n/i;
const BYE = /^BYE /;

scenario('audio and video flow both ways', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true });
  await Promise.all([
    outgoing.receives({ audio: 1, video: 1 }),
    incoming.receives({ audio: 1, video: 1 }),
  ]);
  assert.equal(incoming.offeringVideo, true);
});

scenario('the caller is told ringing before the callee answers', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.until('ringing');
  assert.deepEqual(alice.told('connected'), []);
  await incoming.answer();
  await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
});

scenario('the callee is told who calls, and both have the same call id', async (scene) => {
  const { alice, outgoing, incoming } = await scene.connected();
  assert.equal(incoming.from, alice.id);
  assert.equal(incoming.kind, 'client');
  assert.equal(incoming.offeringVideo, false);
  assert.equal(await outgoing.callId(), await incoming.callId());
});

scenario('the SDP of offer and answer arrives unchanged', async (scene) => {
  await scene.connected();
  const body = ({ text }) => text.split('\r\n\r\n')[1];
  const traced = async (name, kind, beginning) => body((await scene.trace.until(name, kind, beginning))[0]);
  assert.equal(await traced('bob', 'receives', INVITE), await traced('alice', 'sends', INVITE));
  assert.equal(await traced('alice', 'receives', ANSWER), await traced('bob', 'sends', ANSWER));
});

scenario('the callee hangs up', async (scene) => {
  const { outgoing, incoming } = await scene.connected();
  await incoming.hangUp();
  assert.equal(await outgoing.ended(), 'NORMAL');
  assert.equal(await incoming.ended(), 'NORMAL');
});

scenario('the caller hangs up', async (scene) => {
  const { outgoing, incoming } = await scene.connected();
  await outgoing.hangUp();
  assert.equal(await incoming.ended(), 'NORMAL');
  assert.equal(await outgoing.ended(), 'NORMAL');
});

scenario('both hang up at once', async (scene) => {
  const { alice, bob, outgoing, incoming } = await scene.connected();
  await Promise.all([outgoing.hangUp(), incoming.hangUp()]);
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
  // Nothing of the call is left in the way of the next one.
  await alice.idle();
  const again = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await again.ended(), 'BUSY');
});

scenario('the callee hangs up with a reason: the caller is told BUSY', async (scene) => {
  const { outgoing, incoming } = await scene.connected();
  await incoming.reject(486);
  const [bye] = await scene.trace.until('alice', 'receives', BYE);
  const [sent] = await scene.trace.until('bob', 'sends', BYE);
  assert.equal(bye.header('Reason'), sent.header('Reason'));
  assert.equal(await outgoing.ended(), 'BUSY');
});

scenario('the callee rejects: BUSY', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await outgoing.ended(), 'BUSY');
});

scenario('a callee in a call already is busy: BUSY, and its call goes on', async (scene) => {
  const { bob, outgoing, incoming } = await scene.connected();
  const carol = await scene.client('carol');
  const second = await carol.call(bob);
  assert.equal(await second.ended(), 'BUSY');
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
});

scenario('a callee who is not registered: UNOBTAINABLE', async (scene) => {
  const alice = await scene.client('alice');
  const outgoing = await alice.call({ id: scene.id('nobody') });
  assert.equal(await outgoing.ended(), 'UNOBTAINABLE');
  await scene.trace.until('alice', 'receives', /^SIP\/2.0 480 /);
});

scenario('the caller cancels: NOANSWER, and the callee is told NORMAL', async (scene) => {
  const { alice, bob } = await scene.pair();
  // Registered, it keeps its socket: the callee is told by the CANCEL, not by the loss of the caller.
  await alice.register();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.until('ringing');
  await outgoing.hangUp();
  assert.equal(await outgoing.ended(), 'NOANSWER');
  assert.equal(await incoming.ended(), 'NORMAL');
});

scenario('the caller hangs up right after calling, and can call again', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.callAndHangUp(bob);
  assert.equal(await outgoing.ended(), 'NOANSWER');
  await scene.trace.until('alice', 'opens', /sipproxy$/);
  await alice.idle();
  const again = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await again.ended(), 'BUSY');
});

scenario('the caller cancels before any answer: NOANSWER, and nothing rings on', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.callAndCancel(bob);
  assert.equal(await outgoing.ended(), 'NOANSWER');
  await scene.trace.until('alice', 'sends', /^CANCEL /);
  const [final] = await scene.trace.until('alice', 'receives', /^SIP\/2.0 487 /);
  assert.match(final.header('CSeq'), /INVITE$/);
  // The callee may have heard of the call or not; if it has, it is over for it too.
  for (const { call } of bob.told('incoming')) await bob.until('disconnected', (event) => event.call === call);
  await alice.idle();
  const again = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await again.ended(), 'BUSY');
});

scenario('a client that is not registered calls twice, with a socket for each call', async (scene) => {
  const { alice, bob } = await scene.pair();
  for (const _ of [1, 2]) {
    const outgoing = await alice.call(bob);
    const incoming = await bob.incoming();
    await incoming.answer();
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    await outgoing.hangUp();
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
    await alice.idle();
  }
  assert.equal(scene.trace.messages('alice', 'opens', /sipproxy$/).length, 2);
});

scenario('X- headers pass both ways, repeated ones included', async (scene) => {
  const { outgoing, incoming } = await scene.connected(
    { headers: ['X-Order: 4711', 'X-Tag: one', 'X-Tag: two, three'] },
    { headers: ['X-Agent: 7', 'X-Skill: sales', 'X-Skill: support'] },
  );
  assert.deepEqual(await incoming.headers('X-Order'), ['4711']);
  assert.deepEqual(await incoming.headers('X-Tag'), ['one', 'two, three']);
  assert.deepEqual(await outgoing.headers('X-Agent'), ['7']);
  assert.deepEqual(await outgoing.headers('X-Skill'), ['sales', 'support']);
});

scenario('no token travels to the callee', async (scene) => {
  await scene.connected();
  const [invite] = await scene.trace.until('bob', 'receives', INVITE);
  assert.deepEqual(invite.headers('Authorization'), []);
});
