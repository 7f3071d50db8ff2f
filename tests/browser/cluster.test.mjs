// Several servers that work as one, as stock pages meet them: real processes, a real Redis and a real PostgreSQL, which are killed,
// stopped and started again. The pages come back to another node, as behind a balancer.
import assert from 'node:assert/strict';

import { stage, timeOutSooner } from './harness/cluster.mjs';

const scenario = stage();

/** The promises: whoever talks with a node that dies is told in this time, and what was lost is known again in that one. */
const TOLD_WITHIN_MS = 8_000;
const KNOWN_WITHIN_MS = 5_000;
const AT_ONCE_MS = 2_000;
const REASON = /^SIP;\s*cause=[3-6]\d\d;\s*text="[^"]+"$/;
const REGISTER = /^REGISTER /;

/** The app of this call is told that it has ended, with a cause, in time; gives back what the BYE says. */
async function isTold(scene, call) {
  const cause = await call.ended(TOLD_WITHIN_MS);
  assert.notEqual(cause, 'NORMAL');
  const [bye] = await scene.trace.until(call.client.name, 'receives', /^BYE /);
  assert.match(bye.header('Reason'), REASON);
  return bye.header('Reason');
}

async function refuses(caller, callee, ms) {
  const call = await caller.call(callee);
  return call.ended(ms);
}

/** It is not enough to be listed: a call gets there. */
async function canBeCalled(caller, callee) {
  const call = await caller.call(callee);
  await (await callee.incoming()).reject(486);
  assert.equal(await call.ended(), 'BUSY');
}

scenario('pages on different nodes are listed on all, call each other, and are told of the end; one record', async (scene) => {
  const { alice, bob } = await scene.pair();
  const { outgoing, incoming } = await scene.connect(alice, bob);
  await outgoing.hangUp();
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
  const record = await scene.record(alice, bob);
  assert.deepEqual([record.ended_by, record.status], ['caller', 200]);
  // And the other way round, ended by who was called.
  const back = await scene.connect(bob, alice);
  await back.incoming.hangUp();
  assert.deepEqual(await Promise.all([back.outgoing.ended(), back.incoming.ended()]), ['NORMAL', 'NORMAL']);
  assert.equal((await scene.record(bob, alice)).ended_by, 'callee');
});

scenario("the callee's node is killed in a call: the caller is told, and the callee is there again by another", async (scene) => {
  const { alice, bob } = await scene.pair();
  const { outgoing, incoming } = await scene.connect(alice, bob);
  scene.point(1, 2);
  const [, reason] = await Promise.all([scene.nodes[1].stop('SIGKILL'), isTold(scene, outgoing)]);
  assert.match(reason, /cause=503/);
  assert.equal(await incoming.ended(), 'FAILED');
  const record = await scene.record(alice, bob);
  assert.deepEqual([record.ended_by, record.status], ['server', 503]);
  assert.ok(reason.includes(record.reason), `${reason} ${record.reason}`);
  await bob.until('state', ({ ready }) => ready);
  await scene.untilListed([alice, bob]);
  const again = await scene.connect(alice, bob);
  await again.incoming.hangUp();
  assert.equal(await again.outgoing.ended(), 'NORMAL');
});

// That its record gets an end: crates/offhook/tests/command/database_away.rs.
scenario("the caller's node is killed in a call: the callee is told, and the caller is there again by another", async (scene) => {
  const { alice, bob } = await scene.pair();
  const { outgoing, incoming } = await scene.connect(alice, bob);
  scene.point(0, 2);
  await Promise.all([scene.nodes[0].stop('SIGKILL'), isTold(scene, incoming)]);
  assert.equal(await outgoing.ended(), 'FAILED');
  await alice.until('state', ({ ready }) => ready);
  await scene.untilListed([alice, bob]);
  await canBeCalled(bob, alice);
});

/** Its REGISTER leaves, and the node of the second balancer, which reads nothing any more, is killed; who comes back gets to the third. */
async function killedWithRegister(scene, client) {
  scene.nodes[1].hang();
  const token = await client.token();
  await client.enableIncoming(token);
  await client.untilTraced('sends', REGISTER, (sent) => sent.header('Authorization') === `Bearer ${token}`);
  scene.point(1, 2);
  await scene.nodes[1].stop('SIGKILL');
}

scenario('a node is killed with a REGISTER on its way: the app is told, and the page is registered by another', async (scene) => {
  const { alice, bob } = await scene.pair({ script: timeOutSooner });
  await killedWithRegister(scene, bob);
  // The SDK registers no more while it waits for the answer, on whatever socket; then it tells its app, and has dropped the token.
  const { cause } = await bob.until('state', ({ ready }) => !ready);
  assert.equal(cause, 'FAILED');
  await bob.register();
  await scene.untilListed([alice, bob]);
  await canBeCalled(alice, bob);
});

scenario('a node is killed with a REGISTER on its way, under the library: registered by another, by itself', async (scene) => {
  const { alice, bob } = await scene.pair({ kind: 'offhook' });
  await killedWithRegister(scene, bob);
  await bob.until('state', ({ ready }) => ready);
  await scene.untilListed([alice, bob]);
  await canBeCalled(alice, bob);
});

scenario('the answer to a REGISTER is lost with its socket: registered by the node that the page comes back to', async (scene) => {
  const [alice, bob] = await Promise.all([scene.registered('alice', 0), scene.client('bob', 1)]);
  const lost = bob.proxy.swallow(/SIP\/2.0 200 [^]*CSeq: \d+ REGISTER/i);
  await bob.enableIncoming(await bob.token());
  scene.point(1, 2);
  await lost;
  await bob.until('state', ({ ready }) => ready);
  await scene.untilListed([alice, bob]);
  await canBeCalled(alice, bob);
});

scenario('Redis is killed: calls at home go on, others are refused at once; afterwards every node knows all', async (scene) => {
  const { alice, bob } = await scene.pair();
  const carol = await scene.registered('carol', 0);
  await scene.untilListed([alice, bob, carol]);
  const across = await scene.connect(alice, bob);
  await scene.redis.tell('kill');
  await scene.untilAlone();
  // What each has said before is heard, and who talks across goes on.
  await Promise.all([across.outgoing.hearsBeeps(), across.incoming.hearsBeeps()]);
  assert.notEqual(await refuses(carol, bob, AT_ONCE_MS), 'NORMAL');
  await scene.trace.until('carol', 'receives', /^SIP\/2.0 480 /);
  const dave = await scene.registered('dave', 0);
  const home = await scene.connect(carol, dave);
  await home.outgoing.hangUp();
  assert.equal(await home.incoming.ended(), 'NORMAL');
  await scene.redis.tell('start');
  await scene.untilListed([alice, bob, carol, dave], KNOWN_WITHIN_MS);
  await across.outgoing.hangUp();
  assert.equal(await across.incoming.ended(), 'NORMAL');
  await canBeCalled(carol, bob);
});

scenario('PostgreSQL is stopped: calls go on and new ones are made; afterwards each has one record', async (scene) => {
  const { alice, bob } = await scene.pair();
  const before = await scene.connect(alice, bob);
  await scene.postgres.tell('stop');
  await Promise.all([before.outgoing.hearsBeeps(), before.incoming.hearsBeeps()]);
  await before.outgoing.hangUp();
  assert.equal(await before.incoming.ended(), 'NORMAL');
  const during = await scene.connect(bob, alice);
  await during.outgoing.hangUp();
  assert.equal(await during.incoming.ended(), 'NORMAL');
  await scene.postgres.tell('start');
  for (const [caller, callee] of [[alice, bob], [bob, alice]]) {
    const record = await scene.record(caller, callee);
    assert.deepEqual([record.ended_by, record.status], ['caller', 200]);
  }
});

scenario('a node is stopped in order: its clients leave the lists at once, and are there again by another', async (scene) => {
  const { alice, bob } = await scene.pair();
  const carol = await scene.registered('carol', 1);
  await scene.untilListed([alice, bob, carol]);
  scene.cutOff(1);
  const [exitCode] = await Promise.all([scene.nodes[1].stop('SIGTERM'), scene.untilListed([alice], AT_ONCE_MS, [0, 2])]);
  assert.equal(exitCode, 0);
  scene.point(1, 2);
  await scene.untilListed([alice, bob, carol], KNOWN_WITHIN_MS);
  await canBeCalled(alice, bob);
});
