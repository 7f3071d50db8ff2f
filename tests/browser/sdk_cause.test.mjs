// Why a call ended, as the library tells it: each documented cause really delivered, with the SIP status and plain words.
// What no client of ours sends comes from a scripted SIP peer.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true });
const OURS = { kind: 'offhook' };

/** What each final answer of the other side is told as; docs/sdk.md has the same table. */
const ANSWERS = [
  ['MOVED: the other side answers 301 or 302', [301, 302]],
  ['BUSY: the other side answers 486 or 600', [486, 600]],
  ['UNOBTAINABLE: the other side answers 404, 410, 480 or 604', [404, 410, 480, 604]],
  ['NOANSWER: the other side answers 408', [408]],
  ['REJECTED: the other side answers 403, 433, 603 or 606', [403, 433, 603, 606]],
  ['FAILED: the other side answers 400, 488 or 500', [400, 488, 500]],
];

for (const [title, statuses] of ANSWERS) {
  scenario(title, async (scene) => {
    const [cause] = title.split(':');
    const [alice, peer] = await Promise.all([scene.client('alice', OURS), scene.sipPeer()]);
    for (const status of statuses) {
      const outgoing = await alice.call(peer);
      const invite = await peer.until(/^INVITE /);
      const moved = status < 400 ? ['Contact: <sip:elsewhere@example.com>'] : [];
      await peer.respond(invite, `${status} On purpose`, moved);
      const told = await outgoing.until('disconnected');
      assert.deepEqual({ cause: told.cause, status: told.status }, { cause, status });
      assert.match(told.reason, /\w \w/);
      const { error } = await outgoing.until('connectedPromise');
      assert.equal(error, cause);
      const { value } = await outgoing.until('endedPromise');
      assert.deepEqual(value, { cause, status, reason: told.reason });
    }
  });
}

scenario('the Reason of a BYE decides: BUSY for 486, and NORMAL without one', async (scene) => {
  const pair = await scene.pair(OURS);
  const first = await scene.connect(pair);
  await first.incoming.reject(486);
  assert.equal(await first.outgoing.ended(), 'BUSY');
  const [bye] = await scene.trace.until('alice', 'receives', /^BYE /);
  assert.match(bye.header('Reason'), /^SIP;\s*cause=486;\s*text="[^"]+"$/);
  const second = await scene.connect(pair);
  await second.incoming.hangUp();
  const told = await second.outgoing.until('disconnected');
  assert.deepEqual({ cause: told.cause, status: told.status }, { cause: 'NORMAL', status: 200 });
  assert.ok(told.reason.includes(pair.bob.id), told.reason);
});

scenario('the caller takes its call back: NOANSWER for it, NORMAL for the callee', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.hangUp();
  assert.equal(await outgoing.ended(), 'NOANSWER');
  assert.equal(await incoming.ended(), 'NORMAL');
});

scenario('a callee who is not registered: UNOBTAINABLE', async (scene) => {
  const alice = await scene.client('alice', OURS);
  const outgoing = await alice.call({ id: scene.id('nobody') });
  const { cause, status } = await outgoing.until('disconnected');
  assert.deepEqual({ cause, status }, { cause: 'UNOBTAINABLE', status: 480 });
});

scenario('a call without permission: REJECTED, and the callee never rings', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob, { token: await alice.token({ callClient: 'somebody.else' }) });
  const { cause, status, reason } = await outgoing.until('disconnected');
  assert.deepEqual({ cause, status }, { cause: 'REJECTED', status: 403 });
  assert.match(reason, /\w \w/);
  assert.deepEqual(bob.told('incoming'), []);
});

scenario('a call with an invalid token: FAILED, with the status and the words', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const token = await scene.server.token(scene.otherAccount, alice.id, { callClient: bob.id });
  const outgoing = await alice.call(bob, { token });
  const { cause, status, reason } = await outgoing.until('disconnected');
  assert.deepEqual({ cause, status }, { cause: 'FAILED', status: 401 });
  assert.match(reason, /token/);
});

scenario('no microphone: DEVICE_ERROR at the caller, and nobody is called', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const refuse = () => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
  };
  await alice.ask(refuse);
  const outgoing = await alice.call(bob);
  const { cause, reason } = await outgoing.until('disconnected');
  assert.equal(cause, 'DEVICE_ERROR');
  assert.match(reason, /\w \w/);
  assert.deepEqual(scene.trace.messages('alice', 'sends', /^INVITE /), []);
});

scenario('no microphone at the callee: DEVICE_ERROR there, and the caller is told too', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await bob.ask(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('No such device', 'NotFoundError'));
  });
  await incoming.answer();
  assert.equal(await incoming.ended(), 'DEVICE_ERROR');
  assert.notEqual(await outgoing.ended(), 'NORMAL');
});

scenario('an internal error: ERROR', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  await alice.ask(() => {
    RTCPeerConnection.prototype.createOffer = () => Promise.reject(new Error('on purpose'));
  });
  const outgoing = await alice.call(bob);
  assert.equal(await outgoing.ended(), 'ERROR');
});

scenario('a callback that throws does no harm', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.ask((call) => {
    call.onConnected = () => {
      throw new Error('on purpose');
    };
  });
  await incoming.answer();
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
  await outgoing.hangUp();
  assert.equal(await incoming.ended(), 'NORMAL');
});

scenario('a socket that is lost without resumption: DISCONNECTED, registered again, and calls FAILED', async (scene) => {
  const script = () => void (window.offhookOptions = { resume: false });
  const { bob, outgoing, incoming } = await scene.connected({}, undefined, OURS, { ...OURS, script, ownProxy: true });
  bob.proxy.cutSignalling();
  const lost = await bob.until('state', ({ ready }) => !ready);
  assert.deepEqual(lost, { type: 'state', ready: false, cause: 'DISCONNECTED', retry: true });
  const { cause, reason } = await incoming.until('disconnected');
  assert.equal(cause, 'FAILED');
  assert.match(reason, /connection/);
  assert.equal(await outgoing.ended(), 'FAILED');
  await bob.until('state', ({ ready }) => ready);
  assert.equal(await bob.isListed(), true);
});
