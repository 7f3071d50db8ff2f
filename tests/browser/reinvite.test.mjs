// Streams added to a call and taken away again: re-INVITEs, either way.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage();

scenario('the caller shares its screen, and stops', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true, keepStream: true });
  await incoming.receives({ audio: 1, video: 1 });
  await outgoing.share();
  await incoming.receives({ audio: 1, video: 2 });
  await outgoing.stopSharing();
  await incoming.until('mediaRemove');
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
});

scenario('the callee shares its screen', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ keepStream: true });
  await outgoing.receives({ audio: 1 });
  await incoming.share();
  await outgoing.receives({ audio: 1, video: 1 });
  const [invite] = await scene.trace.until('alice', 'receives', /^INVITE /);
  assert.deepEqual(invite.headers('Authorization'), []);
});

scenario('the caller hangs up while it shares', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ keepStream: true });
  await outgoing.share();
  await incoming.receives({ audio: 1, video: 1 });
  await outgoing.hangUp();
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
});
