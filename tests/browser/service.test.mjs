// Calls from the unmodified SDK to a service that clients answer for: one winner, and everybody else stops.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

const scenario = stage();
const CANCEL = /^CANCEL /;
const ANSWER = /^SIP\/2.0 200 [^]*\r\nCSeq: \d+ INVITE\r\n/i;

/** A caller, and registered clients that answer for a service of this scenario's own. */
async function team(scene, names, clients) {
  const [alice, ...members] = await Promise.all(['alice', ...names].map((name) => scene.client(name)));
  await Promise.all(members.map((member) => member.register()));
  const service = scene.id('team');
  await scene.server.putService(scene.account, service, members, clients);
  return { alice, members, service };
}

/** The only record of the calls of a service, once it has an end. */
function recordOf(scene, service) {
  return eventually('the call has a record with an end', async () => {
    const records = (await scene.server.calls(scene.account)).filter((record) => record.service === service);
    assert.ok(records.length <= 1);
    return records[0]?.ended && records[0];
  });
}

scenario('of five that ring one answers, and the others stop within 200 ms', async (scene) => {
  const names = ['bob', 'carol', 'dave', 'erin', 'frank'];
  const { alice, members, service } = await team(scene, names);
  const outgoing = await alice.callService(service);
  const calls = await Promise.all(members.map((member) => member.incoming()));
  await outgoing.until('ringing');
  for (const call of calls) assert.deepEqual([call.from, call.kind], [alice.id, 'client']);

  const [winner] = calls.splice(3, 1);
  await winner.answer();
  await Promise.all([outgoing.until('connected'), winner.until('connected')]);
  for (const call of calls) assert.equal(await call.ended(), 'NORMAL');
  const [answered] = await scene.trace.until('erin', 'sends', ANSWER);
  for (const name of names.filter((name) => name !== 'erin')) {
    const [cancel] = await scene.trace.until(name, 'receives', CANCEL);
    assert.equal(cancel.header('Reason'), 'SIP;cause=200;text="Call completed elsewhere"');
    assert.ok(cancel.at - answered.at < 200, `${name} rang on for ${cancel.at - answered.at} ms`);
  }

  await Promise.all([outgoing.receives({ audio: 1 }), winner.receives({ audio: 1 })]);
  assert.equal(await outgoing.callId(), await winner.callId());
  await winner.hangUp();
  assert.equal(await outgoing.ended(), 'NORMAL');
  const record = await recordOf(scene, service);
  assert.deepEqual([record.caller, record.callee, record.ended_by], [alice.id, scene.id('erin'), 'callee']);
});

scenario('one after another: whoever refuses is followed by the next', async (scene) => {
  const { alice, members, service } = await team(scene, ['bob', 'carol'], { ring: 'in_order' });
  const [bob, carol] = members;
  const outgoing = await alice.callService(service);
  const refused = await bob.incoming();
  assert.deepEqual(carol.told('incoming'), []);
  await refused.reject(486);
  const incoming = await carol.incoming();
  await incoming.answer();
  await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
  await outgoing.hangUp();
  await incoming.ended();
  assert.equal((await recordOf(scene, service)).callee, carol.id);
});

scenario('the caller gives up: everybody stops', async (scene) => {
  const { alice, members, service } = await team(scene, ['bob', 'carol']);
  const outgoing = await alice.callService(service);
  const calls = await Promise.all(members.map((member) => member.incoming()));
  await outgoing.until('ringing');
  await outgoing.hangUp();
  for (const call of calls) assert.equal(await call.ended(), 'NORMAL');
  assert.equal(await outgoing.ended(), 'NOANSWER');
});

scenario('all refuse: BUSY; nobody is registered, or there is no such service: UNOBTAINABLE', async (scene) => {
  const { alice, members, service } = await team(scene, ['bob', 'carol']);
  const refused = await alice.callService(service);
  for (const member of members) await (await member.incoming()).reject(486);
  assert.equal(await refused.ended(), 'BUSY');

  // The SDK loses a call that begins while the socket of the one before is closing.
  await alice.idle();
  await scene.server.putService(scene.account, service, [{ id: scene.id('nobody') }]);
  assert.equal(await (await alice.callService(service)).ended(), 'UNOBTAINABLE');
  await alice.idle();
  assert.equal(await (await alice.callService(scene.id('none'))).ended(), 'UNOBTAINABLE');
});
