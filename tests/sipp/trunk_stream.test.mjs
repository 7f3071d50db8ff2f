// SIPp is the peer of a trunk by TCP, and by TLS through a tunnel: calls both ways, challenges, registration. Whoever should not be
// there, is too slow or sends too much has a bare socket.
import assert from 'node:assert/strict';
import net from 'node:net';

import { bounded, eventually } from '../browser/harness/bounded.mjs';
import { CALLER, scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';
const LOGIN = ['user = "44207"', 'password = "s3cret word"'];

const tone = (milliseconds) => ({ play: { play_list: [{ tone: { frequencies_hz: [440], milliseconds } }] } });

/** The only call's record, once it has ended. */
function record(stage) {
  return eventually('the call has a record with an end', async () => {
    const calls = await stage.calls();
    return calls.length === 1 && calls[0].status !== null && calls[0];
  });
}

/** A call that the application connects to a number: sound passes both ways, and the application ends it. */
async function talk(stage, callee) {
  const [near, far] = [await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const peer = await stage.peer(callee, { sound_port: far.port });
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await near.says(0x34, 0xb4);
  await far.says(0x2a, 0xaa);
  await Promise.all([far.hears(0x34, 0xb4, 25), near.hears(0x2a, 0xaa, 25)]);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([peer.verdict(), caller.verdict()]);
  return peer;
}

for (const [by, name] of [['tcp', 'TCP'], ['tls', 'TLS']]) {
  scenario(`${name}: a number reaches its application, which plays a tone and hangs up`, async (stage) => {
    await stage.open();
    const sound = await stage.sound();
    stage.webhook.page('first', [tone(1_500)]);
    const caller = await stage.caller('trunk_caller', { sound_port: sound.port });
    await sound.receives(50);
    await caller.verdict();
    const call = await record(stage);
    assert.deepEqual([call.caller, call.caller_trunk, call.service, call.status], [CALLER, 'provider', 'ivr', 200]);
  }, by);

  scenario(`${name}: an application connects a caller to a number, and sound passes both ways`, async (stage) => {
    await stage.open();
    const peer = await talk(stage, 'trunk_callee');
    const messages = await peer.messages();
    assert.match(messages, new RegExp(`^Via: SIP/2.0/${name} 127\\.0\\.0\\.1:[0-9]+;branch=[^;]*\r?$`, 'm'));
    assert.match(messages, new RegExp(`^Contact: <sip:[^>]*;transport=${by}>`, 'm'));
  }, by);

  scenario(`${name}: a call is challenged by whoever is called`, async (stage) => {
    await stage.open(...LOGIN);
    await talk(stage, 'trunk_challenging_callee');
  }, by);

  scenario(`${name}: a registrar challenges, is told the password, and is left when the server stops`, async (stage) => {
    const registrar = await stage.peer('trunk_registrar');
    await stage.open(...LOGIN, 'register = true');
    await eventually('the trunk is registered', async () => (await stage.status()).is_registered);
    assert.match(stage.server.lastOutput(), /trunk provider is registered/);
    await stage.server.stop();
    await registrar.verdict();
  }, by);
}

scenario('TCP: the peer holds a call, takes it back, and hangs up', async (stage) => {
  await stage.open();
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(60_000)]);
  const caller = await stage.caller('trunk_holding_caller', { sound_port: sound.port });
  await caller.verdict();
  assert.equal((await record(stage)).status, 200);
}, 'tcp');

scenario('TCP: the peer cancels while the application is asked: 487', async (stage) => {
  await stage.open();
  let answer;
  stage.webhook.page('first', () => new Promise((resolve) => {
    answer = () => resolve([tone(1_500)]);
  }));
  const caller = await stage.caller('trunk_cancelling_caller', { sound_port: 9 });
  await stage.webhook.told('first');
  await caller.verdict();
  answer();
  assert.equal((await record(stage)).status, 487);
}, 'tcp');

scenario('TLS: a peer whose certificate is for another name is not spoken to, and that is told', async (stage) => {
  await stage.peer('trunk_callee', { sound_port: 9 });
  await stage.open('domain = "sip.example.com"', 'check_s = 5');
  const told = await eventually('the trouble is told', async () => (await stage.status()).trouble);
  assert.match(told, /^no connection to 127\.0\.0\.1:[0-9]+: TLS fails: .*sip\.example\.com, the domain of the trunk/);
  assert.ok(stage.server.lastOutput().includes(`trunk provider: ${told}`));
  assert.equal((await stage.status()).peer, null);
  // Nobody was sent anything.
  assert.equal((await stage.calls()).length, 0);
}, 'tls');

scenario('TLS: a peer that nobody vouches for is not spoken to', async (stage) => {
  await stage.peer('trunk_callee', { sound_port: 9 });
  await stage.open('ca_file = "/etc/ssl/certs/ca-certificates.crt"', 'check_s = 5');
  const told = await eventually('the trouble is told', async () => (await stage.status()).trouble);
  assert.match(told, /TLS fails: .*not known \(UnknownIssuer\); .*that the certificates in its ca_file vouch for; .*ca_file of the trunk/);
}, 'tls');

/** A bare connection to the trunks' port; `ended` is what came on it, once it is closed. */
async function bare(stage, from) {
  const [host, port] = stage.address.split(':');
  const socket = net.connect({ host, port: Number(port), localAddress: from });
  let came = '';
  socket.setEncoding('utf8').on('data', (text) => {
    came += text;
  });
  socket.on('error', () => {});
  const ended = new Promise((closed) => socket.once('close', () => closed(came)));
  await new Promise((open, failed) => socket.once('connect', open).once('error', failed));
  return { socket, ended };
}

const counters = async (stage) => (await stage.server.status()).counters;

scenario("TCP: a stranger's connection is closed without a byte, and counted", async (stage) => {
  await stage.open();
  const { socket, ended } = await bare(stage, '127.0.0.2');
  socket.write('OPTIONS sip:a SIP/2.0\r\n');
  assert.equal(await bounded(ended, 'the connection is closed'), '');
  assert.equal((await counters(stage)).trunk_connections_closed_unknown_source, 1);
}, 'tcp');

scenario('TCP: what is no SIP, is too long or comes too slowly ends its connection and no other', async (stage) => {
  await stage.open();
  const slow = await bare(stage, '127.0.0.1');
  slow.socket.write('OPTIONS sip:a SIP/2.0\r\nVia: ');
  const drops = setInterval(() => slow.socket.write('x'), 500);
  const bad = ['GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n', `OPTIONS sip:a SIP/2.0\r\nX: ${'x'.repeat(70_000)}`];
  bad.push('OPTIONS sip:a SIP/2.0\r\nContent-Length: 1000000\r\n\r\n');
  for (const text of bad) {
    const { socket, ended } = await bare(stage, '127.0.0.1');
    socket.write(text);
    assert.equal(await bounded(ended, 'the connection is closed'), '');
  }
  assert.equal((await counters(stage)).trunk_connections_closed_malformed, bad.length);
  assert.equal(await bounded(slow.ended, 'the slow connection is closed', 25_000), '');
  clearInterval(drops);
  const good = await bare(stage, '127.0.0.1');
  good.socket.write('\r\n\r\n');
  const pong = new Promise((heard) => good.socket.once('data', heard));
  assert.equal(await bounded(pong, 'the ping is answered'), '\r\n');
  good.socket.destroy();
}, 'tcp');
