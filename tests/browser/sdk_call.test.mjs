// The library's calls: every member and callback of the published AculabCloudCall, AculabCloudOutgoingCall and
// AculabCloudIncomingCall, in Chromium against the built server.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true, whole: true });
const OURS = { kind: 'offhook' };
const UUID_4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Runs `act` with the call in the page, and gives back the string that it throws there. */
function thrown(call, act, ...words) {
  const caught = `(...given) => {
    try {
      (${act})(...given);
    } catch (error) {
      return typeof error === 'string' && error !== '' ? error : \`not a string: \${error}\`;
    }
    return 'not a string: nothing is thrown';
  }`;
  return call.ask(caught, ...words);
}

async function assertThrows(call, act, ...words) {
  assert.doesNotMatch(await thrown(call, act, ...words), /^not a string/);
}

/** Whether the call's remote picture is black all over, or not. */
function pictureIs(call, black) {
  const look = async (ours) => {
    const [track] = ours.remoteStreams.flatMap((stream) => stream.getVideoTracks());
    window.screen_ ??= Object.assign(document.createElement('video'), { muted: true, autoplay: true });
    if (window.screen_.srcObject?.getVideoTracks()[0] !== track) window.screen_.srcObject = new MediaStream([track]);
    await window.screen_.play();
    const canvas = new OffscreenCanvas(32, 24).getContext('2d');
    canvas.drawImage(window.screen_, 0, 0, 32, 24);
    const { data } = canvas.getImageData(0, 0, 32, 24);
    // Limited-range black comes out a little above nothing.
    return data.every((value, index) => index % 4 === 3 || value < 24);
  };
  return eventually(`the picture is ${black ? 'black' : 'there'}`, async () => (await call.ask(look)) === black);
}

/** Whether a second of what the call receives is silence: the fake microphone beeps more often. */
function hears(call, silence) {
  const measure = async (ours) => {
    // Sound is counted only where it is played.
    window.speaker ??= new Audio();
    if (window.speaker.srcObject !== ours.remoteStreams[0]) window.speaker.srcObject = ours.remoteStreams[0];
    await window.speaker.play();
    const read = async () => {
      const reports = [...(await ours.peerConnection.getStats()).values()];
      return reports.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
    };
    const before = await read();
    // Of a stream whose first packet has yet to come nothing is counted.
    if (!before) return null;
    let now = before;
    while (now.totalSamplesDuration < before.totalSamplesDuration + 1.1) now = await read();
    return now.totalAudioEnergy - before.totalAudioEnergy;
  };
  const isIt = async () => {
    const energy = await call.ask(measure);
    return energy !== null && energy < 1e-6 === silence;
  };
  return eventually(`it hears ${silence ? 'nothing' : 'something'}`, isIt);
}

scenario('callId, theCallId and callUuid: one id of the call at both ends, and one of each object', async (scene) => {
  const { outgoing, incoming } = await scene.connected({}, undefined, OURS);
  const ids = (call) => [call.callId(), call.theCallId, call.callUuid];
  const [ours, theirs] = [await outgoing.ask(ids), await incoming.ask(ids)];
  assert.equal(ours[0], theirs[0]);
  assert.equal(ours[0], ours[1]);
  const [invite] = await scene.trace.until('alice', 'sends', /^INVITE /);
  assert.equal(ours[0], invite.header('Call-ID'));
  for (const [, , uuid] of [ours, theirs]) assert.match(uuid, UUID_4);
  assert.notEqual(ours[2], theirs[2]);
  await assert.rejects(outgoing.ask(`(call) => { 'use strict'; call.callUuid = 'x'; }`));
});

scenario('ringing and answer: onRinging at the caller, onConnected at both', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob);
  const incoming = await bob.incoming();
  await outgoing.until('ringing', ({ same }) => same);
  assert.equal(await outgoing.ask(({ state }) => state), 'ringing');
  assert.deepEqual(alice.told('connected'), []);
  await incoming.answer();
  await Promise.all([outgoing.until('connected', ({ same }) => same), incoming.until('connected', ({ same }) => same)]);
  for (const call of [outgoing, incoming]) assert.equal(await call.ask(({ state }) => state), 'connected');
});

scenario("onLocalMedia and onMedia: their streams are the call's own", async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  for (const call of [outgoing, incoming]) {
    const local = await call.has('localMedia', ({ same }) => same);
    const remote = await call.has('media', ({ same }) => same);
    for (const { tracks } of [local, remote]) assert.deepEqual([...tracks].sort(), ['audio', 'video']);
    const known = await call.ask((ours) => [ours.localStreams, ours.remoteStreams].map((all) => all.map(({ id }) => id)));
    assert.deepEqual(known, [[local.stream], [remote.stream]]);
  }
});

scenario('onConnecting is told where onLocalMedia is not set', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const place = (client, id, given) => {
    const call = client.callClient(id, given);
    const number = window.phone.adopt(call);
    call.onLocalMedia = null;
    return number;
  };
  const outgoing = alice.callOf(await alice.ask(place, bob.id, await alice.token({ callClient: bob.id })));
  const { tracks } = await outgoing.until('connecting', ({ same }) => same);
  assert.deepEqual(tracks, ['audio']);
  await bob.incoming();
  await outgoing.hangUp();
});

scenario('mute: the microphone and the camera of the call', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  await Promise.all([hears(incoming, false), pictureIs(incoming, false)]);
  await outgoing.ask((call) => call.mute(true, false));
  assert.equal((await outgoing.until('localVideoMute', ({ same }) => same)).track, 'video');
  await Promise.all([hears(incoming, true), pictureIs(incoming, true)]);
  const muted = { mic: true, output_audio: false, camera: true, output_video: false };
  assert.deepEqual(await outgoing.ask((call) => call.isMuted(call.remoteStreams[0])), muted);
  // The camera is named: it is no more the microphone's shadow.
  await outgoing.ask((call) => call.mute(true, false, false));
  assert.equal((await outgoing.until('localVideoUnmute', ({ same }) => same)).track, 'video');
  await pictureIs(incoming, false);
  await outgoing.ask((call) => call.mute(false, false, false));
  await hears(incoming, false);
});

scenario('mute: what is received, sound and picture', async (scene) => {
  const { outgoing } = await scene.connected({ video: true }, undefined, OURS);
  await pictureIs(outgoing, false);
  const enabled = (call) => {
    const tracks = call.remoteStreams.flatMap((all) => all.getTracks());
    return Object.fromEntries(tracks.map((track) => [track.kind, track.enabled]));
  };
  await outgoing.ask((call) => call.mute(false, true));
  assert.deepEqual(await outgoing.ask(enabled), { audio: false, video: false });
  await pictureIs(outgoing, true);
  await outgoing.ask((call) => call.mute(false, true, false, false));
  assert.deepEqual(await outgoing.ask(enabled), { audio: false, video: true });
  await outgoing.ask((call) => call.mute(false, false));
  assert.deepEqual(await outgoing.ask(enabled), { audio: true, video: true });
  await pictureIs(outgoing, false);
});

scenario('muteLocalStream, muteRemoteStream and muteStream mute one stream', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  await pictureIs(incoming, false);
  await outgoing.ask((call) => call.muteLocalStream(call.localStreams[0], false, true));
  await pictureIs(incoming, true);
  await outgoing.ask((call) => call.muteStream(call.localStreams[0], false, false, false, false));
  await pictureIs(incoming, false);
  const isMuted = (call) => call.isMuted(call.remoteStreams[0]);
  await incoming.ask((call) => call.muteRemoteStream(call.remoteStreams[0], true));
  assert.deepEqual(await incoming.ask(isMuted), { mic: false, output_audio: true, camera: false, output_video: true });
  await incoming.ask((call) => call.muteRemoteStream(call.remoteStreams[0], true, false));
  assert.deepEqual(await incoming.ask(isMuted), { mic: false, output_audio: true, camera: false, output_video: false });
});

scenario('onRemoteVideoMute and onRemoteVideoUnmute: the other side holds, and goes on', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  await incoming.receives({ audio: 1, video: 1 });
  await outgoing.ask((call) => call.hold());
  assert.equal((await incoming.until('remoteVideoMute', ({ same }) => same)).track, 'video');
  await outgoing.ask((call) => call.resume());
  assert.equal((await incoming.until('remoteVideoUnmute', ({ same }) => same)).track, 'video');
});

scenario('sendDtmf sends what it is told, and throws a string at other characters', async (scene) => {
  const { outgoing } = await scene.connected({}, undefined, OURS);
  const tones = await outgoing.ask(async (call, digits) => {
    const { dtmf } = call.peerConnection.getSenders().find(({ track }) => track?.kind === 'audio');
    const heard = [];
    const all = new Promise((done) => {
      dtmf.addEventListener('tonechange', ({ tone }) => {
        heard.push(tone);
        if (heard.length === digits.length) done();
      });
    });
    call.sendDtmf(digits);
    await all;
    return heard.join('');
  }, '159#*D');
  assert.equal(tones, '159#*D');
  for (const digits of ['12E', 'x', '1 2']) await assertThrows(outgoing, (call, given) => call.sendDtmf(given), digits);
});

scenario('addStream and removeStream: the other side is told onMedia and onMediaRemove', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true, keepStream: true }, undefined, OURS);
  await incoming.receives({ audio: 1, video: 1 });
  const first = await incoming.has('media');
  const camera = async (call) => {
    window.extra = await navigator.mediaDevices.getUserMedia({ audio: false, video: true });
    await call.addStream(window.extra);
  };
  await outgoing.ask(camera);
  const second = await incoming.has('media', ({ stream }) => stream !== first.stream);
  await incoming.receives({ audio: 1, video: 2 });
  await assertThrows(outgoing, (call) => call.addStream(window.extra));
  await assertThrows(outgoing, (call) => call.removeStream(new MediaStream()));
  const { stream: own } = (await eventually('it is told local media twice', () => {
    const all = outgoing.told('localMedia');
    return all.length === 2 && all;
  }))[1];
  await outgoing.ask((call, id) => call.removeStream(window.phone.streams.get(id)), own);
  assert.equal((await incoming.until('mediaRemove', ({ same }) => same)).stream, second.stream);
  assert.equal((await outgoing.until('localMediaRemove', ({ same }) => same)).stream, own);
  await incoming.receives({ audio: 1, video: 1 });
  await assertThrows(outgoing, (call) => call.removeStream(call.localStreams[0]));
});

scenario('the callee adds a stream; removing the one that the application gave works too', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ keepStream: true }, undefined, OURS);
  await incoming.share();
  await outgoing.receives({ audio: 1, video: 1 });
  await incoming.stopSharing();
  await outgoing.until('mediaRemove');
  await outgoing.receives({ audio: 1 });
});

scenario('addStream before the call is connected is thrown as a string', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const outgoing = await alice.call(bob);
  await bob.incoming();
  await assertThrows(outgoing, (call) => call.addStream(new MediaStream()));
  await assertThrows(outgoing, (call) => call.removeStream(new MediaStream()));
});

scenario('reinvite replaces the local streams', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ keepStream: true }, undefined, OURS);
  await outgoing.ask(async (call) => {
    const both = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    await call.reinvite({ localStreams: [both] });
  });
  await incoming.receives({ audio: 1, video: 1 });
});

scenario('disconnect: either side, at any time, told once as NORMAL', async (scene) => {
  const pair = await scene.pair(OURS);
  for (const who of ['outgoing', 'incoming']) {
    const call = await scene.connect(pair);
    await call[who].hangUp();
    assert.deepEqual(await Promise.all([call.outgoing.ended(), call.incoming.ended()]), ['NORMAL', 'NORMAL']);
    await call[who].hangUp();
    assert.equal(call[who].told('disconnected').length, 1);
    assert.equal(await call.outgoing.ask(({ state }) => state), 'ended');
  }
});

scenario('both disconnect at once', async (scene) => {
  const pair = await scene.pair(OURS);
  const { outgoing, incoming } = await scene.connect(pair);
  await Promise.all([outgoing.hangUp(), incoming.hangUp()]);
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
  await scene.connect(pair);
});

scenario('reject: with its status, with 486 where it is none', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const statuses = [[480, 480], ['404', 404], [undefined, 486], [200, 486], ['nonsense', 486], [700, 486]];
  for (const [given, sent] of statuses) {
    const outgoing = await alice.call(bob);
    const incoming = await bob.incoming();
    await incoming.ask((call, status) => (status === null ? call.reject() : call.reject(status)), given ?? null);
    const { status } = await outgoing.until('disconnected');
    assert.equal(status, sent);
    await incoming.ended();
  }
});

scenario('disconnect right after calling, and as the INVITE leaves: NOANSWER, and nothing rings on', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  await alice.register();
  assert.equal(await (await alice.callAndHangUp(bob)).ended(), 'NOANSWER');
  assert.equal(await (await alice.callAndCancel(bob)).ended(), 'NOANSWER');
  for (const { call } of bob.told('incoming')) await bob.until('disconnected', (event) => event.call === call);
  // Of what was taken back the callee may have heard or not; this one shows itself by its video.
  const again = await alice.call(bob, { video: true });
  const { call } = await bob.until('incoming', ({ offeringVideo }) => offeringVideo);
  await bob.callOf(call).reject(486);
  assert.equal(await again.ended(), 'BUSY');
});

scenario('getStats and getConnectionInfo tell about the running call', async (scene) => {
  const { outgoing } = await scene.connected({ video: true }, undefined, OURS);
  await outgoing.receives({ audio: 1, video: 1 });
  const answer = await outgoing.ask(async (call) => {
    const stats = await call.getStats();
    const [track] = call.remoteStreams[0].getAudioTracks();
    return {
      received: stats.getInboundReportsFromKind('audio').packetsReceived,
      sent: stats.getOutboundReportsFromKind('video').packetsSent,
      ofTrack: stats.getReportFromTrackId(track.id)?.length ?? 0,
      info: await call.getConnectionInfo(),
    };
  });
  assert.ok(answer.received > 0 && answer.sent > 0 && answer.ofTrack > 0, JSON.stringify(answer));
  assert.match(answer.info, /^\S+:\d+ udp => \S+:\d+ host$/);
});
