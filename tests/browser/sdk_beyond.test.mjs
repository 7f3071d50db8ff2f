// What the library offers beyond the published interface: promises, hold, video and screen in a running call, ICE restart,
// quality, the connection test; in Chromium against the built server.
import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true });
const OURS = { kind: 'offhook' };

const held = (call) => call.ask(({ isHeld, isHeldByOther }) => [isHeld, isHeldByOther]);

scenario('promises beside callbacks: connected and ended', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  await Promise.all([outgoing, incoming].map((call) => call.until('connectedPromise', ({ error }) => error === undefined)));
  await outgoing.hangUp();
  for (const call of [outgoing, incoming]) {
    const { value } = await call.until('endedPromise');
    assert.deepEqual({ cause: value.cause, status: value.status }, { cause: 'NORMAL', status: 200 });
    assert.match(value.reason, /hung up/);
  }
});

scenario('calls, remoteId and signalling tell how things are', async (scene) => {
  const { alice, bob, outgoing, incoming } = await scene.connected({}, undefined, OURS);
  assert.equal(await outgoing.ask(({ remoteId }) => remoteId), bob.id);
  assert.equal(await incoming.ask(({ remoteId }) => remoteId), alice.id);
  const isTheOne = (client, phone) => client.calls.length === 1 && client.calls[0] === phone.calls[0];
  assert.equal(await alice.ask(isTheOne), true);
  assert.equal(await bob.ask((client) => client.signalling.state), 'connected');
  assert.deepEqual(bob.told('signalling').map(({ state }) => state), ['connecting', 'connected']);
  await outgoing.hangUp();
  await Promise.all([outgoing.ended(), incoming.ended()]);
  assert.equal(await alice.ask((client) => client.calls.length), 0);
});

scenario('hold and resume: the other side sees it, and media stops and goes on', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
  await outgoing.ask((call) => call.hold());
  await outgoing.until('hold', ({ by, held: on, same }) => by === 'local' && on && same);
  await incoming.until('hold', ({ by, held: on, same }) => by === 'remote' && on && same);
  assert.deepEqual([await held(outgoing), await held(incoming)], [[true, false], [false, true]]);
  await Promise.all([outgoing.receivesNoMore(), incoming.receivesNoMore()]);
  await outgoing.ask((call) => call.resume());
  await outgoing.until('hold', ({ by, held: on }) => by === 'local' && !on);
  await incoming.until('hold', ({ by, held: on }) => by === 'remote' && !on);
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
});

scenario('both hold; one goes on, and the other still holds', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  await outgoing.ask((call) => call.hold());
  await incoming.ask((call) => call.hold());
  assert.deepEqual([await held(outgoing), await held(incoming)], [[true, true], [true, true]]);
  await outgoing.ask((call) => call.resume());
  await incoming.until('hold', ({ by, held: on }) => by === 'remote' && !on);
  assert.deepEqual([await held(outgoing), await held(incoming)], [[false, true], [true, false]]);
  await incoming.ask((call) => call.resume());
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
});

scenario('both change the call in the same moment: both changes are made', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  await Promise.all([outgoing, incoming].map((call) => call.ask((ours) => ours.setVideo(true))));
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
  assert.equal(outgoing.hasEnded() || incoming.hasEnded(), false);
});

scenario('changes that are asked for one upon the other are made one after the other', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  await outgoing.ask((call) => Promise.all([call.hold(), call.setVideo(true), call.resume(), call.restartIce()]));
  assert.deepEqual([await held(outgoing), await held(incoming)], [[false, false], [false, false]]);
  await incoming.receives({ audio: 1, video: 1 });
});

scenario('setVideo: the camera comes into an audio call, and goes again', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  await incoming.receives({ audio: 1 });
  await outgoing.ask((call) => call.setVideo(true));
  assert.equal(await outgoing.ask(({ hasVideo }) => hasVideo), true);
  await incoming.receives({ audio: 1, video: 1 });
  await outgoing.ask((call) => call.setVideo(false));
  assert.equal(await outgoing.ask(({ hasVideo }) => hasVideo), false);
  const live = (call) => call.remoteStreams.flatMap((all) => all.getVideoTracks()).filter((track) => !track.muted).length;
  await eventually('no picture comes in', async () => (await incoming.ask(live)) === 0);
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
});

scenario('shareScreen and stopSharing', async (scene) => {
  const preferThisTab = () => {
    const { mediaDevices } = navigator;
    const native = mediaDevices.getDisplayMedia.bind(mediaDevices);
    mediaDevices.getDisplayMedia = (words) => native({ ...words, preferCurrentTab: true });
  };
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, { ...OURS, script: preferThisTab });
  await incoming.receives({ audio: 1, video: 1 });
  const tracks = await outgoing.ask(async (call) => (await call.shareScreen()).getTracks().map(({ kind }) => kind));
  assert.ok(tracks.includes('video'));
  assert.equal(await outgoing.ask(({ isSharing }) => isSharing), true);
  await incoming.receives({ audio: 1, video: 2 });
  await outgoing.ask((call) => call.stopSharing());
  assert.equal(await outgoing.ask(({ isSharing }) => isSharing), false);
  await incoming.until('mediaRemove');
  await incoming.receives({ audio: 1, video: 1 });
});

scenario('restartIce: new credentials at both ends, and the call goes on', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  const fragment = (call) => call.peerConnection.localDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1];
  const before = [await outgoing.ask(fragment), await incoming.ask(fragment)];
  await outgoing.ask((call) => call.restartIce());
  const after = [await outgoing.ask(fragment), await incoming.ask(fragment)];
  assert.ok(before.every((was, index) => was !== after[index]), JSON.stringify([before, after]));
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
});

scenario('another network: ICE is restarted by itself', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  const sent = scene.trace.messages('alice', 'sends', /^INVITE /).length;
  await outgoing.ask(() => void window.dispatchEvent(new Event('online')));
  await scene.trace.until('alice', 'sends', /^INVITE /, sent + 1);
  const invites = await scene.trace.until('bob', 'receives', /^INVITE /, 2);
  const [first, again] = invites.map(({ text }) => text.match(/a=ice-ufrag:(\S+)/)[1]);
  assert.notEqual(first, again);
  await Promise.all([outgoing.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
});

scenario('testConnection tells in words what works', async (scene) => {
  const bob = await scene.client('bob', OURS);
  await bob.register();
  const report = await bob.ask((client) => client.testConnection());
  const names = ['signalling', 'registration', 'turn-udp', 'turn-tcp', 'turn-tls', 'microphone', 'media'];
  assert.deepEqual(report.checks.map(({ name }) => name), names);
  const result = Object.fromEntries(report.checks.map(({ name, ok }) => [name, ok]));
  assert.deepEqual([report.ok, result.signalling, result.registration, result.microphone], [true, true, true, true]);
  // Without a certificate there is no TURN over TLS, and without a call nothing that the relay would pass: no faults.
  assert.deepEqual([result['turn-udp'], result['turn-tcp'], result['turn-tls'], result.media], [true, true, null, null]);
  for (const { words, ms } of report.checks) {
    assert.match(words, /^\S+ .*\.$/);
    assert.ok(ms === null || ms >= 0);
  }
  // There was nothing to do: the connection was there, and the registration.
  assert.deepEqual(report.checks.slice(0, 2).map(({ ms }) => ms), [null, null]);
});

scenario('close: calls are hung up, the registration and the socket end', async (scene) => {
  const { alice, bob, incoming } = await scene.connected({}, undefined, OURS);
  await bob.ask((client) => client.close());
  assert.equal(await incoming.ended(), 'NORMAL');
  await scene.trace.until('alice', 'receives', /^BYE /);
  assert.equal(await bob.isListed(), false);
  await scene.trace.untilClosed('bob');
  assert.equal(await bob.ask((client) => client.signalling.state), 'idle');
  assert.equal(alice.told('disconnected').at(-1).cause, 'NORMAL');
});

scenario('a tokenProvider is asked to register and to call', async (scene) => {
  const script = () => {
    window.asked = [];
    window.offhookOptions = {
      tokenProvider: (why) => {
        window.asked.push(why);
        return window.freshToken({ callClient: '*' });
      },
    };
  };
  const { bob } = await scene.pair(OURS);
  const alice = await scene.client('alice', { ...OURS, tab: '(2)', script });
  await alice.ask((client) => client.enableIncoming());
  assert.equal(await alice.isListed(), true);
  const outgoing = alice.callOf(await alice.ask((client, id) => window.phone.adopt(client.callClient(id)), bob.id));
  await (await bob.incoming()).answer();
  await outgoing.until('connected');
  const [first, second] = await alice.ask(() => window.asked);
  assert.equal(first, 'register');
  assert.ok(second === undefined || second === 'call', second);
});

scenario('a tokenProvider that fails: the promise is rejected, and the application is told', async (scene) => {
  const script = () => {
    window.offhookOptions = { tokenProvider: () => Promise.reject(new Error('signed out')) };
  };
  const bob = await scene.client('bob', { ...OURS, script });
  const error = await bob.ask((client) => client.enableIncoming().catch(({ name, message }) => ({ name, message })));
  assert.equal(error.name, 'OffhookError');
  assert.match(error.message, /\w \w/);
});

// These mostly wait, and can do so together.
describe('in their own time', { concurrency: true }, () => {
  scenario('onQuality tells every two seconds how the call is', async (scene) => {
    const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
    const measured = ({ rtt_ms, video }) => rtt_ms !== null && video?.width > 0;
    for (const call of [outgoing, incoming]) {
      const quality = await call.until('quality', (event) => event.same && measured(event));
      assert.ok(quality.mos >= 1 && quality.mos <= 4.5, JSON.stringify(quality));
      assert.ok(['good', 'fair', 'poor'].includes(quality.level));
      for (const field of ['rtt_ms', 'jitter_ms', 'loss_percent']) assert.ok(quality[field] >= 0, field);
      assert.ok(quality.audio.kbps_in > 0 && quality.audio.kbps_out > 0, JSON.stringify(quality));
      assert.ok(quality.video.kbps_in > 0 && quality.video.fps > 0, JSON.stringify(quality));
    }
  });

  scenario('testConnection without a microphone, and without a server', async (scene) => {
    const bob = await scene.client('bob', { ...OURS, ownProxy: true });
    await bob.ask(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
    });
    const check = (report, wanted) => report.checks.find(({ name }) => name === wanted);
    const deaf = await bob.ask((client) => client.testConnection());
    assert.deepEqual([deaf.ok, check(deaf, 'signalling').ok, check(deaf, 'microphone').ok], [false, true, false]);
    const silent = await bob.ask((client) => client.testConnection({ microphone: false }));
    assert.equal(check(silent, 'microphone').ok, null);
    await bob.ask((client) => client.close());
    bob.proxy.upstream = null;
    const alone = await bob.ask((client) => client.testConnection({ microphone: false }));
    assert.deepEqual([alone.ok, check(alone, 'signalling').ok], [false, false]);
  });

  scenario('before a token ends: the provider renews it, or onTokenWillExpire asks for another', async (scene) => {
    // Their clocks are ahead: to these pages a token of ten minutes has little more than the minute left.
    const ahead = () => {
      const { now } = Date;
      Date.now = () => now() + 538_000;
    };
    const provider = () => {
      const { now } = Date;
      Date.now = () => now() + 538_000;
      window.asked = [];
      window.offhookOptions = {
        tokenProvider: (why) => {
          window.asked.push(why);
          return window.freshToken();
        },
      };
    };
    const scripts = { bob: provider, carol: ahead };
    const open = ([name, script]) => scene.client(name, { ...OURS, script });
    const [bob, carol] = await Promise.all(Object.entries(scripts).map(open));
    await Promise.all([bob, carol].map(async (client) => client.register(await client.token({ ttl: 600 }))));
    const { secondsLeft, expires } = await carol.until('tokenWillExpire');
    assert.ok(secondsLeft > 50 && secondsLeft <= 60, String(secondsLeft));
    assert.ok(Date.parse(expires) > Date.now(), expires);
    await carol.ask((_, given) => window.phone.renew(given), await carol.token());
    const first = scene.trace.messages('bob', 'sends', /^REGISTER /)[0].header('Authorization');
    await eventually('bob registers with another token', () =>
      scene.trace.messages('bob', 'sends', /^REGISTER /).some((sent) => sent.header('Authorization') !== first),
    );
    assert.deepEqual(await bob.ask(() => window.asked), ['renew']);
    for (const client of [bob, carol]) {
      assert.equal(await client.isListed(), true);
      assert.deepEqual(client.told('state').filter(({ ready }) => !ready), []);
    }
    assert.deepEqual(bob.told('tokenWillExpire'), []);
  });
});
