// What the library concludes: causes and words from SIP, directions from SDP, quality from counters, time left from
// tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cancelled, causeOf, hungUp, refused } from '../src/causes.js';
import { counters, level, mos, quality } from '../src/quality.js';
import { offered, takesNoAudio } from '../src/sdp.js';
import { Headers } from '../src/sip/message.js';
import { isTokenLike, lifetime } from '../src/token.js';

const message = (fields) => {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) headers.add(name, value);
  return { headers };
};

test('each status has the cause of the documentation', () => {
  const table = {
    NORMAL: [200, 202],
    MOVED: [300, 301, 302, 305, 380],
    BUSY: [486, 600],
    UNOBTAINABLE: [404, 410, 480, 604],
    NOANSWER: [408, 487],
    REJECTED: [403, 433, 603, 606, 607, 608],
    FAILED: [0, 400, 401, 415, 481, 488, 500, 503, 504],
  };
  for (const [cause, statuses] of Object.entries(table))
    for (const status of statuses) assert.equal(causeOf(status), cause, String(status));
});

test('the reason is what the other side or the server said, else plain words', () => {
  const words = (fields, status) => refused({ status, ...message(fields) }, 'bob').reason;
  assert.equal(words({}, 486), 'bob is busy');
  assert.equal(words({ Reason: 'SIP;cause=486;text="Busy Here"' }, 486), 'bob is busy');
  assert.equal(
    words({ Warning: '399 offhook "the token does not permit calling bob"' }, 403),
    'the token does not permit calling bob',
  );
  assert.equal(words({ Reason: 'SIP;cause=603;text="not today"' }, 603), 'not today');
  assert.deepEqual(hungUp(message({}), 'bob'), { cause: 'NORMAL', status: 200, reason: 'bob hung up' });
  assert.deepEqual(hungUp(message({ Reason: 'SIP;cause=486;text="Busy Here"' }), 'bob'), {
    cause: 'BUSY',
    status: 486,
    reason: 'bob is busy',
  });
  const lost = 'SIP;cause=503;text="the connection was lost and did not come back in 60 s"';
  assert.equal(
    hungUp(message({ Reason: lost }), 'bob').reason,
    'the connection was lost and did not come back in 60 s',
  );
  assert.equal(cancelled(message({}), 'alice').reason, 'alice hung up before the call was answered');
  assert.equal(
    cancelled(message({ Reason: 'SIP;cause=200;text="answered elsewhere"' }), 'alice').reason,
    'answered elsewhere',
  );
});

test('an offer says what is sent and taken', () => {
  const sdp =
    'v=0\r\nm=audio 9 X 111\r\na=sendonly\r\nm=video 0 X 96\r\na=sendrecv\r\nm=video 9 X 96\r\na=recvonly\r\n';
  assert.deepEqual(offered(sdp), {
    offeringAudio: true,
    canReceiveAudio: false,
    offeringVideo: false,
    canReceiveVideo: true,
  });
  assert.equal(takesNoAudio(sdp), true);
  assert.equal(takesNoAudio('v=0\r\na=inactive\r\nm=audio 9 X 111\r\n'), true);
  assert.equal(takesNoAudio('v=0\r\nm=audio 9 X 111\r\n'), false);
  assert.equal(takesNoAudio('v=0\r\nm=video 9 X 96\r\na=inactive\r\n'), false);
  assert.deepEqual(Object.values(offered('nonsense')), [false, false, false, false]);
});

test('the E-model: no loss and no delay is near 4.4, and both make it worse', () => {
  assert.ok(Math.abs(mos({ delay_ms: 0, loss_percent: 0 }) - 4.41) < 0.01);
  const scores = [0, 1, 3, 10, 30, 100].map((loss_percent) => mos({ delay_ms: 50, loss_percent }));
  assert.deepEqual(
    scores,
    [...scores].sort((a, b) => b - a),
  );
  assert.ok(mos({ delay_ms: 400, loss_percent: 0 }) < mos({ delay_ms: 100, loss_percent: 0 }));
  assert.deepEqual([4.4, 4, 3.5, 3.1, 3, 1].map(level), ['good', 'good', 'fair', 'fair', 'poor', 'poor']);
  for (const delay_ms of [0, 1e5]) for (const loss_percent of [0, 100]) assert.ok(mos({ delay_ms, loss_percent }) >= 1);
});

test('quality is what has happened between two moments', () => {
  const at = (timestamp, received, lost, bytes) =>
    counters(
      new Map([
        [
          'a',
          {
            type: 'inbound-rtp',
            kind: 'audio',
            timestamp,
            packetsReceived: received,
            packetsLost: lost,
            bytesReceived: bytes,
            jitter: 0.004,
          },
        ],
        ['b', { type: 'outbound-rtp', kind: 'audio', timestamp, bytesSent: bytes * 2 }],
        ['c', { type: 'candidate-pair', nominated: true, timestamp, currentRoundTripTime: 0.08 }],
      ]),
    );
  const found = quality(at(0, 100, 0, 1000), at(2000, 190, 10, 9000));
  assert.deepEqual(found.audio, { kbps_in: 32, kbps_out: 64, jitter_ms: 4, loss_percent: 10 });
  assert.equal(found.video, null);
  assert.equal(found.rtt_ms, 80);
  assert.equal(found.level, 'poor');
});

test('tokens: their form, and when their end is told', () => {
  const token = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  for (const good of ['a.b.c', 'a.b.c.d.e', token({})]) assert.equal(isTokenLike(good), true);
  for (const bad of ['', 'a.b', 'a.b.c.d', 'a..c', 'a.b.c=', 'a b.c.d', null, undefined, 7, {}])
    assert.equal(isTokenLike(bad), false);
  assert.deepEqual(lifetime(token({ iat: 1000, exp: 4600 })), { expires: 4_600_000, warnAt: 4_540_000 });
  assert.deepEqual(lifetime(token({ iat: 1000, exp: 1010 })), { expires: 1_010_000, warnAt: 1_009_000 });
  for (const none of ['a.b.c', token({}), token(null), token({ exp: 'soon' })]) assert.equal(lifetime(none), null);
});
