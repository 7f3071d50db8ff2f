// Transactions and dialogs, message by message; the timers are turned by hand.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

globalThis.OFFHOOK_VERSION = 'test';
const { Agent } = await import('../src/sip/agent.js');
const { Dialog } = await import('../src/sip/dialog.js');
const { Headers, parse } = await import('../src/sip/message.js');

const INVITE = () => ({
  method: 'INVITE',
  uri: 'sip:bob@example.com',
  headers: new Headers()
    .add('From', '<sip:alice@example.com>;tag=a')
    .add('To', '<sip:bob@example.com>')
    .add('Call-ID', 'c')
    .add('CSeq', '1 INVITE'),
  sequence: 1,
});

function stage({ isPaused = () => false } = {}) {
  const sent = [];
  const requests = [];
  const acks = [];
  const agent = new Agent({
    transport: 'WS',
    send: (text) => sent.push(parse(text)),
    isPaused,
    onRequest: (request, transaction) => requests.push({ request, transaction }),
    onAck: (request) => acks.push(request),
  });
  /** Answers the request that was sent as the `index`th. */
  const answer = (index, status, more = '', tag = 'b') => {
    const { headers, cseq } = sent[index];
    const lines = [`SIP/2.0 ${status} X`, `Via: ${headers.get('via')}`, `From: ${headers.get('from')}`];
    lines.push(
      `To: ${headers.get('to')}${headers.get('to').includes('tag=') ? '' : `;tag=${tag}`}`,
      `Call-ID: c`,
      `CSeq: ${cseq.number} ${cseq.method}`,
    );
    agent.receive(`${lines.join('\r\n')}\r\n${more}\r\n`);
  };
  return { agent, sent, requests, acks, answer };
}

function incoming(method, { branch = 'z9hG4bKs', sequence = 1, to = '<sip:bob@example.com>', more = '' } = {}) {
  return [
    `${method} sip:bob@x.invalid SIP/2.0`,
    `Via: SIP/2.0/WS server.example.com;branch=${branch}`,
    'From: <sip:alice@example.com>;tag=a',
    `To: ${to}`,
    'Call-ID: c',
    `CSeq: ${sequence} ${method}`,
    'Contact: <sip:server.example.com;transport=ws>',
    `${more}\r\n`,
  ].join('\r\n');
}

test('the host of a user agent stays the same, and each request has its own branch', () => {
  const { agent, sent } = stage();
  agent.request(INVITE(), {});
  agent.request(INVITE(), {});
  const vias = sent.map(({ headers }) => headers.get('via'));
  assert.match(vias[0], /^SIP\/2\.0\/WS [a-z0-9]{12}\.invalid;branch=z9hG4bK[a-z0-9]{16}$/);
  assert.equal(vias[0].split(';')[0], vias[1].split(';')[0]);
  assert.notEqual(vias[0], vias[1]);
  agent.lost();
});

test('a refusal of an INVITE is acknowledged in its transaction, each time it comes', () => {
  const { agent, sent, answer } = stage();
  const finals = [];
  agent.request(INVITE(), { onFinal: ({ status }) => finals.push(status) });
  answer(0, 486);
  answer(0, 486);
  assert.deepEqual(finals, [486]);
  assert.deepEqual(
    sent.map(({ method }) => method),
    ['INVITE', 'ACK', 'ACK'],
  );
  assert.equal(sent[1].branch, sent[0].branch);
  assert.equal(sent[1].to.tag, 'b');
  assert.equal(sent[1].cseq.number, 1);
  agent.lost();
});

test('a CANCEL waits for a provisional answer, and is sent once', () => {
  const { agent, sent, answer } = stage();
  const rings = [];
  const { cancel } = agent.request(INVITE(), { onProvisional: ({ status }) => rings.push(status) });
  cancel('SIP;cause=200;text="elsewhere"');
  assert.equal(sent.length, 1);
  answer(0, 100);
  answer(0, 180);
  assert.deepEqual(
    sent.map(({ method }) => method),
    ['INVITE', 'CANCEL'],
  );
  assert.equal(sent[1].branch, sent[0].branch);
  assert.equal(sent[1].cseq.number, 1);
  assert.equal(sent[1].headers.get('reason'), 'SIP;cause=200;text="elsewhere"');
  assert.deepEqual(rings, []);
  agent.lost();
});

test('a 200 that crosses the CANCEL is given to the call; those after it too', () => {
  const { agent, answer } = stage();
  const told = [];
  const { cancel } = agent.request(INVITE(), {
    onFinal: ({ status }) => told.push(status),
    onLateSuccess: ({ to }) => told.push(to.tag),
  });
  answer(0, 180);
  cancel();
  answer(0, 200);
  answer(0, 200);
  answer(0, 200, '', 'fork');
  assert.deepEqual(told, [200, 'b', 'fork']);
  agent.lost();
});

test('no answer is a 408 after 32 s; while the connection is coming back nothing times out', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  let paused = true;
  const { agent } = stage({ isPaused: () => paused });
  const finals = [];
  agent.request({ ...INVITE(), method: 'INFO' }, { onFinal: ({ status }) => finals.push(status) });
  mock.timers.tick(32_000);
  assert.deepEqual(finals, []);
  paused = false;
  mock.timers.tick(32_000);
  assert.deepEqual(finals, [408]);
  assert.equal(agent.isBusy, false);
  mock.timers.reset();
});

test('when the connection is gone, what waits is told so, once', () => {
  const { agent, answer } = stage();
  const finals = [];
  agent.request(INVITE(), { onFinal: ({ status }) => finals.push(status) });
  assert.equal(agent.isBusy, true);
  agent.lost();
  agent.lost();
  answer(0, 200);
  assert.deepEqual(finals, [0]);
});

test('a request that comes again is answered as before, and told once', () => {
  const { agent, sent, requests } = stage();
  agent.receive(incoming('INVITE'));
  agent.receive(incoming('INVITE'));
  assert.equal(requests.length, 1);
  requests[0].transaction.respond(180);
  agent.receive(incoming('INVITE'));
  requests[0].transaction.respond(486);
  requests[0].transaction.respond(200);
  agent.receive(incoming('INVITE'));
  assert.deepEqual(
    sent.map(({ status }) => status),
    [180, 180, 486, 486],
  );
  assert.equal(new Set(sent.map(({ to }) => to.tag)).size, 1);
  agent.lost();
});

test('a CANCEL finds its INVITE; without one it is a 481', () => {
  const { agent, sent, requests } = stage();
  agent.receive(incoming('INVITE'));
  const cancelled = [];
  requests[0].transaction.onCancel = () => {
    cancelled.push(1);
    requests[0].transaction.respond(487);
  };
  agent.receive(incoming('CANCEL'));
  agent.receive(incoming('CANCEL', { branch: 'z9hG4bKother' }));
  assert.deepEqual(
    sent.map(({ status, cseq }) => `${status} ${cseq.method}`),
    ['200 CANCEL', '487 INVITE', '481 CANCEL'],
  );
  assert.deepEqual(cancelled, [1]);
  agent.lost();
});

test('the ACK of a refusal ends in its transaction, that of a 2xx goes to the call', () => {
  const { agent, requests, acks } = stage();
  agent.receive(incoming('INVITE'));
  requests[0].transaction.respond(486);
  agent.receive(incoming('ACK'));
  assert.equal(acks.length, 0);
  agent.receive(incoming('INVITE', { branch: 'z9hG4bKt', sequence: 2 }));
  requests[1].transaction.respond(200);
  agent.receive(incoming('ACK', { branch: 'z9hG4bKu', sequence: 2 }));
  assert.equal(acks.length, 1);
  agent.lost();
});

test('keep-alives and what is no message are passed over', () => {
  const { agent, sent, requests } = stage();
  for (const text of ['\r\n\r\n', '\r\n', 'nonsense', 'SIP/2.0 200 OK\r\n\r\n']) agent.receive(text);
  assert.deepEqual([sent.length, requests.length], [0, 0]);
});

test('the dialog of the caller: routes are turned round, the target follows the Contact, the numbers go up', () => {
  const response = parse(
    [
      'SIP/2.0 200 OK',
      'Via: SIP/2.0/WS x.invalid;branch=z9hG4bK1',
      'From: <sip:alice@example.com>;tag=a',
      'To: <sip:bob@example.com>;tag=b',
      'Call-ID: c',
      'CSeq: 1 INVITE',
      'Record-Route: <sip:two;lr>, <sip:one;lr>',
      'Contact: <sip:bob@far.invalid;transport=ws>;x=1',
      '',
      '',
    ].join('\r\n'),
  );
  const dialog = Dialog.ofCaller({ invite: INVITE(), localTag: 'a', contact: '<sip:me@x.invalid>', response });
  const bye = dialog.request('BYE');
  assert.equal(bye.uri, 'sip:bob@far.invalid;transport=ws');
  assert.deepEqual(bye.headers.all('route'), ['<sip:one;lr>', '<sip:two;lr>']);
  assert.equal(bye.headers.get('cseq'), '2 BYE');
  assert.equal(bye.headers.get('to'), '<sip:bob@example.com>;tag=b');
  assert.equal(bye.headers.get('contact'), undefined);
  assert.equal(dialog.request('ACK', { sequence: 1 }).headers.get('cseq'), '1 ACK');
  assert.equal(dialog.request('INVITE').headers.get('contact'), '<sip:me@x.invalid>');
});

test('the dialog of the callee: which requests are its own, and in which order they may come', () => {
  const { agent, requests } = stage();
  agent.receive(incoming('INVITE', { sequence: 5 }));
  const dialog = Dialog.ofCallee({ request: requests[0].request, localTag: 'mine', contact: '<sip:me@x.invalid>' });
  const later = (sequence, to) => parse(incoming('BYE', { sequence, to }));
  assert.equal(dialog.owns(later(6, '<sip:bob@example.com>;tag=mine')), true);
  assert.equal(dialog.owns(later(6, '<sip:bob@example.com>;tag=other')), false);
  assert.equal(dialog.takes(later(5)), false);
  assert.equal(dialog.takes(later(6)), true);
  assert.equal(dialog.takes(later(6)), false);
  assert.equal(dialog.request('BYE').headers.get('cseq'), '1 BYE');
  assert.equal(dialog.request('BYE').uri, 'sip:server.example.com;transport=ws');
  agent.lost();
});
