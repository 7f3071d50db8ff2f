// Ties the scenarios of trunks together: for each one a server with one trunk, whose peer is SIPp by UDP, TCP or TLS, an application
// that answers for its number, and what all of them said, told when it fails.
import dgram from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { launch, servePage } from '../../browser/harness/browser.mjs';
import { Client } from '../../browser/harness/page.mjs';
import { Server } from '../../browser/harness/server.mjs';
import { SipTrace } from '../../browser/harness/sip_trace.mjs';
import { Webhook } from '../../browser/harness/webhook.mjs';
import { Baresip } from './baresip.mjs';
import { Dns } from './dns.mjs';
import { EarlyPhone } from './early_phone.mjs';
import { Kamailio } from './kamailio.mjs';
import { Rtp } from './rtp.mjs';
import { Sipp } from './sipp.mjs';
import { Identity, Tunnel } from './tunnel.mjs';

const LONGEST_MS = 60_000;
export const NUMBER = '+442079460001';
export const CALLER = '+441234567890';

/** A test with a stage of its own; `by`: the transport of its trunk. */
export function scenario(title, body, by = 'udp') {
  test(title, { timeout: LONGEST_MS }, async () => {
    const stage = new Stage(by);
    try {
      await body(stage);
    } catch (error) {
      console.log(`--- ${title}\n${await stage.story()}\n---`);
      throw error;
    } finally {
      await stage.close();
    }
  });
}

class Stage {
  #phones = [];
  #ends = [];
  #clients = [];
  #trace = new SipTrace();
  #browser;
  #site;
  #folder;
  #address;
  #by;
  #tunnels = [];
  #identity;
  #proxy;
  #dns;
  /** Where who is called is, if that is not the peer itself. */
  #calleePort;
  server;
  account;
  webhook;
  /** Where the peer of the trunk is: whoever is to be called must be there. */
  peerPort;

  constructor(by) {
    this.#by = by;
  }

  /** Where the trunk's peers reach the server. */
  get address() {
    return this.#address;
  }

  /** The server of DNS that the server asks, if the test wants one: before the server is opened. */
  async dns() {
    this.#dns ??= await Dns.listen();
    return this.#dns;
  }

  /** By TLS the peer shows a certificate for this name: before there is a server or a peer. */
  async isKnownAs(name) {
    this.#identity = await Identity.make(name);
    return this.#identity;
  }

  /** Starts a server whose trunk has these rows besides those that it must have. */
  async open(...rows) {
    this.peerPort ??= await freePort();
    this.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-trunk-'));
    const file = path.join(this.#folder, 'offhook.toml');
    this.webhook = await Webhook.listen();
    const words = ['--config', file, '--trunk-listen', '127.0.0.1:0', '--trunk-tls-listen', '127.0.0.1:0'];
    if (this.#dns) words.push('--dns', this.#dns.address);
    this.server = await Server.prepare(words, { plain: this.#by !== 'tls' });
    this.account = await this.server.createAccount('a@b.c');
    const { cloud_id, username } = this.account;
    const trunk = ['[[trunk]]', `account = "${cloud_id}/${username}"`, 'name = "provider"'];
    if (this.#by !== 'udp') trunk.push(`transport = "${this.#by}"`);
    const isTold = (key) => rows.some((row) => row.startsWith(key));
    if (!isTold('peers')) trunk.push(`peers = ["127.0.0.1:${this.peerPort}"]`);
    if (this.#by === 'tls' && !isTold('ca_file')) trunk.push(`ca_file = "${(await this.#known()).path}"`);
    trunk.push(`numbers = { "${NUMBER}" = "ivr" }`, ...(isTold('check_s') ? [] : ['check_s = 0']), ...rows);
    await writeFile(file, `${trunk.join('\n')}\n`);
    await this.server.start();
    this.webhook.secret = await this.server.putApplication(this.account, 'ivr', this.webhook);
    const status = await this.server.status();
    this.#address = this.#by === 'tls' ? status.trunk_tls_address : status.trunk_address;
  }

  /** Puts Kamailio between the server, which must be open, and all others: it is the peer of the trunk then. */
  async proxy() {
    const server = Number(this.#address.split(':').at(-1));
    this.#calleePort = await freePort();
    this.#proxy = await Kamailio.start({ port: this.peerPort, server, callee: this.#calleePort });
    this.#address = `127.0.0.1:${this.peerPort}`;
  }

  /** A SIPp that calls the number by the trunk; `from`: from another address of loopback. */
  async caller(scenario, keys = {}, { from = '127.0.0.1', words = [] } = {}) {
    let address = this.#address;
    if (this.#by === 'tls') {
      const tunnel = await Tunnel.into(address);
      this.#tunnels.push(tunnel);
      address = tunnel.address;
    }
    // Left alone, SIPp takes the same ports as ever, where what is left of the last call may arrive.
    return this.#phone(scenario, [address, '-i', from, '-p', await freePort(), ...words], { called: NUMBER, caller: CALLER, ...keys });
  }

  /** A SIPp that is what the peer of the trunk is; it may come before the server. */
  async peer(scenario, keys = {}) {
    this.peerPort ??= await freePort();
    let port = this.#calleePort ?? this.peerPort;
    if (this.#by === 'tls') {
      port = await freePort();
      this.#tunnels.push(await Tunnel.outOf(this.peerPort, port, await this.#known()));
    }
    return this.#phone(scenario, ['-i', '127.0.0.1', '-p', port], keys);
  }

  /** The peer of the trunk is a telephone of this number that says a sine; `secret`: that speaks SRTP and nothing else. */
  async telephone(user, hz, { secret = false } = {}) {
    this.peerPort ??= await freePort();
    const known = this.#by === 'tls' ? await this.#known() : undefined;
    const phone = await Baresip.start(user, this.peerPort, hz, this.#by, known, { secret });
    this.#phones.push(phone);
    return phone;
  }

  /** A telephone that is the peer of the trunk calls the number, by SRTP and TLS. */
  async callingTelephone(user, hz) {
    const dials = `sip:${NUMBER}@${this.#address};transport=tls`;
    const phone = await Baresip.start(user, this.peerPort, hz, this.#by, await this.#known(), { secret: true, dials });
    this.#phones.push(phone);
    return phone;
  }

  /** The peer of the trunk is a telephone that is heard before it answers, with this end of RTP. */
  async earlyPhone(sound) {
    this.peerPort ??= await freePort();
    const phone = await EarlyPhone.listen(this.peerPort, sound.port);
    this.#phones.push(phone);
    return phone;
  }

  /** A registered client: the stock SDK behind the shim, in a browser. */
  async client(name) {
    this.#browser ??= await launch();
    this.#site ??= await servePage();
    const client = await Client.open({
      browser: this.#browser,
      server: this.server,
      account: this.account,
      address: `${this.#site.address}shim?server=${encodeURIComponent(this.server.origin)}`,
      id: name,
      name,
      trace: this.#trace,
      anyCertificate: false,
    });
    this.#clients.push(client);
    await client.register();
    return client;
  }

  /** An end of plain RTP. */
  async sound() {
    const rtp = await Rtp.listen();
    this.#ends.push(rtp);
    return rtp;
  }

  /** How it stands with the trunk. */
  async status() {
    return (await this.server.status()).trunks[0];
  }

  calls() {
    return this.server.calls(this.account);
  }

  async story() {
    const stories = await Promise.all(this.#phones.map((phone) => phone.story()));
    const sounds = this.#ends.map((rtp) => rtp.story());
    const proxy = this.#proxy ? [this.#proxy.story()] : [];
    return [...stories, ...sounds, ...proxy, this.#trace, `--- the server's last words\n${this.server?.lastOutput()}`].join('\n');
  }

  async close() {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#browser?.close();
    await this.#site?.close();
    await this.server?.discard();
    await this.webhook?.close();
    for (const tunnel of this.#tunnels) tunnel.close();
    await Promise.all([...this.#phones.map((phone) => phone.discard()), ...this.#ends.map((rtp) => rtp.close())]);
    await this.#proxy?.discard();
    this.#dns?.close();
    await this.#identity?.discard();
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }

  /** Who the peer is by TLS. */
  async #known() {
    this.#identity ??= await Identity.make();
    return this.#identity;
  }

  async #phone(scenario, words, keys) {
    const phone = await Sipp.start(scenario, [...words, '-t', this.#by === 'udp' ? 'u1' : 't1', '-ci', '127.0.0.1', '-m', '1'], keys);
    this.#phones.push(phone);
    return phone;
  }
}

/**
 * A port that nobody has, nor the one before it, which a telephone by TLS takes as well. The table of the trunk must name it before
 * SIPp can take it.
 */
export async function freePort() {
  for (;;) {
    const port = await bound(dgram.createSocket('udp4'), 0);
    const wanted = [
      [net.createServer(), port],
      [net.createServer(), port - 1],
      [dgram.createSocket('udp4'), port - 1],
    ];
    const are = await Promise.allSettled(wanted.map(([socket, at]) => bound(socket, at)));
    if (are.every(({ status }) => status === 'fulfilled')) return port;
  }
}

/** Binds a socket at this port of loopback, and closes it: the port that it had. */
async function bound(socket, wanted) {
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    if (socket.bind) socket.bind(wanted, '127.0.0.1', resolve);
    else socket.listen(wanted, '127.0.0.1', resolve);
  });
  const { port } = socket.address();
  await new Promise((closed) => socket.close(closed));
  return port;
}
