// Where resumption ends: a client that does not come back in time, a server that has forgotten it, and one that does not
// resume at all.
import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { stage } from './harness/scenario.mjs';

const WINDOW_S = 2;
const scenario = stage({ plain: true, settings: ['--resume', String(WINDOW_S)] });
const without = stage({ plain: true, settings: ['--resume', '0'] });

const REASON = /^SIP;\s*cause=[3-6]\d\d;\s*text="[^"]+"$/;
const BOTH_KINDS = [['the library', 'offhook'], ['SDK 4.0.8 with the shim', 'shim']];
const LIBRARY = { kind: 'offhook', ownProxy: true };

// These mostly wait, and can do so together.
describe('the window', { concurrency: true }, () => {
  for (const [name, kind] of BOTH_KINDS) {
    scenario(`the window is over, under ${name}: both are told why, and the client registers again`, async (scene) => {
      const { bob, outgoing, incoming } = await scene.connected({}, undefined, { kind, ownProxy: true });
      bob.proxy.upstream = null;
      const begun = performance.now();
      bob.proxy.cutSignalling();
      assert.notEqual(await outgoing.ended(), 'NORMAL');
      // Not before: until then it might have come back.
      const after = performance.now() - begun;
      assert.ok(after >= WINDOW_S * 1000 - 50, `told after ${after} ms`);
      const [bye] = await scene.trace.until('alice', 'receives', /^BYE /);
      assert.match(bye.header('Reason'), REASON);
      assert.equal(await incoming.ended(), 'FAILED');
      assert.equal(await bob.isListed(), false);
      bob.proxy.upstream = scene.server.port;
      await bob.until('state', ({ ready }) => ready);
      assert.equal(await bob.isListed(), true);
    });
  }

  scenario('the library says in words that the connection did not come back', async (scene) => {
    const { bob, outgoing, incoming } = await scene.connected({}, undefined, LIBRARY);
    bob.proxy.upstream = null;
    bob.proxy.cutSignalling();
    assert.equal((await bob.until('signalling', ({ state }) => state === 'resuming')).window_s, WINDOW_S);
    assert.match((await incoming.until('disconnected')).reason, /connection/);
    const { cause, retry } = await bob.until('state', ({ ready }) => !ready);
    assert.deepEqual({ cause, retry }, { cause: 'DISCONNECTED', retry: true });
    await bob.until('signalling', ({ state }) => state === 'lost');
    const other = await outgoing.until('disconnected');
    assert.notEqual(other.cause, 'NORMAL');
    assert.match(other.reason, /\w \w/);
  });

  scenario('a page that crashes in a call: the other side is told when the window is over', async (scene) => {
    const { bob, outgoing } = await scene.connected({}, undefined, LIBRARY);
    await bob.crash();
    assert.notEqual(await outgoing.ended(), 'NORMAL');
    assert.equal(await bob.isListed(), false);
  });
});

for (const [name, kind] of BOTH_KINDS) {
  scenario(`the server is restarted, under ${name}: the session is gone, and the client registers anew`, async (scene) => {
    const { alice, bob, outgoing, incoming } = await scene.connected({}, undefined, { kind, ownProxy: true });
    await scene.restart('SIGKILL');
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['FAILED', 'FAILED']);
    await bob.until('state', ({ ready }) => ready);
    assert.equal(await bob.isListed(), true);
    const again = await alice.call(bob);
    await (await bob.incoming()).reject(486);
    assert.equal(await again.ended(), 'BUSY');
  });

  without(`a server that does not resume, under ${name}: plain SIP, and a call with video`, async (scene) => {
    const { alice, outgoing, incoming } = await scene.connected({ video: true }, undefined, { kind });
    await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
    assert.deepEqual(scene.trace.messages(alice.name, 'sends', /^(OPEN|PING|ACK \d)/), []);
    await outgoing.hangUp();
    assert.equal(await incoming.ended(), 'NORMAL');
  });
}
