// What is kept of a call: who, when, how long, how it ended and who ended it.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

// A callee may ring for two seconds, for the sake of the last scenario.
const scenario = stage({ settings: ['--no-answer', '2'] });

/** The only record of alice's calls, once it has an end. */
async function recordOf(scene, alice, bob) {
  const own = async () => (await scene.server.calls(scene.account)).filter(({ caller }) => caller === alice.id);
  const records = await eventually('the call has a record with an end', async () => {
    const found = await own();
    return found.some(({ ended }) => ended) && found;
  });
  assert.equal(records.length, 1);
  assert.equal(records[0].callee, bob.id);
  return records[0];
}

scenario('a call that the caller ends leaves one record', async (scene) => {
  const { alice, bob, outgoing, incoming } = await scene.connected();
  await outgoing.hangUp();
  await incoming.ended();
  const record = await recordOf(scene, alice, bob);
  assert.equal(record.call_id, await outgoing.callId());
  assert.equal(record.ended_by, 'caller');
  assert.ok(record.started <= record.ringing && record.ringing <= record.answered, JSON.stringify(record));
  assert.ok(record.answered <= record.ended && record.talk_ms > 0, JSON.stringify(record));
});

scenario('a call that the callee rejects leaves one record', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob);
  await (await bob.incoming()).reject(486);
  await outgoing.ended();
  const record = await recordOf(scene, alice, bob);
  assert.deepEqual([record.ended_by, record.status, record.answered], ['callee', 486, null]);
});

scenario('a call to nobody leaves one record', async (scene) => {
  const alice = await scene.client('alice');
  const nobody = { id: scene.id('nobody') };
  await (await alice.call(nobody)).ended();
  assert.equal((await recordOf(scene, alice, nobody)).status, 480);
});

scenario('a callee who does not answer in time: UNOBTAINABLE, and it rings no more', async (scene) => {
  const { alice, bob } = await scene.pair();
  await alice.register();
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.until('ringing');
  assert.equal(await outgoing.ended(), 'UNOBTAINABLE');
  assert.equal(await incoming.ended(), 'NORMAL');
  await scene.trace.until('bob', 'sends', /^SIP\/2.0 487 /);
  await scene.trace.until('alice', 'receives', /^SIP\/2.0 480 /);
  const record = await recordOf(scene, alice, bob);
  assert.deepEqual([record.status, record.answered], [480, null]);
});
