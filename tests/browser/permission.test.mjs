// Who may call whom: the permissions of the caller's token, and that a callee never rings without them.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage();

/** A call that must be refused: gives back the cause, and wants that the callee never heard of it. */
async function refusedCall(scene, token, callee) {
  const { alice, bob } = callee ?? (await scene.pair());
  const outgoing = await alice.call(bob, { token: await token(alice, bob) });
  const cause = await outgoing.ended();
  assert.deepEqual(scene.trace.messages('bob', 'receives', /^INVITE /), []);
  assert.deepEqual(bob.told('incoming'), []);
  return cause;
}

scenario('a permission with a wildcard is honoured', async (scene) => {
  const { alice, bob } = await scene.pair();
  const outgoing = await alice.call(bob, { token: await alice.token({ callClient: 'bo*' }) });
  await (await bob.incoming()).reject(486);
  assert.equal(await outgoing.ended(), 'BUSY');
});

scenario('one permission of several is enough, and a lone star is every client', async (scene) => {
  const { alice, bob } = await scene.pair();
  for (const callClient of [`carol,${bob.id}`, '*']) {
    const outgoing = await alice.call(bob, { token: await alice.token({ callClient }) });
    await (await bob.incoming()).reject(486);
    assert.equal(await outgoing.ended(), 'BUSY');
    await alice.idle();
  }
});

scenario('a call without permission: FAILED, and the callee never rings', async (scene) => {
  assert.equal(await refusedCall(scene, (alice) => alice.token({ callClient: 'carol,bobby*' })), 'FAILED');
});

scenario('a call with a token that permits none: FAILED', async (scene) => {
  assert.equal(await refusedCall(scene, (alice) => alice.token({ callClient: '' })), 'FAILED');
});

scenario('a call with the token of another client: FAILED', async (scene) => {
  const token = () => scene.server.token(scene.account, scene.id('carol'), { callClient: '*' });
  assert.equal(await refusedCall(scene, token), 'FAILED');
});

scenario('a call with the token of another account: FAILED', async (scene) => {
  const token = (alice) => scene.server.token(scene.otherAccount, alice.id, { callClient: '*' });
  assert.equal(await refusedCall(scene, token), 'FAILED');
});

scenario('a client of another account is not registered for us: UNOBTAINABLE', async (scene) => {
  const alice = await scene.client('alice');
  const bob = await scene.client('bob', { account: scene.otherAccount });
  await bob.register();
  const cause = await refusedCall(scene, () => alice.token({ callClient: '*' }), { alice, bob });
  assert.equal(cause, 'UNOBTAINABLE');
});
