// The library's client: every member of the published AculabCloudClient and of its call options, in Chromium against the
// built server.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';

const scenario = stage({ plain: true });
const OURS = { kind: 'offhook' };

/** Runs `act` in the page, and gives back the string that it throws there. */
function thrown(client, act, ...words) {
  const caught = `(...given) => {
    try {
      (${act})(...given);
    } catch (error) {
      return typeof error === 'string' && error !== '' ? error : \`not a string: \${error}\`;
    }
    return 'not a string: nothing is thrown';
  }`;
  return client.ask(caught, ...words);
}

function assertIsString(answer) {
  assert.doesNotMatch(answer, /^not a string/);
}

/** What the call's peer connection was made with. */
function configuration(call) {
  const ask = () => call.ask(({ peerConnection }) => peerConnection?.getConfiguration());
  return eventually('there is a peer connection', ask);
}

scenario('the library calls the library: audio and video flow both ways', async (scene) => {
  const { outgoing, incoming } = await scene.connected({ video: true }, undefined, OURS);
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
  await outgoing.hangUp();
  assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
});

scenario('isSupported and getCodecList say what the browser can do', async (scene) => {
  const alice = await scene.client('alice', OURS);
  const answer = await alice.ask((client) => {
    const { isSupported, getCodecList } = client.constructor;
    const types = (kind) => getCodecList(kind).map(({ mimeType }) => mimeType.toLowerCase());
    return { supported: isSupported(), audio: types('audio'), video: types('video'), other: getCodecList('smell') };
  });
  assert.equal(answer.supported, true);
  assert.ok(answer.audio.includes('audio/opus'));
  assert.ok(answer.video.includes('video/vp8'));
  assert.deepEqual(answer.other, []);
});

scenario('enableIncoming and disableIncoming: told by onIncomingState, by promises, and listed', async (scene) => {
  const bob = await scene.client('bob', OURS);
  const token = await bob.token();
  await bob.ask((client, given) => client.enableIncoming(given), token);
  const { ready, cause } = bob.told('state').at(-1);
  assert.deepEqual({ ready, cause }, { ready: true, cause: 'NORMAL' });
  assert.equal(await bob.isListed(), true);
  await bob.ask((client) => client.disableIncoming());
  assert.deepEqual(bob.told('state').at(-1), { type: 'state', ready: false, cause: 'NORMAL', retry: false });
  assert.equal(await bob.isListed(), false);
});

scenario('enableIncoming with a new token registers with it in place, without a gap', async (scene) => {
  const bob = await scene.client('bob', OURS);
  await bob.register(await bob.token({ ttl: 600 }));
  const second = await bob.token({ ttl: 7200 });
  await bob.ask((client, given) => client.enableIncoming(given), second);
  const [before, after] = await scene.trace.until('bob', 'sends', /^REGISTER /, 2);
  assert.equal(after.header('Authorization'), `Bearer ${second}`);
  assert.equal(after.header('Call-ID'), before.header('Call-ID'));
  assert.deepEqual(bob.told('state').filter(({ ready }) => !ready), []);
});

scenario('disableIncoming right after enableIncoming leaves nothing behind', async (scene) => {
  const bob = await scene.client('bob', OURS);
  await bob.register();
  await bob.enableAndDisable(await bob.token());
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
});

scenario('an invalid token: INVALIDTOKEN, told to both; one that is none is thrown as a string', async (scene) => {
  const bob = await scene.client('bob', OURS);
  const forged = await scene.server.token(scene.otherAccount, bob.id);
  const enable = (client, given) => client.enableIncoming(given).catch(({ code, message }) => ({ code, message }));
  const error = await bob.ask(enable, forged);
  assert.equal(error.code, 'INVALIDTOKEN');
  assert.match(error.message, /\w \w/);
  assert.equal((await bob.until('state', ({ ready }) => !ready)).cause, 'INVALIDTOKEN');
  assertIsString(await thrown(bob, (client) => client.enableIncoming('no token')));
});

scenario('a token without the permission: FORBIDDEN for the promise, FAILED for onIncomingState', async (scene) => {
  const bob = await scene.client('bob', OURS);
  const token = await bob.token({ enableIncoming: false });
  const enable = (client, given) => client.enableIncoming(given).catch(({ code, status }) => ({ code, status }));
  const error = await bob.ask(enable, token);
  assert.deepEqual(error, { code: 'FORBIDDEN', status: 403 });
  assert.equal((await bob.until('state', ({ ready }) => !ready)).cause, 'FAILED');
});

scenario('what cannot be called is thrown as a string', async (scene) => {
  const alice = await scene.client('alice', OURS);
  const token = await alice.token({ callClient: '*' });
  assertIsString(await thrown(alice, (client, given) => client.callClient('bob smith', given), token));
  assertIsString(await thrown(alice, (client) => client.callClient('bob', 'no token')));
  assertIsString(await thrown(alice, (client) => client.callService('front desk')));
  const tooMany = (client, given) => {
    client.callClient('bob', given);
    client.callClient('carol', given);
  };
  assertIsString(await thrown(alice, tooMany, token));
});

for (const [title, member] of [
  ['callService: the INVITE names the service and has no token; an unknown one is UNOBTAINABLE', 'callService'],
  ['makeOutgoing is the same as callService', 'makeOutgoing'],
]) {
  scenario(title, async (scene) => {
    const alice = await scene.client('alice', OURS);
    const number = await alice.ask((client, name) => window.phone.adopt(client[name]('front-desk')), member);
    const call = alice.callOf(number);
    const [invite] = await scene.trace.until('alice', 'sends', /^INVITE /);
    assert.match(invite.text, /^INVITE sip:front-desk@sip-1-2-0\.aculab\.com[; ]/);
    assert.deepEqual(invite.headers('Authorization'), []);
    assertIsString(await thrown(call, (service) => service.addStream(new MediaStream())));
    assertIsString(await thrown(call, (service) => service.removeStream(new MediaStream())));
    assert.equal(await call.ended(), 'UNOBTAINABLE');
  });
}

scenario('onIncoming tells who calls and what is offered', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const told = async (options) => {
    const outgoing = await alice.call(bob, options);
    await bob.incoming();
    const { from, kind, ...offer } = bob.told('incoming').at(-1);
    assert.deepEqual({ from, kind }, { from: alice.id, kind: 'client' });
    await outgoing.hangUp();
    await outgoing.ended();
    const { offeringAudio, canReceiveAudio, offeringVideo, canReceiveVideo } = offer;
    return { offeringAudio, canReceiveAudio, offeringVideo, canReceiveVideo };
  };
  const audio = { offeringAudio: true, canReceiveAudio: true };
  assert.deepEqual(await told({}), { ...audio, offeringVideo: false, canReceiveVideo: false });
  assert.deepEqual(await told({ video: true }), { ...audio, offeringVideo: true, canReceiveVideo: true });
  const sees = { more: { receiveVideo: true } };
  assert.deepEqual(await told(sees), { ...audio, offeringVideo: false, canReceiveVideo: true });
  const shows = { video: true, more: { receiveVideo: false, receiveAudio: false } };
  const offered = { offeringAudio: true, canReceiveAudio: false, offeringVideo: true, canReceiveVideo: false };
  assert.deepEqual(await told(shows), offered);
});

scenario('the type of the other side follows from its domain: client, service, other', async (scene) => {
  const rewrite = () => {
    window.fromHost = null;
    const Native = window.WebSocket;
    // As if a service or a trunk called: the server has none yet.
    class Rewriting extends Native {
      set onmessage(told) {
        super.onmessage = (event) => {
          const given = typeof event.data === 'string' && window.fromHost;
          const data = given ? event.data.replace(/^(From:.*@)[^>;]+/im, `$1${window.fromHost}`) : event.data;
          told(new MessageEvent('message', { data }));
        };
      }
    }
    window.offhookOptions = { webSocket: Rewriting };
  };
  const { alice, bob } = await scene.pair(OURS, { ...OURS, script: rewrite });
  for (const [host, type] of [['sip-1-2-0.aculab.com', 'service'], ['example.com', 'other']]) {
    await bob.ask((_, given) => void (window.fromHost = given), host);
    const outgoing = await alice.call(bob);
    const incoming = await bob.incoming();
    assert.equal(incoming.kind, type);
    await incoming.reject(486);
    await outgoing.ended();
  }
});

scenario('a call is rejected where onIncoming is null, or throws', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const thrower = (client) => {
    client.onIncoming = () => {
      throw new Error('on purpose');
    };
  };
  const refusers = [(client) => void (client.onIncoming = null), thrower];
  for (const refuse of refusers) {
    await bob.ask(refuse);
    const outgoing = await alice.call(bob);
    const { cause, status } = await outgoing.until('disconnected');
    assert.notEqual(cause, 'NORMAL');
    assert.ok(status >= 400, String(status));
    assert.deepEqual(await bob.ask((client) => client.calls.length), 0);
  }
});

scenario('setPeerConnectionConfiguration: servers and policy of the calls that follow', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const servers = [{ urls: ['turn:127.0.0.1:9?transport=udp'], username: 'u', credential: 'c' }];
  const wanted = { iceServers: servers, iceTransportPolicy: 'relay' };
  await alice.ask((client, given) => client.setPeerConnectionConfiguration(given), wanted);
  const outgoing = await alice.call(bob);
  const used = await configuration(outgoing);
  assert.deepEqual(used.iceServers.map(({ urls }) => urls), [['turn:127.0.0.1:9?transport=udp']]);
  assert.equal(used.iceTransportPolicy, 'relay');
  await outgoing.hangUp();
  await outgoing.ended();
});

scenario('iceServers: an array is used as it is, null asks the server', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const configured = async (servers) => {
    await alice.ask((client, given) => void (client.iceServers = given), servers);
    const outgoing = await alice.call(bob);
    const used = await configuration(outgoing);
    await outgoing.hangUp();
    await outgoing.ended();
    return used.iceServers.map(({ urls }) => urls);
  };
  assert.deepEqual(await configured([]), []);
  assert.deepEqual(await configured([{ urls: ['stun:127.0.0.1:9'] }]), [['stun:127.0.0.1:9']]);
  const [[udp, tcp]] = await configured(null);
  assert.match(udp, /^turn:.*transport=udp$/);
  assert.match(tcp, /^turn:.*transport=tcp$/);
  const [asked] = scene.trace.messages('alice', 'sends', /^OPTIONS /);
  assert.equal(asked.header('X-AculabTurnRequest'), '1');
});

scenario('maxConcurrent: several calls at a time, and one more is busy', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const [carol, dave] = await Promise.all(['carol', 'dave'].map((name) => scene.client(name, OURS)));
  await carol.register();
  await alice.register();
  await alice.ask((client) => void (client.maxConcurrent = 2));
  const calls = [];
  for (const other of [bob, carol]) {
    const outgoing = await alice.call(other);
    const incoming = await other.incoming();
    await incoming.answer();
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    calls.push(outgoing, incoming);
  }
  await Promise.all(calls.map((call) => call.receives({ audio: 1 })));
  assert.equal(await alice.ask((client) => client.calls.length), 2);
  const third = await dave.call(alice);
  assert.equal(await third.ended(), 'BUSY');
  await calls[0].hangUp();
  assert.equal(await calls[1].ended(), 'NORMAL');
  await calls[3].receives({ audio: 1 });
});

scenario('a page can have more than one client at a time', async (scene) => {
  const alice = await scene.client('alice', OURS);
  await alice.register();
  const second = scene.id('second');
  const token = await scene.server.token(scene.account, second);
  const words = [scene.account.cloud_id, scene.account.webrtc_access_key, second, token];
  const make = async (client, cloud, key, id, given) => {
    const { server } = Object.fromEntries(new URL(location.href).searchParams);
    window.second = new client.constructor(cloud, key, id, 0, { server });
    await window.second.enableIncoming(given);
    return window.second.clientId;
  };
  assert.equal(await alice.ask(make, ...words), second);
  const listed = (await scene.server.registeredClients(scene.account)).map(({ client_id }) => client_id);
  assert.ok(listed.includes(alice.id) && listed.includes(second), JSON.stringify(listed));
  await alice.ask(() => window.second.close());
  assert.equal(await alice.isListed(), true);
});

scenario('localStream and localStreams are cloned and sent; constraints are then not used', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const token = await alice.token({ callClient: bob.id });
  for (const member of ['localStream', 'localStreams']) {
    const place = async (client, id, given, name) => {
      const own = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('nobody may ask for media here'));
      const options = { [name]: name === 'localStream' ? own : [own], constraints: { audio: false } };
      const number = window.phone.adopt(client.callClient(id, given, options));
      window.own = own;
      return number;
    };
    const outgoing = alice.callOf(await alice.ask(place, bob.id, token, member));
    const incoming = await bob.incoming();
    await incoming.answer({ video: true });
    const { stream, tracks } = await outgoing.until('localMedia');
    assert.deepEqual([...tracks].sort(), ['audio', 'video']);
    const isClone = (call, id) => {
      const own = window.own.getTracks();
      return window.phone.streams.get(id).getTracks().every((track) => !own.includes(track));
    };
    assert.equal(await outgoing.ask(isClone, stream), true);
    await incoming.receives({ audio: 1, video: 1 });
    await outgoing.hangUp();
    await outgoing.ended();
    // What the application gave stays the application's.
    const live = () => window.own.getTracks().every(({ readyState }) => readyState === 'live');
    assert.equal(await alice.ask(live), true);
    await alice.ask(() => delete navigator.mediaDevices.getUserMedia);
  }
});

scenario('receiveAudio and receiveVideo decide what is offered to be received', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const directions = async (options) => {
    const outgoing = await alice.call(bob, options);
    await bob.incoming();
    await outgoing.hangUp();
    await outgoing.ended();
    const [invite] = scene.trace.messages('alice', 'sends', /^INVITE /).slice(-1);
    return invite.text.match(/^(m=\w+|a=(sendrecv|sendonly|recvonly|inactive))/gm).join(' ');
  };
  assert.equal(await directions({}), 'm=audio a=sendrecv');
  assert.equal(await directions({ more: { receiveVideo: true } }), 'm=audio a=sendrecv m=video a=recvonly');
  const deaf = { video: true, more: { receiveAudio: false, receiveVideo: false } };
  assert.equal(await directions(deaf), 'm=audio a=sendonly m=video a=sendonly');
});

scenario('codecs: the preferred one is offered first, and used', async (scene) => {
  const { alice, bob } = await scene.pair(OURS);
  const token = await alice.token({ callClient: bob.id });
  const place = (client, id, given) => {
    const first = (kind, type) => {
      const list = client.constructor.getCodecList(kind);
      return [...list.filter(({ mimeType }) => mimeType === type), ...list.filter(({ mimeType }) => mimeType !== type)];
    };
    const codecs = { audio: first('audio', 'audio/PCMU'), video: first('video', 'video/VP9') };
    return window.phone.adopt(client.callClient(id, given, { constraints: { audio: true, video: true }, codecs }));
  };
  const outgoing = alice.callOf(await alice.ask(place, bob.id, token));
  const incoming = await bob.incoming();
  await incoming.answer({ video: true });
  await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
  const sent = async (call) => {
    const reports = [...(await call.peerConnection.getStats()).values()];
    const outbound = reports.filter(({ type }) => type === 'outbound-rtp');
    return outbound.map(({ codecId }) => reports.find(({ id }) => id === codecId)?.mimeType).sort();
  };
  assert.deepEqual(await outgoing.ask(sent), ['audio/PCMU', 'video/VP9']);
});

scenario('maxBitrateAudio and maxBitrateVideo bound what is sent', async (scene) => {
  const limits = { video: true, more: { maxBitrateAudio: 20_000, maxBitrateVideo: 90_000 } };
  const { outgoing, incoming } = await scene.connected(limits, { video: true }, OURS);
  const bounds = (call) => Object.fromEntries(call.peerConnection.getSenders().filter(({ track }) => track)
    .map((sender) => [sender.track.kind, sender.getParameters().encodings[0]?.maxBitrate ?? null]));
  assert.deepEqual(await outgoing.ask(bounds), { audio: 20_000, video: 90_000 });
  assert.deepEqual(await incoming.ask(bounds), { audio: null, video: null });
});

scenario('extraSipHeaders pass both ways, and getSipHeaders reads them', async (scene) => {
  const { outgoing, incoming } = await scene.connected(
    { headers: ['X-Order: 4711', 'X-Tag: one', 'X-Tag: two, three'] },
    { headers: ['X-Agent: 7', 'X-Skill: sales', 'X-Skill: support'] },
    OURS,
  );
  assert.deepEqual(await incoming.headers('X-Order'), ['4711']);
  assert.deepEqual(await incoming.headers('x-tag'), ['one', 'two, three']);
  assert.deepEqual(await outgoing.headers('X-Agent'), ['7']);
  assert.deepEqual(await outgoing.headers('X-Skill'), ['sales', 'support']);
  assert.deepEqual(await outgoing.headers('X-Nothing'), []);
});

scenario('reconnect and closeConnection: at once on a new socket, and gone', async (scene) => {
  const bob = await scene.client('bob', OURS);
  await bob.register();
  await bob.ask((client) => client.reconnect());
  await scene.trace.until('bob', 'opens', /sipproxy$/, 2);
  await scene.trace.until('bob', 'sends', /^REGISTER /, 2);
  await eventually('bob is listed again', () => bob.isListed());
  await bob.ask((client) => client.closeConnection());
  await scene.trace.untilClosed('bob');
  await eventually('bob is listed no more', async () => !(await bob.isListed()));
});

scenario('the server is by default where the library came from; http, ws and URL objects name it too', async (scene) => {
  const bob = await scene.client('bob', OURS);
  const token = await bob.token();
  const ports = await bob.ask(async (client, account, id, given) => {
    const origin = new URL(location.href).searchParams.get('server');
    const servers = [undefined, origin, origin.replace('http', 'ws'), new URL(origin)];
    const ready = [];
    for (const server of servers) {
      const own = new client.constructor(account.cloud_id, account.webrtc_access_key, id, 0, server ? { server } : {});
      await own.enableIncoming(given);
      ready.push(own.signalling.state);
      await own.close();
    }
    return ready;
  }, scene.account, bob.id, token);
  assert.deepEqual(ports, ['connected', 'connected', 'connected', 'connected']);
});

scenario('AculabCloudCaller: the interface of version 1, one call to a service', async (scene) => {
  const alice = await scene.client('alice', OURS);
  const call = (client, account, phone) => {
    const caller = new phone.library.AculabCloudCaller();
    const told = new Promise((done) => (caller.onDisconnect = ({ cause }) => done(cause)));
    caller.makeCall(account.cloud_id, 'front-desk', 'alice');
    return told;
  };
  // Version 1 knew no accounts: the key that it uses for all is none here.
  assert.equal(await alice.ask(call, scene.account), 'REJECTED');
  const [invite] = await scene.trace.until('alice', 'sends', /^INVITE /);
  assert.match(invite.text, /^INVITE sip:front-desk@sip-1-2-0\.aculab\.com[; ]/);
  await alice.ask(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
  });
  assert.equal(await alice.ask(call, scene.account), 'MIC_ERROR');
});
