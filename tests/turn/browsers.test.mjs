// Two Chromiums, each in a network namespace that has a cable to offhook's and to nothing else. They register by the stock
// SDK, or by our library, and call each other with video: nothing but offhook's relay can carry it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { eventually } from '../browser/harness/bounded.mjs';
import { SIGNALLING_HOST } from '../browser/harness/browser.mjs';
import { SipTrace } from '../browser/harness/sip_trace.mjs';
import { Network, RELAY } from './harness/network.mjs';
import { startOffhook, TURN_PORT, TURN_TLS_PORT } from './harness/offhook.mjs';
import { browserIn, opener, pairOf } from './harness/relayed_page.mjs';

const run = promisify(execFile);
const LONGEST_MS = 90_000;
const URLS = {
  udp: `turn:${SIGNALLING_HOST}:${TURN_PORT}?transport=udp`,
  tcp: `turn:${SIGNALLING_HOST}:${TURN_PORT}?transport=tcp`,
  tls: `turns:${SIGNALLING_HOST}:${TURN_TLS_PORT}?transport=tcp`,
};
const props = { browsers: [] };

before(async () => {
  props.network = await Network.build(2);
  Object.assign(props, await startOffhook());
  props.open = await opener();
  for (const room of props.network.rooms) props.browsers.push(await browserIn(room));
}, { timeout: LONGEST_MS });

after(async () => {
  await Promise.all(props.browsers.map((browser) => browser.close()));
  await props.server?.discard();
  await props.network?.remove();
}, { timeout: LONGEST_MS });

let count = 0;

/** A client in the room of this place; `how` says which ICE servers its page uses, and of which candidates. */
function open(place, trace, how, kind) {
  const { server, account, browsers } = props;
  const name = ['alice', 'bob'][place];
  return props.open({ browser: browsers[place], server, account, id: `${name}.${count}`, name, trace }, how, kind);
}

/** Alice calls bob with video; `body` gets both ends while frames arrive at both. Then the call's record is looked at. */
function scenario(title, how, body, { kind } = {}) {
  test(title, { timeout: LONGEST_MS }, async () => {
    count += 1;
    const trace = new SipTrace();
    const clients = [];
    try {
      clients.push(...(await Promise.all([0, 1].map((place) => open(place, trace, how, kind)))));
      const [alice, bob] = clients;
      await bob.register();
      const outgoing = await alice.call(bob, { video: true });
      const incoming = await bob.incoming();
      await incoming.answer({ video: true });
      await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
      const both = { audio: 1, video: 1 };
      await Promise.all([outgoing.receives(both), incoming.receives(both)]);
      const pairs = await Promise.all(clients.map(pairOf));
      await body(pairs, clients);
      await outgoing.hangUp();
      await incoming.ended();
      await recordTells(outgoing, alice, pairs);
    } catch (error) {
      console.log(`--- ${title}: the wire as the browsers saw it\n${trace}`);
      console.log(`--- ${title}: the server's last words\n${props.server.lastOutput()}\n---`);
      throw error;
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });
}

/** What was relayed for each side is in the call's record: what the browsers' pairs had carried by then, at least. */
async function recordTells(call, alice, pairs) {
  const record = await eventually("the call's record tells what was relayed", async () => {
    const records = await props.server.calls(props.account);
    const own = records.find(({ caller }) => caller === alice.id);
    const isThere = ({ sent, received }) => sent.bytes > 0 && received.bytes > 0;
    return own?.ended && isThere(own.relay.caller) && isThere(own.relay.callee) && own;
  }, 20_000);
  for (const [side, { bytesSent, bytesReceived }] of [['caller', pairs[0]], ['callee', pairs[1]]]) {
    const { sent, received } = record.relay[side];
    assert.ok(sent.bytes >= bytesSent, `${side} sent ${bytesSent} bytes, and the record says ${JSON.stringify(sent)}`);
    assert.ok(received.bytes >= bytesReceived, `${side} got ${bytesReceived} bytes, and the record says ${JSON.stringify(received)}`);
  }
}

/** Both ends are relayed, over this transport and from the addresses to relay from. */
function assertRelayed(pairs, relayProtocol) {
  for (const { local, remote } of pairs) {
    const story = JSON.stringify({ local, remote });
    assert.deepEqual([local.candidateType, remote.candidateType], ['relay', 'relay'], story);
    assert.equal(local.relayProtocol, relayProtocol, story);
    assert.equal(local.address, RELAY.v4, story);
    assert.equal(remote.address, RELAY.v4, story);
  }
}

for (const [transport, url] of Object.entries(URLS)) {
  const urls = `^${url.replace(/[.?]/g, '\\$&')}$`;
  scenario(`relay alone, over ${transport.toUpperCase()}`, { policy: 'relay', urls }, async (pairs, clients) => {
    assertRelayed(pairs, transport);
    // What was handed out is what is expected, and no more than three.
    const given = await Promise.all(clients.map((client) => client.page.evaluate('window.watched.given')));
    for (const list of given) assert.deepEqual([...new Set(list)], Object.values(URLS));
  });
}

scenario('nothing is forced: there is no other way than the relay', { urls: '' }, (pairs) => {
  for (const { local, remote } of pairs) {
    assert.ok([local, remote].some(({ candidateType }) => candidateType === 'relay'), JSON.stringify({ local, remote }));
  }
});

scenario('relay alone, with our own library', { policy: 'relay', urls: '' }, (pairs) => {
  for (const { local, remote } of pairs) {
    assert.deepEqual([local.candidateType, remote.candidateType], ['relay', 'relay']);
  }
}, { kind: 'offhook' });

test('the direct path is closed: what one room sends does not reach the other', { timeout: LONGEST_MS }, async () => {
  const [near, far] = props.network.rooms;
  const sends = `const socket = require('dgram').createSocket('udp4');
    socket.send('direct', 50000, '${far.own.v4}', (error) => { console.log(error?.code ?? 'sent'); socket.close(); });`;
  const before = await far.udpPackets();
  assert.equal(await sent(near.inside(['node', '-e', sends])), 'ENETUNREACH');
  assert.equal(await far.udpPackets(), before);
  // The count does see what arrives.
  assert.equal(await sent(['node', '-e', sends]), 'sent');
  assert.equal(await far.udpPackets(), before + 1);
});

/** What a program that sends said of it. */
async function sent([program, ...words]) {
  return (await run(program, words)).stdout.trim();
}
