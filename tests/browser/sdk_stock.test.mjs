// The library and the unmodified SDK call each other, over TLS: what one of them does, the other understands.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage({ whole: true });
const OURS = { kind: 'offhook' };
const STOCK = { kind: '' };

const WAYS = [
  { caller: OURS, callee: STOCK, names: 'the library calls the SDK' },
  { caller: STOCK, callee: OURS, names: 'the SDK calls the library' },
];

for (const { caller, callee, names } of WAYS) {
  scenario(`${names}: video both ways, headers both ways, either hangs up`, async (scene) => {
    const pair = await scene.pair(caller, callee);
    const asked = { video: true, headers: ['X-Order: 4711'] };
    const { outgoing, incoming } = await scene.connect(pair, asked, { video: true, headers: ['X-Agent: 7'] });
    await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
    assert.deepEqual(await incoming.headers('X-Order'), ['4711']);
    assert.deepEqual(await outgoing.headers('X-Agent'), ['7']);
    assert.equal(await outgoing.callId(), await incoming.callId());
    assert.deepEqual([incoming.from, incoming.kind, incoming.offeringVideo], [pair.alice.id, 'client', true]);
    await outgoing.hangUp();
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
    if (caller === STOCK) await pair.alice.idle();
    const second = await scene.connect(pair);
    await second.incoming.reject(486);
    assert.equal(await second.outgoing.ended(), 'BUSY');
  });

  scenario(`${names}: ringing, rejected, taken back`, async (scene) => {
    const { alice, bob } = await scene.pair(caller, callee);
    await alice.register();
    const rejected = await alice.call(bob);
    const first = await bob.incoming();
    await rejected.until('ringing');
    await first.reject(486);
    assert.equal(await rejected.ended(), 'BUSY');
    const takenBack = await alice.call(bob);
    const second = await bob.incoming();
    await takenBack.hangUp();
    assert.deepEqual([await takenBack.ended(), await second.ended()], ['NOANSWER', 'NORMAL']);
  });

  scenario(`${names}: streams are added and taken away from either side`, async (scene) => {
    const { outgoing, incoming } = await scene.connected({ video: true, keepStream: true }, undefined, caller, callee);
    await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
    for (const [sharer, other] of [[outgoing, incoming], [incoming, outgoing]]) {
      await sharer.share();
      await other.receives({ audio: 1, video: 2 });
      await sharer.stopSharing();
      await other.until('mediaRemove');
      await other.receives({ audio: 1, video: 1 });
    }
  });
}

scenario('the library holds the SDK, turns its camera on, restarts ICE; the SDK follows', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, {}, OURS, STOCK);
  await incoming.receives({ audio: 1 });
  await outgoing.ask((call) => call.hold());
  await incoming.receivesNoMore();
  await outgoing.ask((call) => call.resume());
  await incoming.receives({ audio: 1 });
  await outgoing.ask((call) => call.setVideo(true));
  await incoming.receives({ audio: 1, video: 1 });
  await outgoing.ask((call) => call.restartIce());
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1, video: 1 })]);
  await incoming.hangUp();
  assert.equal(await outgoing.ended(), 'NORMAL');
});
