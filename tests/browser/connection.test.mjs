// Connections that break and servers that go away: clients come back by themselves, and the other side of a call is told.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

const scenario = stage({ throughProxy: true });

/** The promise of the interface: a lost client's calls end at the other side within this time. */
const TOLD_WITHIN_MS = 5_000;
const REASON = /^SIP;\s*cause=[3-6]\d\d;\s*text="[^"]+"$/;

/** The other side's call ends in time, and says why in a way that the SDK can read. */
async function isTold(scene, call, name) {
  const cause = await call.ended(TOLD_WITHIN_MS);
  const [bye] = await scene.trace.until(name, 'receives', /^BYE /);
  assert.match(bye.header('Reason'), REASON);
  assert.notEqual(cause, 'NORMAL');
}

scenario('a socket that breaks: registered again by itself', async (scene) => {
  const bob = await scene.client('bob');
  await bob.register();
  await scene.proxy.cut(bob.id);
  await bob.until('state', ({ ready }) => ready);
  assert.equal(await bob.isListed(), true);
  const [first, second] = await scene.trace.until('bob', 'sends', /^REGISTER /, 2);
  assert.equal(second.header('Contact'), first.header('Contact'));
});

scenario('a server that is restarted: its clients are registered again, and can call', async (scene) => {
  const { alice, bob } = await scene.pair();
  await alice.register();
  await scene.restart('SIGTERM');
  await Promise.all([alice, bob].map((client) => client.until('state', ({ ready }) => ready)));
  assert.deepEqual(await Promise.all([alice.isListed(), bob.isListed()]), [true, true]);
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await incoming.answer();
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
});

scenario('a server that is stopped in a call: both are told, and it ends well', async (scene) => {
  const { outgoing, incoming } = await scene.connected();
  scene.proxy.upstream = null;
  const exitCode = await scene.server.stop('SIGTERM');
  assert.equal(exitCode, 0);
  for (const [call, name] of [[outgoing, 'alice'], [incoming, 'bob']]) await isTold(scene, call, name);
  await scene.restart();
});

scenario('a server that is killed: its clients are registered again', async (scene) => {
  const bob = await scene.client('bob');
  await bob.register();
  await scene.restart('SIGKILL');
  await bob.until('state', ({ ready }) => ready);
  assert.equal(await bob.isListed(), true);
});

scenario('a server that is killed in a call: both are told, and its record has an end', async (scene) => {
  const { alice, outgoing, incoming } = await scene.connected();
  const record = async () => (await scene.server.calls(scene.account)).find(({ caller }) => caller === alice.id);
  const live = await eventually('the live call is listed as answered', async () => {
    const found = await record();
    return found?.answered && found;
  });
  assert.equal(live.ended, null);
  await scene.restart('SIGKILL');
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['FAILED', 'FAILED']);
  const dead = await record();
  assert.ok(dead.ended, JSON.stringify(dead));
});

scenario('a token from before a restart is still good', async (scene) => {
  const bob = await scene.client('bob');
  const token = await bob.token();
  await scene.restart('SIGKILL');
  await bob.register(token);
});

scenario("the caller's socket is killed in a call: the callee is told within 5 s", async (scene) => {
  const { alice, outgoing, incoming } = await scene.connected();
  await scene.proxy.cut(alice.id);
  await isTold(scene, incoming, 'bob');
  assert.equal(await outgoing.ended(), 'FAILED');
});

scenario("the callee's socket is killed in a call: the caller is told within 5 s", async (scene) => {
  const { bob, outgoing, incoming } = await scene.connected();
  await scene.proxy.cut(bob.id);
  await isTold(scene, outgoing, 'alice');
  assert.equal(await incoming.ended(), 'FAILED');
  await bob.until('state', ({ ready }) => ready);
});

scenario("the callee's socket is killed before the ACK reaches it: both are told", async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  const lost = scene.proxy.swallow(/ACK sip:/);
  await incoming.answer();
  await lost;
  await isTold(scene, outgoing, 'alice');
  // Without an ACK the SDK may not hang up. It repeats its 200 on the new socket, where an ACK and a BYE must answer it.
  assert.equal(await incoming.ended(), 'FAILED');
});

scenario("the caller's socket is killed before the 200 reaches it: both are told", async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  const lost = scene.proxy.swallow(/SIP\/2.0 200 [^]*CSeq: \d+ INVITE/i);
  await incoming.answer();
  await lost;
  await isTold(scene, incoming, 'bob');
  assert.equal(await outgoing.ended(), 'FAILED');
});

scenario("the callee's page crashes in a call: the caller is told within 5 s", async (scene) => {
  const { bob, outgoing } = await scene.connected();
  await bob.crash();
  await isTold(scene, outgoing, 'alice');
  assert.equal(await bob.isListed(), false);
});

scenario("the caller's tab is closed in a call: the callee is told within 5 s", async (scene) => {
  const { alice, incoming } = await scene.connected();
  await alice.close();
  await isTold(scene, incoming, 'bob');
});

scenario("the callee's socket is killed while it rings: the caller is told within 5 s", async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  await bob.incoming();
  await outgoing.until('ringing');
  await scene.proxy.cut(bob.id);
  assert.notEqual(await outgoing.ended(TOLD_WITHIN_MS), 'NORMAL');
});

scenario("the caller's socket is killed while it rings: the callee rings no more within 5 s", async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.until('ringing');
  await scene.proxy.cut(alice.id);
  await incoming.ended(TOLD_WITHIN_MS);
  await scene.trace.until('bob', 'receives', /^CANCEL /);
});

scenario("the caller's socket is killed while it rings: its app is told, and it can call again", async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  await bob.incoming();
  await outgoing.until('ringing');
  await scene.proxy.cut(alice.id);
  // The SDK waits for the answer to its INVITE for ever, on whatever socket, and refuses further calls until it comes.
  assert.equal(await outgoing.ended(), 'FAILED');
  await alice.idle();
  const again = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await again.ended(), 'BUSY');
});

scenario('a REGISTER whose answer is lost with its socket: registered all the same', async (scene) => {
  const bob = await scene.client('bob');
  const lost = scene.proxy.swallow(/SIP\/2.0 200 [^]*CSeq: \d+ REGISTER/i);
  await bob.enableIncoming(await bob.token());
  await lost;
  assert.deepEqual(bob.told('state'), []);
  await bob.until('state', ({ ready }) => ready);
  await eventually('bob is listed', () => bob.isListed());
  // It is not enough to be told so: calls must find the new socket.
  const alice = await scene.client('alice');
  const outgoing = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  assert.equal(await outgoing.ended(), 'BUSY');
});
