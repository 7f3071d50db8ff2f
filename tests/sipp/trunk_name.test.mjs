// A trunk whose peer has a name: DNS of the test's own says where it is, by NAPTR and SRV, and SIPp is there, or nobody.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { eventually } from '../browser/harness/bounded.mjs';
import { freePort, scenario } from './harness/trunk_stage.mjs';
import { Identity } from './harness/tunnel.mjs';

const CALLED = '+447700900123';
const NAMED = ['peers = ["provider.example"]', 'domain = "127.0.0.1"'];
const ROWS = /^(Via|From|To|Call-ID|CSeq):.*\r\n/gim;

/** Calls the number from the application, and says that who answers is talked to. */
async function reaches(stage) {
  const [near, far] = [await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`], next_page: { url: 'after' } } }]);
  const peer = await stage.peer('trunk_callee', { sound_port: far.port });
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  const instance = (await stage.webhook.told('first')).application_instance_id;
  await near.says(0x34, 0xb4);
  await far.says(0x2a, 0xaa);
  await Promise.all([far.hears(0x34, 0xb4, 25), near.hears(0x2a, 0xaa, 25)]);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([peer.verdict(), caller.verdict()]);
  return peer;
}

/** The peer of the trunk, once there is one; DNS that has failed is asked again after ten seconds. */
function isUsed(stage, peer) {
  return eventually(`the peer is ${peer}`, async () => (await stage.status()).peer === peer, 15_000);
}

/** Somebody who says to every INVITE that it cannot now. */
async function overloaded() {
  const socket = dgram.createSocket('udp4');
  await new Promise((bound) => socket.bind(0, '127.0.0.1', bound));
  const asked = [];
  socket.on('message', (bytes, from) => {
    const text = bytes.toString();
    asked.push(text.split(' ')[0]);
    if (text.startsWith('INVITE ')) {
      const answer = `SIP/2.0 503 Service Unavailable\r\n${text.match(ROWS).join('')}Content-Length: 0\r\n\r\n`;
      socket.send(answer, from.port, from.address);
    }
  });
  return { port: socket.address().port, asked, close: () => socket.close() };
}

/** Somebody who shows a certificate for this name by TLS, and writes down whom it was taken for and what it was told. */
async function impostor(name) {
  const identity = await Identity.make(name);
  const [wanted, told] = [[], []];
  const SNICallback = (asked, done) => {
    wanted.push(asked);
    done(null);
  };
  const server = tls.createServer({ cert: identity.cert, key: identity.key, SNICallback }, (socket) => {
    socket.on('error', () => {}).on('data', (bytes) => told.push(bytes.toString()));
  });
  server.on('tlsClientError', () => {});
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => Promise.all([new Promise((closed) => server.close(closed)), identity.discard()]);
  return { port: server.address().port, cert: identity.cert, wanted, told, close };
}

scenario('NAPTR and SRV lead to two peers: where the first cannot the call goes to the second', async (stage) => {
  const [dns, first] = [await stage.dns(), await overloaded()];
  stage.peerPort = await freePort();
  dns.rule('provider.example', { order: 10, service: 'SIP+D2U', replacement: '_sip._udp.edge.example' });
  dns.rule('provider.example', { order: 5, service: 'SIP+D2T', replacement: '_sip._tcp.edge.example' });
  dns.service('_sip._udp.edge.example', { priority: 20, port: stage.peerPort, host: 'two.example' });
  dns.service('_sip._udp.edge.example', { priority: 10, port: first.port, host: 'one.example' });
  dns.host('one.example', '127.0.0.1');
  dns.host('two.example', '127.0.0.1');
  await stage.open(...NAMED);
  await isUsed(stage, `127.0.0.1:${first.port}`);
  assert.equal((await stage.status()).trouble, null);
  assert.ok(dns.asked.includes('NAPTR provider.example') && !dns.asked.includes('SRV _sip._tcp.edge.example'));
  await reaches(stage);
  assert.ok(first.asked.includes('INVITE'), 'the first was asked first');
  first.close();
});

scenario('a name that DNS does not know is told, and calls are refused until it is known', async (stage) => {
  const dns = await stage.dns();
  await stage.open(...NAMED);
  const trouble = await eventually('it is told', async () => {
    const { peer, trouble } = await stage.status();
    return peer === null && trouble?.includes('NXDOMAIN') && trouble;
  });
  assert.match(trouble, /^provider\.example has no address: there is no such name \(NXDOMAIN\); calls to it are refused/);
  stage.peerPort = await freePort();
  dns.service('_sip._udp.provider.example', { priority: 0, port: stage.peerPort, host: 'one.example' });
  dns.host('one.example', '127.0.0.1');
  await isUsed(stage, `127.0.0.1:${stage.peerPort}`);
  assert.equal((await stage.status()).trouble, null);
  await reaches(stage);
});

scenario('TCP: SRV leads to two peers: where nobody takes a connection the call goes to the second', async (stage) => {
  const [dns, nobody] = [await stage.dns(), await freePort()];
  stage.peerPort = await freePort();
  dns.rule('provider.example', { order: 5, service: 'SIP+D2U', replacement: '_sip._udp.edge.example' });
  dns.rule('provider.example', { order: 10, service: 'SIP+D2T', replacement: '_sip._tcp.edge.example' });
  dns.service('_sip._tcp.edge.example', { priority: 20, port: stage.peerPort, host: 'two.example' });
  dns.service('_sip._tcp.edge.example', { priority: 10, port: nobody, host: 'one.example' });
  dns.host('one.example', '127.0.0.1');
  dns.host('two.example', '127.0.0.1');
  await stage.open(...NAMED);
  await isUsed(stage, `127.0.0.1:${nobody}`);
  const peer = await reaches(stage);
  assert.match(await peer.messages(), /^Via: SIP\/2\.0\/TCP /m);
  assert.ok(!dns.asked.includes('SRV _sip._udp.edge.example'), 'no other transport is taken instead');
  assert.match((await stage.status()).trouble, new RegExp(`^no connection to 127\\.0\\.0\\.1:${nobody}: `));
}, 'tcp');

scenario('TLS: a certificate must be for the name of the trunk, and not for the host that SRV leads to', async (stage) => {
  const dns = await stage.dns();
  stage.peerPort = await freePort();
  const { cert } = await stage.isKnownAs('DNS:provider.example');
  const host = await impostor('DNS:one.example');
  const folder = await mkdtemp(path.join(tmpdir(), 'offhook-known-'));
  const known = path.join(folder, 'known.pem');
  // Both are vouched for.
  await writeFile(known, Buffer.concat([cert, host.cert]));
  dns.rule('provider.example', { order: 10, service: 'SIPS+D2T', replacement: '_sips._tcp.edge.example' });
  dns.service('_sips._tcp.edge.example', { priority: 10, port: host.port, host: 'one.example' });
  dns.service('_sips._tcp.edge.example', { priority: 20, port: stage.peerPort, host: 'two.example' });
  dns.host('one.example', '127.0.0.1');
  dns.host('two.example', '127.0.0.1');
  try {
    await stage.open('peers = ["provider.example"]', `ca_file = "${known}"`);
    await isUsed(stage, `127.0.0.1:${host.port}`);
    const peer = await reaches(stage);
    assert.match(await peer.messages(), /^INVITE sip:[^@]*@provider\.example/m);
    const { trouble } = await stage.status();
    const why = new RegExp(`^no connection to 127\\.0\\.0\\.1:${host.port}: TLS fails: .*provider\\.example, the domain of the trunk`);
    assert.match(trouble, why);
    assert.ok(stage.server.lastOutput().includes(`trunk provider: ${trouble}`));
    assert.ok(host.wanted.length > 0 && host.wanted.every((name) => name === 'provider.example'), `${host.wanted} is asked for`);
    assert.deepEqual(host.told, [], 'it was told nothing');
  } finally {
    await host.close();
    await rm(folder, { recursive: true, force: true });
  }
}, 'tls');
