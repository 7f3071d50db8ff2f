// The unmodified SDK on a page of http://localhost, with one extra script tag: it runs against a server without TLS, in a
// browser that is led nowhere and that believes no certificate of ours. And the page's other WebSockets are as they were.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';
import { basic } from './harness/server.mjs';

const scenario = stage({ plain: true });

/** A token as a page gets it, from the web service of another origin. */
function tokenByPage(client, scene, options) {
  return client.page.evaluate(
    async ([origin, authorization, fields]) => {
      const body = new FormData();
      for (const [name, value] of Object.entries(fields)) body.append(name, value);
      const answer = await fetch(`${origin}/webrtc_generate_token`, { method: 'POST', body, headers: { authorization } });
      return (await answer.json()).token;
    },
    [scene.server.origin, basic(scene.account), { client_id: client.id, ...options }],
  );
}

for (const [title, kind] of [
  ['SDK 4.0.8 with the shim: token, register, call with video, hang up', 'shim'],
  ['SDK 3.3.1 with the shim: token, register, call with video, hang up', 'shim3'],
]) {
  scenario(title, async (scene) => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => scene.client(name, { kind })));
    await bob.enableIncoming(await tokenByPage(bob, scene));
    await bob.until('state', ({ ready }) => ready);
    assert.equal(await bob.isListed(), true);
    const token = await tokenByPage(alice, scene, { call_client: bob.id });
    const outgoing = await alice.call(bob, { video: true, token });
    const incoming = await bob.incoming();
    await incoming.answer({ video: true });
    await Promise.all([outgoing.receives({ audio: 1, video: 1 }), incoming.receives({ audio: 1, video: 1 })]);
    await incoming.hangUp();
    assert.deepEqual(await Promise.all([outgoing.ended(), incoming.ended()]), ['NORMAL', 'NORMAL']);
    const [opened] = scene.trace.messages('bob', 'opens', /./);
    assert.equal(opened.text, `${scene.server.origin.replace('http', 'ws')}/sipproxy`);
    await scene.trace.until('bob', 'sends', /^OPEN$/);
    await bob.disableIncoming();
    await bob.until('state', ({ ready }) => !ready);
  });
}

scenario('to the SDK the socket is a WebSocket in every way', async (scene) => {
  const alice = await scene.client('alice', { kind: 'shim' });
  const told = await alice.page.evaluate(async () => {
    const socket = new WebSocket('wss://webrtc-1-2-0.aculabcloud.net/sipproxy', 'sip');
    const is = [WebSocket, EventTarget].every((kind) => socket instanceof kind);
    const before = { state: socket.readyState, is, url: socket.url };
    const events = [];
    const note = (event) => events.push(`${event.type} ${event.target === socket}`);
    for (const type of ['open', 'close', 'error']) socket.addEventListener(type, note);
    await new Promise((opened) => (socket.onopen = opened));
    const { readyState, protocol, extensions, bufferedAmount } = socket;
    const open = { readyState, protocol, extensions, bufferedAmount };
    const closed = new Promise((done) => (socket.onclose = ({ code, wasClean }) => done({ code, wasClean })));
    socket.close(1000, 'done');
    const closing = socket.readyState;
    const constants = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].map((name) => [WebSocket[name], socket[name]]);
    const end = { closing, closed: await closed, after: socket.readyState };
    return { before, open, ...end, events, constants, type: socket.binaryType };
  });
  assert.deepEqual({ ...told.before, url: '' }, { state: 0, is: true, url: '' });
  assert.match(told.before.url, /^wss?:\/\/.*\/sipproxy$/);
  assert.deepEqual(told.open, { readyState: 1, protocol: 'sip', extensions: '', bufferedAmount: 0 });
  assert.deepEqual([told.closing, told.after], [2, 3]);
  assert.deepEqual(told.closed, { code: 1000, wasClean: true });
  assert.deepEqual(told.events, ['open true', 'close true']);
  assert.deepEqual(told.constants, [[0, 0], [1, 1], [2, 2], [3, 3]]);
  assert.equal(told.type, 'blob');
});

scenario("other WebSockets of the page are the browser's own", async (scene) => {
  const alice = await scene.client('alice', { kind: 'shim' });
  const url = `${scene.server.origin.replace('http', 'ws')}/sipproxy`;
  const told = await alice.page.evaluate(async (address) => {
    const native = document.body.appendChild(document.createElement('iframe')).contentWindow.WebSocket;
    const socket = new WebSocket(address, ['sip']);
    await new Promise((opened) => (socket.onopen = opened));
    const own = { protocol: socket.protocol, url: socket.url, text: String(socket.send) };
    socket.close();
    class Derived extends WebSocket {
      derived = true;
    }
    const derived = new Derived(address, 'sip');
    const inherits = derived instanceof Derived && derived instanceof WebSocket && derived.derived;
    derived.close();
    const faults = [];
    for (const wrong of [() => new WebSocket('http://['), () => new WebSocket(), () => WebSocket(address)]) {
      try {
        wrong();
        faults.push('none');
      } catch ({ name }) {
        faults.push(name);
      }
    }
    const { length, name } = WebSocket;
    return { own, inherits, faults, native: String(native.prototype.send), length, name };
  }, url);
  assert.deepEqual(told.own, { protocol: 'sip', url, text: told.native });
  assert.equal(told.inherits, true);
  assert.deepEqual(told.faults, ['SyntaxError', 'TypeError', 'TypeError']);
  assert.deepEqual([told.length, told.name], [1, 'WebSocket']);
  const handshakes = await scene.trace.until('alice', 'handshake', /^101 /, 1);
  assert.ok(handshakes.length >= 1);
  assert.deepEqual(scene.trace.messages('alice', 'sends', /^OPEN$/), []);
});

scenario('data-server names another server than the one that the script came from', async (scene) => {
  const alice = await scene.client('alice', { kind: 'shim' });
  const other = new URL(scene.server.origin.replace('127.0.0.1', 'localhost'));
  const address = await alice.page.evaluate(async ([src, server]) => {
    const tag = document.createElement('script');
    Object.assign(tag, { src });
    tag.dataset.server = server;
    const { contentDocument, contentWindow } = document.body.appendChild(document.createElement('iframe'));
    const loaded = new Promise((done) => (tag.onload = done));
    contentDocument.body.append(tag);
    await loaded;
    const socket = new contentWindow.WebSocket('wss://webrtc-1-2-0.aculabcloud.net/sipproxy', 'sip');
    await new Promise((opened) => (socket.onopen = opened));
    socket.close();
    return socket.url;
  }, [`${scene.server.origin}/sdk/resume-shim.js`, other.origin]);
  assert.match(address, /\/sipproxy$/);
  const opened = scene.trace.messages('alice', 'opens', /./).map(({ text }) => text);
  assert.ok(opened.includes(`ws://${other.host}/sipproxy`), JSON.stringify(opened));
});
