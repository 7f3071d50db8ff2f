// The resuming socket against a scripted network: killed at every boundary of a frame, and at random, nothing is lost
// and nothing comes twice; what cannot be resumed ends, once, with a sentence.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ResumingSocket } from '../src/resuming_socket.js';
import { Server, World, randomness } from './harness/fake_network.mjs';

const MESSAGES = 20;
const NOTICES = [
  { clientNotices: true, serverNotices: true },
  { clientNotices: true, serverNotices: false },
  { clientNotices: false, serverNotices: true },
  { clientNotices: false, serverNotices: false },
];

/** A client and a server that have much to say to each other. */
class Conversation {
  server = new Server();
  told = [];
  atClient = [];
  atServer = [];

  constructor(seed) {
    this.world = new World(this.server, seed);
    this.server.onMessage = (message, session) => {
      this.atServer.push(message);
      if (session.sent < MESSAGES) session.send(`from server ${session.sent + 1}`);
    };
    this.socket = new ResumingSocket('ws://server.test/sipproxy', this.world.WebSocket, this.world);
    for (const type of ['open', 'close', 'error', 'suspend', 'resume']) {
      this.socket.addEventListener(type, ({ code, reason }) =>
        this.told.push(code ? `${type} ${code} ${reason}` : type),
      );
    }
    this.socket.onopen = () => this.say(3);
    this.socket.onmessage = ({ data }) => {
      this.atClient.push(data);
      this.say(2);
    };
    this.said = 0;
  }

  say(count) {
    for (let i = 0; i < count && this.said < MESSAGES; i += 1) this.socket.send(`from client ${(this.said += 1)}`);
  }

  get isDone() {
    return this.atClient.length >= MESSAGES && this.atServer.length >= MESSAGES;
  }

  /** Goes on until all is said; calls `before(step)` before each step. */
  play(before = () => {}) {
    for (let step = 0; step < 5000 && !this.isDone; step += 1) {
      before(step);
      if (!this.world.step()) break;
    }
    return this;
  }

  assertComplete(what) {
    const all = (whose) => Array.from({ length: MESSAGES }, (_, index) => `from ${whose} ${index + 1}`);
    assert.deepEqual(this.atServer, all('client'), `${what}: what the server received`);
    assert.deepEqual(this.atClient, all('server'), `${what}: what the client received`);
    assert.equal(this.server.sessions.at(-1).broken, '', what);
    assert.equal(this.told.filter((each) => /^(open|close|error)/.test(each)).join(), 'open', `${what}: ${this.told}`);
  }
}

test('without a loss everything arrives once and in order', () => {
  const talk = new Conversation(1).play();
  talk.assertComplete('no loss');
  assert.deepEqual(talk.told, ['open']);
  assert.equal(talk.world.sockets.length, 1);
});

test('killed at every boundary of a frame, whoever notices, nothing is lost and nothing comes twice', () => {
  let steps = 0;
  new Conversation(1).play(() => (steps += 1));
  for (const notices of NOTICES) {
    // The first two steps are the opening itself: a failure there is an ordinary one.
    for (let killAt = 0; killAt < steps; killAt += 1) {
      const talk = new Conversation(killAt);
      let opened = -1;
      talk.play((step) => {
        if (opened < 0 && talk.told.length) opened = step;
        if (opened >= 0 && step === opened + killAt) talk.world.current.cut(notices);
      });
      talk.assertComplete(`killed ${killAt} steps after the opening, ${JSON.stringify(notices)}`);
      assert.equal(talk.server.sessions.length, 1);
    }
  }
});

test('killed again and again at random, also while it is coming back, nothing is lost and nothing comes twice', () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const random = randomness(seed);
    const talk = new Conversation(seed);
    talk.play(() => {
      if (talk.told.length && random() < 0.08) talk.world.current.cut(NOTICES[Math.floor(random() * NOTICES.length)]);
      talk.world.isReachable = !talk.told.length || random() < 0.7;
    });
    talk.assertComplete(`seed ${seed}`);
  }
});

test('what is given up is not closed before the session has gone over: a close frame would end it', () => {
  const talk = new Conversation(1);
  talk.play(() => {});
  talk.socket.silence = 10_000;
  talk.world.happen('online');
  const old = talk.world.current;
  old.cut({ clientNotices: false, serverNotices: false });
  talk.world.isReachable = false;
  talk.world.run(5000);
  assert.deepEqual(talk.told, ['open', 'suspend']);
  assert.equal(old.saidClose, false);
  talk.world.isReachable = true;
  talk.world.run(20_000);
  assert.deepEqual(talk.told, ['open', 'suspend', 'resume']);
  assert.equal(old.saidClose, true);
});

test('a connection that is silent is asked after 10 s, and is lost when nothing comes for 4 s', () => {
  const talk = new Conversation(1).play();
  talk.world.run(100);
  const begun = talk.world.time;
  talk.world.current.cut({ clientNotices: false, serverNotices: true });
  talk.socket.addEventListener('suspend', () => (talk.after = talk.world.time - begun));
  talk.world.run(60_000);
  assert.ok(talk.after > 13_000 && talk.after <= 14_000, `after ${talk.after} ms`);
  assert.deepEqual(talk.told, ['open', 'suspend', 'resume']);
});

test('when the network changes it is asked at once, and is lost when nothing comes for 2 s', () => {
  const talk = new Conversation(1).play();
  talk.world.current.cut({ clientNotices: false, serverNotices: true });
  const begun = talk.world.time;
  talk.socket.addEventListener('suspend', () => (talk.after = talk.world.time - begun));
  talk.world.happen('online');
  talk.world.run(10_000);
  assert.equal(talk.after, 2000);
});

test('back-off: at once, then random times that double to 5 s at most, until the window is over', () => {
  const talk = new Conversation(1).play();
  talk.world.Math.random = () => 0.999;
  talk.world.isReachable = false;
  const begun = talk.world.time;
  const before = talk.world.sockets.length;
  const times = [];
  const { WebSocket } = talk.world;
  talk.world.current.cut();
  const tell = () => times.push(Math.round(talk.world.time - begun));
  let known = before;
  while (talk.world.step({ until: begun + 70_000 })) {
    for (; known < talk.world.sockets.length; known += 1) tell();
  }
  assert.ok(WebSocket);
  assert.deepEqual(times.slice(0, 6), [0, 500, 1499, 3497, 7493, 12488]);
  assert.equal(talk.told.at(-1), 'close 1006 the connection was lost and did not come back in 60 s');
  assert.equal(talk.told.filter((each) => each.startsWith('close')).length, 1);
  assert.equal(talk.world.time - begun, 60_000);
  assert.deepEqual(talk.world.timers, []);
  assert.deepEqual(talk.world.listeners.get('online'), []);
  assert.equal(talk.socket.readyState, 3);
});

test("a session that is gone ends with the server's sentence", () => {
  const talk = new Conversation(1).play();
  talk.server.sessions[0].isOver = true;
  talk.world.current.cut();
  talk.world.run(1000);
  assert.deepEqual(talk.told, ['open', 'suspend', 'close 1006 the session has ended']);
  assert.deepEqual(talk.world.timers, []);
});

test('a server that does not resume any more ends the session', () => {
  const talk = new Conversation(1).play();
  talk.server.protocol = 'sip';
  talk.world.current.cut();
  talk.world.run(1000);
  assert.equal(talk.told.at(-1), 'close 1006 the server resumes no more');
});

test('a first connection that fails is an ordinary failure', () => {
  const server = new Server();
  const world = new World(server);
  world.isReachable = false;
  const told = [];
  const socket = new ResumingSocket('ws://server.test/', world.WebSocket, world);
  socket.onerror = ({ type }) => told.push(type);
  socket.onclose = ({ type, code }) => told.push(`${type} ${code}`);
  world.run(60_000);
  assert.deepEqual(told, ['error', 'close 1006']);
  assert.equal(world.sockets.length, 1);
});

test('a loss before the first SESSION is an ordinary failure', () => {
  const talk = new Conversation(1);
  talk.world.step();
  talk.world.current.cut();
  talk.world.run(60_000);
  assert.deepEqual(talk.told, ['error', 'close 1006 ']);
  assert.equal(talk.world.sockets.length, 1);
});

test('with a server that speaks sip alone it is a plain socket', () => {
  const server = new Server();
  server.protocol = 'sip';
  server.onMessage = (message, socket) => socket.deliver(`echo ${message}`);
  const world = new World(server);
  const told = [];
  const socket = new ResumingSocket('ws://server.test/', world.WebSocket, world);
  assert.deepEqual(world.current.protocols, ['sip-resume', 'sip']);
  socket.onopen = () => socket.send('hello');
  socket.onmessage = ({ data }) => told.push(data);
  socket.onclose = ({ code, reason }) => told.push([code, reason]);
  world.run(60_000);
  assert.equal(socket.protocol, 'sip');
  world.current.closeByServer(4001, 'enough');
  world.run(60_000);
  assert.deepEqual(told, ['echo hello', [4001, 'enough']]);
  assert.equal(world.sockets.length, 1);
});

test('what the server cannot have said ends the session', () => {
  for (const frame of [
    'HELLO',
    '',
    '3 0\r\ntoo early',
    'ACK 99',
    '1 99\r\nx',
    'SESSION again 60 0',
    '1 0 no line',
    'ACK -1',
  ]) {
    const talk = new Conversation(1);
    talk.server.onMessage = () => {};
    talk.world.run(100);
    talk.world.current.deliver(frame);
    talk.world.run(100);
    assert.equal(
      talk.told.at(-1),
      'close 1006 the server breaks the protocol',
      JSON.stringify(frame),
    );
    assert.equal(talk.world.current.saidClose, true);
  }
});

test('a frame that comes again is dropped', () => {
  const talk = new Conversation(1);
  talk.server.onMessage = () => {};
  talk.world.run(100);
  for (const frame of ['1 0\r\none', '1 0\r\none', '2 1\r\ntwo', '1 0\r\none']) talk.world.current.deliver(frame);
  talk.world.run(100);
  assert.deepEqual(talk.atClient, ['one', 'two']);
});

test('eight messages, or 32 KiB of them, are acknowledged when there is nothing to say', () => {
  const server = new Server();
  const world = new World(server);
  const socket = new ResumingSocket('ws://server.test/', world.WebSocket, world);
  world.run(100);
  const [session] = server.sessions;
  for (let i = 0; i < 7; i += 1) session.send('x');
  world.run(100);
  assert.equal(session.kept.length, 7);
  session.send('x');
  world.run(100);
  assert.equal(session.kept.length, 0);
  session.send('y'.repeat(33_000));
  world.run(100);
  assert.equal(session.kept.length, 0);
  assert.equal(socket.readyState, 1);
});

test('more than 256 messages, or 1 MiB, that nobody acknowledges end the session', () => {
  for (const [count, length] of [
    [257, 10],
    [11, 100_000],
  ]) {
    const talk = new Conversation(1).play();
    talk.world.isReachable = false;
    talk.world.current.cut();
    talk.world.run(100);
    for (let i = 0; i < count - 1; i += 1) talk.socket.send('z'.repeat(length));
    assert.equal(talk.socket.readyState, 1);
    talk.socket.send('z'.repeat(length));
    assert.equal(talk.told.at(-1), 'close 1006 too much waits for the server');
  }
});

test('closed by its user it ends its session, and tells it once', () => {
  const talk = new Conversation(1).play();
  talk.socket.close(1000, 'bye');
  assert.equal(talk.socket.readyState, 2);
  talk.world.run(60_000);
  assert.deepEqual(talk.told, ['open', 'close 1000 bye']);
  assert.equal(talk.server.sessions[0].isOver, true);
  assert.deepEqual(talk.world.timers, []);
});

test('closed by its user while it is lost, it comes back to say what is left, and closes', () => {
  const talk = new Conversation(1).play();
  talk.world.isReachable = false;
  talk.world.current.cut();
  talk.world.run(300);
  talk.socket.send('the last word');
  talk.socket.close();
  talk.world.run(10);
  assert.deepEqual(talk.told, ['open', 'suspend', 'close 1000 ']);
  talk.world.isReachable = true;
  talk.world.run(20_000);
  assert.equal(talk.atServer.at(-1), 'the last word');
  assert.equal(talk.server.sessions[0].isOver, true);
  assert.deepEqual(talk.told, ['open', 'suspend', 'close 1000 ']);
  assert.deepEqual(talk.world.timers, []);
});

test('closed by its user with a word unheard, and lost in that moment, it comes back to say it', () => {
  const talk = new Conversation(1).play();
  talk.socket.send('the last word');
  talk.world.current.cut();
  talk.socket.close();
  talk.world.run(20_000);
  assert.equal(talk.atServer.at(-1), 'the last word');
  assert.equal(talk.server.sessions[0].isOver, true);
  assert.deepEqual(talk.told, ['open', 'close 1006 ']);
  assert.deepEqual(talk.world.timers, []);
});

for (const [patience, last] of [[32_000, '\r\n'], [Infinity, 'INVITE sip:bob SIP/2.0\r\n\r\n']]) {
  test(`an INVITE that waited for 40 s, given up after ${patience} ms, arrives as ${JSON.stringify(last)}`, () => {
    const talk = new Conversation(1).play();
    talk.socket.patience = patience;
    talk.world.isReachable = false;
    talk.world.current.cut();
    talk.socket.send('INVITE sip:bob SIP/2.0\r\n\r\n');
    talk.world.run(40_000);
    talk.world.isReachable = true;
    talk.world.run(10_000);
    assert.equal(talk.atServer.at(-1), last);
    talk.socket.send('INVITE sip:bob SIP/2.0\r\n\r\n');
    talk.world.run(100);
    assert.equal(talk.atServer.at(-1), 'INVITE sip:bob SIP/2.0\r\n\r\n');
  });
}

test('nothing can be sent before it is open, and what is sent after it is closed goes nowhere', () => {
  const talk = new Conversation(1);
  assert.throws(() => talk.socket.send('early'), { name: 'InvalidStateError' });
  talk.play();
  talk.socket.close();
  talk.socket.send('late');
  talk.world.run(100);
  assert.ok(!talk.atServer.includes('late'));
});

test('a binary frame keeps its bytes', () => {
  const talk = new Conversation(1);
  talk.server.onMessage = () => {};
  talk.socket.binaryType = 'arraybuffer';
  talk.world.run(100);
  const head = new TextEncoder().encode('1 0\r\n');
  talk.world.current.deliver(new Uint8Array([...head, 0xff, 0x0d, 0x0a, 0x00]).buffer);
  talk.world.run(100);
  assert.deepEqual([...new Uint8Array(talk.atClient[0])], [0xff, 0x0d, 0x0a, 0x00]);
});

test('a connection that was only slow: what it still brings is not taken, and comes again', () => {
  const talk = new Conversation(1).play();
  const old = talk.world.current;
  const [session] = talk.server.sessions;
  talk.world.happen('online');
  // What the server says is held up; when it comes, the socket was given up.
  const late = talk.world.queue.splice(0);
  session.send('said on the old socket');
  late.push(...talk.world.queue.splice(0));
  talk.world.isReachable = false;
  talk.world.run(2500);
  assert.deepEqual(talk.told, ['open', 'suspend']);
  talk.world.queue.push(...late);
  talk.world.run(100);
  talk.world.isReachable = true;
  talk.world.run(10_000);
  assert.equal(talk.atClient.filter((each) => each === 'said on the old socket').length, 1);
  assert.deepEqual(talk.told, ['open', 'suspend', 'resume']);
  assert.equal(old.saidClose, true);
});

test('the first frame after coming back confirms the new credential, also when there is nothing to repeat', () => {
  const talk = new Conversation(1).play();
  talk.world.run(100);
  talk.world.current.cut();
  talk.world.run(100);
  assert.deepEqual(talk.told, ['open', 'suspend', 'resume']);
  assert.equal(talk.server.sessions[0].isConfirmed, true);
  assert.equal(talk.server.sessions[0].credentials.length, 1);
});
