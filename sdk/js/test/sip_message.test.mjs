// SIP messages: what is read, what is refused, and that what is printed cannot be more than one message.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  Headers,
  address,
  parameter,
  parse,
  plain,
  printRequest,
  printResponse,
  reason,
  split,
  warning,
} from '../src/sip/message.js';
import { randomness } from './harness/fake_network.mjs';

const INVITE = [
  'INVITE sip:a713f0ut@7p656ffuu948.invalid;transport=ws SIP/2.0',
  'Record-Route: <sip:edge.example.com;transport=ws;lr>',
  'Via: SIP/2.0/WSS edge.example.com;branch=z9hG4bKnear, SIP/2.0/WSS far.invalid;branch=z9hG4bKfar',
  'To: "Bob, \\"the builder\\"" <sip:bob@example.com;transport=tcp>',
  'From: <sip:alice.1@example.com>;tag=es4b7grgen',
  'CSeq: 1 INVITE',
  'Call-ID: jlebilu6g9f0qfmdcq5f',
  'X-Tag: one',
  'X-Tag: two, three',
  'Content-Type: application/sdp',
  'Content-Length: 5',
  '',
  'v=0\r\n',
].join('\r\n');

test('a request is read', () => {
  const message = parse(INVITE);
  assert.equal(message.method, 'INVITE');
  assert.equal(message.uri, 'sip:a713f0ut@7p656ffuu948.invalid;transport=ws');
  assert.equal(message.branch, 'z9hG4bKnear');
  assert.deepEqual(message.cseq, { number: 1, method: 'INVITE' });
  assert.equal(message.callId, 'jlebilu6g9f0qfmdcq5f');
  assert.equal(message.from.user, 'alice.1');
  assert.equal(message.from.tag, 'es4b7grgen');
  assert.equal(message.to.display, 'Bob, "the builder"');
  assert.equal(message.to.tag, undefined);
  assert.deepEqual(message.headers.all('x-tag'), ['one', 'two, three']);
  assert.equal(message.body, 'v=0\r\n');
});

test('a response is read, with compact names and a folded line', () => {
  const text =
    'SIP/2.0 200 OK\r\nv: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\n ;tag=2\r\ni: x\r\nCSeq: 7 BYE\r\n\r\n';
  const message = parse(text);
  assert.equal(message.status, 200);
  assert.equal(message.to.tag, '2');
  assert.equal(message.callId, 'x');
});

test('what is no SIP message is null', () => {
  const broken = [
    '',
    'hello',
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    INVITE.replace('SIP/2.0\r\n', 'SIP/3.0\r\n'),
    INVITE.replace('CSeq: 1 INVITE', 'CSeq: 1 BYE'),
    INVITE.replace('CSeq: 1 INVITE', 'CSeq: 99999999999 INVITE'),
    INVITE.replace(/From:.*\r\n/, ''),
    INVITE.replace(/Call-ID:.*\r\n/, ''),
    INVITE.replace('X-Tag: one', 'no colon'),
    null,
    7,
    `SIP/2.0 200 OK\r\n${'X: y\r\n'.repeat(600)}\r\n`,
  ];
  for (const text of broken) assert.equal(parse(text), null, String(text).slice(0, 60));
});

test('nothing that comes in makes it throw', () => {
  const random = randomness(7);
  for (let round = 0; round < 3000; round += 1) {
    const characters = [...INVITE];
    for (let i = 0; i < 1 + random() * 8; i += 1) {
      const at = Math.floor(random() * characters.length);
      characters.splice(
        at,
        Math.floor(random() * 4),
        String.fromCharCode(Math.floor(random() * 300)),
        '"<>;,:\r\n\\'[Math.floor(random() * 9)] ?? '',
      );
    }
    const message = parse(characters.join(''));
    if (!message) continue;
    reason(message.headers);
    warning(message.headers);
    for (const value of message.headers.all('via').concat(message.headers.all('to'))) split(value).forEach(address);
  }
});

test('what is printed is read again as it was, and counts bytes', () => {
  const headers = new Headers()
    .add('Via', 'SIP/2.0/WS x.invalid;branch=z9hG4bK1')
    .add('From', '<sip:a@b>;tag=1')
    .add('To', '<sip:c@d>');
  headers.add('Call-ID', 'id').add('CSeq', '3 INFO');
  const text = printRequest({ method: 'INFO', uri: 'sip:c@d', headers, body: 'grüße' });
  assert.match(text, /\r\nContent-Length: 7\r\n/);
  assert.equal(parse(text).body, 'grüße');
  assert.match(printResponse({ status: 486, headers }), /^SIP\/2\.0 486 Busy Here\r\n/);
});

test('a value cannot begin another header or another message', () => {
  const headers = new Headers().add('X-Note', 'a\r\nEvil: yes\r\n\r\nINVITE');
  const text = printRequest({ method: 'INFO', uri: 'sip:c@d', headers });
  assert.equal(text.split('\r\n\r\n').length, 2);
  assert.ok(!text.includes('\r\nEvil'));
});

test('lists and parameters: quotes and brackets hide what separates', () => {
  assert.deepEqual(split('<sip:a@b;x=1,2>;q="a,b", "x,y" <sip:c>, d'), [
    '<sip:a@b;x=1,2>;q="a,b"',
    '"x,y" <sip:c>',
    'd',
  ]);
  assert.equal(parameter('SIP;cause=486;text="Busy \\"Here\\""', 'text'), 'Busy "Here"');
  assert.equal(parameter('<sip:a@b>;expires=600', 'expires'), '600');
  assert.equal(parameter('<sip:a@b>', 'expires'), undefined);
  assert.equal(address('sip:a@b;tag=7').tag, '7');
  assert.equal(address('<sip:%41lice@b>').user, 'Alice');
  assert.equal(address('<sip:%ZZ@b>').user, '%ZZ');
});

test('reasons and warnings are plain words', () => {
  const headers = new Headers()
    .add('Reason', 'Q.850;cause=16, SIP;cause=486;text="\u202eevil\u0007 words"')
    .add('Warning', '399 offhook "no \\"such\\" call"');
  assert.deepEqual(reason(headers), { cause: 486, text: 'evil  words' });
  assert.equal(warning(headers), 'no "such" call');
  assert.equal(reason(new Headers().add('Reason', 'SIP;cause=x')).cause, 0);
  assert.equal(reason(new Headers()), null);
  assert.equal(plain('x'.repeat(1000)).length, 256);
});
