// One call, message by message, where messages cross: CANCEL and 200, forks, BYE before the ACK, two re-INVITEs at
// once.
import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';

import { FakePeerConnection } from './harness/fake_media.mjs';

globalThis.OFFHOOK_VERSION = 'test';
globalThis.RTCPeerConnection = FakePeerConnection;
const { Agent } = await import('../src/sip/agent.js');
const { parse } = await import('../src/sip/message.js');
const { Session } = await import('../src/session.js');

const { SDP } = FakePeerConnection;
const NO_MEDIA = { constraints: { audio: false, video: false }, receiveAudio: true };

/** Lets everything happen that needs no time. */
const settle = async () => {
  for (let i = 0; i < 60; i += 1) await Promise.resolve();
};

class Stage {
  sent = [];
  told = [];

  constructor({ isCaller }) {
    const owner = this;
    this.agent = new Agent({
      transport: 'WS',
      send: (text) => this.sent.push(parse(text)),
      isPaused: () => false,
      onRequest: (request, transaction) => {
        if (this.isKnown(request)) this.session.requested(request, transaction);
        else this.session.incoming(request, transaction);
      },
      onAck: (request) => this.isKnown(request) && this.session.acknowledged(request),
    });
    const core = (this.core = {
      agent: this.agent,
      sessions: new Set(),
      identity: { aor: 'sip:me@example.com' },
      contact: 'sip:me@x.invalid;transport=ws',
      signalling: { open: async () => {}, isUsable: true },
      configuration: async () => ({ iceServers: [] }),
      finishing: () => {},
      log: () => {},
    });
    const told = new Proxy(
      {},
      {
        get:
          (_, name) =>
          (...words) =>
            owner.told.push([name, ...words]),
      },
    );
    this.session = new Session(core, { isCaller, remoteId: 'bob', callId: 'c', told });
  }

  isKnown(request) {
    return [...this.core.sessions].some((each) => each.owns(request));
  }

  get pc() {
    return this.session.media.pc;
  }

  end() {
    return this.told.find(([name]) => name === 'onEnded')?.[1];
  }

  methods(from = 0) {
    return this.sent.slice(from).map(({ method, status, cseq }) => method ?? `${status} ${cseq.method}`);
  }

  last(method) {
    return this.sent.findLast((each) => each.method === method);
  }

  answer(request, status, { tag = 'b', body = '', more = '' } = {}) {
    const to = request.to.tag ? request.headers.get('to') : `${request.headers.get('to')};tag=${tag}`;
    const head = [
      `SIP/2.0 ${status} X`,
      `Via: ${request.headers.get('via')}`,
      `From: ${request.headers.get('from')}`,
      `To: ${to}`,
      'Call-ID: c',
    ];
    head.push(
      `CSeq: ${request.cseq.number} ${request.method}`,
      'Contact: <sip:far.invalid;transport=ws>',
      `Content-Type: application/sdp${more}`,
    );
    this.agent.receive(`${head.join('\r\n')}\r\n\r\n${body}`);
  }

  /** A request of the other side, inside the call or, as the first, outside. */
  ask(method, { sequence, tag, body = '', more = '' }) {
    const mine = tag ? `;tag=${tag}` : '';
    const head = [
      `${method} sip:me@x.invalid SIP/2.0`,
      `Via: SIP/2.0/WS edge;branch=z9hG4bK${method}${sequence}`,
      'From: <sip:bob@example.com>;tag=b',
    ];
    head.push(
      `To: <sip:me@example.com>${mine}`,
      'Call-ID: c',
      `CSeq: ${sequence} ${method}`,
      'Contact: <sip:far.invalid;transport=ws>',
    );
    this.agent.receive(`${head.join('\r\n')}\r\nContent-Type: application/sdp${more}\r\n\r\n${body}`);
  }

  /** Calls, and waits until the INVITE has left. */
  async calls() {
    const token = async () => null;
    this.session.call({
      uri: 'sip:bob@example.com',
      to: 'sip:bob@example.com',
      options: NO_MEDIA,
      token,
      extraHeaders: [],
    });
    await settle();
    return this.last('INVITE');
  }

  static async callerUp() {
    const stage = new Stage({ isCaller: true });
    stage.answer(await stage.calls(), 200, { body: SDP });
    await settle();
    stage.tag = stage.sent[0].from.tag;
    return stage;
  }

  static async calleeAnswered() {
    const stage = new Stage({ isCaller: false });
    stage.ask('INVITE', { sequence: 1, body: SDP });
    stage.session.answer(NO_MEDIA, []);
    await settle();
    stage.tag = stage.sent.at(-1).to.tag;
    return stage;
  }
}

let stages = [];
const on = (stage) => {
  stages.push(stage);
  return stage;
};

afterEach(() => {
  for (const { agent, session } of stages) {
    session.finish({ cause: 'NORMAL', status: 0, reason: '' });
    agent.lost();
  }
  stages = [];
  mock.timers.reset();
});

test('a 200 that crosses the CANCEL is acknowledged and hung up', async () => {
  const stage = on(new Stage({ isCaller: true }));
  const invite = await stage.calls();
  stage.answer(invite, 180);
  stage.session.hangUp();
  assert.deepEqual(stage.end(), { cause: 'NOANSWER', status: 487, reason: 'you hung up before the call was answered' });
  stage.answer(invite, 200, { body: SDP });
  stage.answer(stage.last('CANCEL'), 481);
  await settle();
  assert.deepEqual(stage.methods(), ['INVITE', 'CANCEL', 'ACK', 'BYE']);
  assert.equal(stage.last('BYE').to.tag, 'b');
  assert.equal(stage.told.filter(([name]) => name === 'onEnded').length, 1);
});

test('a 200 that comes again is acknowledged again; one of a fork is hung up, and the call lives', async () => {
  const stage = on(await Stage.callerUp());
  const [invite] = stage.sent;
  stage.answer(invite, 200, { body: SDP });
  assert.deepEqual(stage.methods(), ['INVITE', 'ACK', 'ACK']);
  stage.answer(invite, 200, { body: SDP, tag: 'fork' });
  assert.deepEqual(stage.methods(3), ['ACK', 'BYE']);
  assert.equal(stage.last('BYE').to.tag, 'fork');
  assert.equal(stage.end(), undefined);
});

test('whoever answered hangs up after the ACK, and tells at once', async () => {
  const stage = on(await Stage.calleeAnswered());
  assert.deepEqual(stage.methods(), ['100 INVITE', '200 INVITE']);
  stage.session.hangUp();
  await settle();
  assert.equal(stage.end().reason, 'you hung up');
  assert.deepEqual(stage.methods(2), []);
  stage.ask('ACK', { sequence: 1, tag: stage.tag });
  await settle();
  assert.deepEqual(stage.methods(2), ['BYE']);
  assert.equal(stage.core.sessions.size, 0);
});

test('an answer that is never confirmed is no call: after 32 s it is hung up', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const stage = on(await Stage.calleeAnswered());
  stage.pc.ice('connected');
  mock.timers.tick(32_000);
  await settle();
  assert.equal(stage.end().cause, 'FAILED');
  assert.equal(stage.last('BYE').headers.get('reason'), 'SIP;cause=408;text="No ACK"');
});

test('media that does not connect in 30 s ends the call, with words', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const stage = on(await Stage.callerUp());
  mock.timers.tick(30_000);
  await settle();
  assert.match(stage.end().reason, /^the media could not be connected/);
  assert.ok(stage.last('BYE'));
});

test('a caller who gives up: 487, and the callee is told NORMAL', async () => {
  const stage = on(new Stage({ isCaller: false }));
  stage.ask('INVITE', { sequence: 1, body: SDP });
  const cancel = parseable('INVITE')
    .replace(/INVITE/g, 'CANCEL')
    .replace('z9hG4bKCANCEL1', 'z9hG4bKINVITE1');
  stage.agent.receive(cancel);
  assert.deepEqual(stage.methods(), ['100 INVITE', '200 CANCEL', '487 INVITE']);
  assert.deepEqual(stage.end(), { cause: 'NORMAL', status: 487, reason: 'bob hung up before the call was answered' });
});

test('two changes meet: theirs is refused with 491, ours is taken back and tried again', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const stage = on(await Stage.callerUp());
  const done = stage.session.hold(true);
  await settle();
  const first = stage.last('INVITE');
  assert.equal(first.cseq.number, 2);
  stage.ask('INVITE', { sequence: 1, tag: stage.tag, body: SDP });
  assert.equal(stage.methods().at(-1), '491 INVITE');
  stage.answer(first, 491);
  await settle();
  assert.equal(stage.pc.rollbacks, 1);
  // The owner of the Call-ID waits for 2.1 s at least.
  mock.timers.tick(2099);
  await settle();
  assert.equal(stage.last('INVITE'), first);
  mock.timers.tick(1901);
  await settle();
  const second = stage.last('INVITE');
  assert.equal(second.cseq.number, 3);
  stage.answer(second, 200, { body: SDP.replace('sendrecv', 'inactive') });
  await done;
  assert.deepEqual(stage.told.at(-1), ['onHeld', 'local', true]);
  assert.equal(stage.session.negotiation.isHeldByOther, false);
});

test('changes are made one after the other', async () => {
  const stage = on(await Stage.callerUp());
  const both = Promise.all([stage.session.hold(true), stage.session.hold(false)]);
  await settle();
  assert.equal(stage.sent.filter(({ method }) => method === 'INVITE').length, 2);
  stage.answer(stage.last('INVITE'), 200, { body: SDP });
  await settle();
  assert.equal(stage.sent.filter(({ method }) => method === 'INVITE').length, 3);
  stage.answer(stage.last('INVITE'), 200, { body: SDP });
  await both;
  assert.equal(stage.session.isHeld, false);
});

test('a change that is refused is taken back, and the call lives; a 481 ends it', async () => {
  const stage = on(await Stage.callerUp());
  const refused = stage.session.hold(true);
  await settle();
  stage.answer(stage.last('INVITE'), 488);
  await assert.rejects(refused, { code: 'REJECTED', status: 488 });
  assert.deepEqual([stage.session.isHeld, stage.pc.rollbacks, stage.end()], [false, 1, undefined]);
  const gone = stage.session.hold(true);
  await settle();
  stage.answer(stage.last('INVITE'), 481);
  await assert.rejects(gone, { status: 481 });
  assert.equal(stage.end().status, 481);
});

test('the other side holds and goes on; a change that is no offer is a 488', async () => {
  const stage = on(await Stage.callerUp());
  const held = () => stage.told.filter(([name]) => name === 'onHeld').map(([, by, is]) => `${by} ${is}`);
  stage.ask('INVITE', { sequence: 1, tag: stage.tag, body: SDP.replace('sendrecv', 'sendonly') });
  await settle();
  assert.equal(stage.methods().at(-1), '200 INVITE');
  stage.ask('INVITE', { sequence: 2, tag: stage.tag, body: SDP });
  await settle();
  assert.deepEqual(held(), ['remote true', 'remote false']);
  stage.ask('INVITE', { sequence: 3, tag: stage.tag, body: 'broken' });
  await settle();
  assert.equal(stage.methods().at(-1), '488 INVITE');
  assert.equal(stage.end(), undefined);
});

test('requests inside the call: out of order 500, INFO 200, UPDATE 405, BYE 200 and the end', async () => {
  const stage = on(await Stage.callerUp());
  stage.ask('INFO', { sequence: 5, tag: stage.tag });
  stage.ask('INFO', { sequence: 4, tag: stage.tag });
  stage.ask('UPDATE', { sequence: 6, tag: stage.tag });
  stage.ask('BYE', { sequence: 7, tag: stage.tag, more: '\r\nReason: SIP;cause=486;text="Busy Here"' });
  assert.deepEqual(stage.methods(2), ['200 INFO', '500 INFO', '405 UPDATE', '200 BYE']);
  assert.deepEqual(stage.end(), { cause: 'BUSY', status: 486, reason: 'bob is busy' });
});

test('a connection that is gone ends the call, whatever it was doing', async () => {
  const stage = on(await Stage.callerUp());
  const changing = stage.session.hold(true);
  await settle();
  stage.agent.lost();
  stage.session.lost('the connection was lost and did not come back in 60 s');
  await assert.rejects(changing);
  assert.deepEqual(stage.end(), {
    cause: 'FAILED',
    status: 0,
    reason: 'the connection was lost and did not come back in 60 s',
  });
});

function parseable(method, tag) {
  const to = tag ? `;tag=${tag}` : '';
  return [
    `${method} sip:me@x.invalid SIP/2.0`,
    `Via: SIP/2.0/WS edge;branch=z9hG4bK${method}1`,
    'From: <sip:bob@example.com>;tag=b',
    `To: <sip:me@example.com>${to}`,
    'Call-ID: c',
    `CSeq: 1 ${method}`,
    '',
    '',
  ].join('\r\n');
}
