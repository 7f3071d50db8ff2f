// coturn, a TURN server and clients that share nothing with ours. Its clients judge offhook; its server is what tells that
// they, and these tests, judge rightly.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import net from 'node:net';

import { eventually } from '../../browser/harness/bounded.mjs';
import { Program } from './program.mjs';
import { TurnClient } from './turn_client.mjs';

const REALM = 'judge.example';
const CREDENTIAL = { username: 'judge', credential: 'judged' };

/** coturn's server. */
export class Coturn {
  #program;
  port = 3490;
  tlsPort = 3491;
  credential = CREDENTIAL;

  /** Starts it on these addresses, to relay from those. */
  static async start(addresses, relays, { certificate, more = [] } = {}) {
    const coturn = new Coturn();
    const words = ['turnserver', '-n', '--no-cli', '--log-file', 'stdout', '--pidfile', '/dev/null', '--userdb', ':memory:'];
    words.push('--lt-cred-mech', '--realm', REALM, '--user', Object.values(CREDENTIAL).join(':'), '--fingerprint');
    words.push('--listening-port', coturn.port, '--tls-listening-port', coturn.tlsPort, '--no-dtls', '--relay-threads', 1);
    for (const address of addresses) words.push('--listening-ip', address);
    for (const relay of relays) words.push('--relay-ip', relay);
    if (certificate) words.push('--cert', certificate.path, '--pkey', certificate.keyPath);
    else words.push('--no-tls');
    coturn.#program = new Program([...words, ...more].map(String));
    const where = { host: addresses[0], port: coturn.port, transport: 'tcp' };
    await eventually('coturn listens', () => TurnClient.open(where).then((client) => (client.close(), true), () => false));
    return coturn;
  }

  get output() {
    return this.#program.output;
  }

  stop() {
    return this.#program.kill();
  }
}

/** An echo in a room, at this address, for the clients' packets. */
export async function startPeer(room, address, port) {
  const peer = new Program(['turnutils_peer', '-L', address, '-p', port], { room });
  const probe = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  let isEchoed = false;
  probe.on('message', () => (isEchoed = true));
  try {
    await eventually('the peer echoes', () => {
      if (!isEchoed) probe.send('echo', port, address);
      return isEchoed;
    });
  } finally {
    probe.close();
  }
  return peer;
}

/** What the STUN client was told about its own address; throws unless it is content. */
export async function stunclient(room, server, port) {
  const client = new Program(['turnutils_stunclient', '-p', port, server], { room });
  const status = await client.status();
  const reflexive = /UDP reflexive addr: (\S+):(\d+)/.exec(client.output);
  assert.ok(status === 0 && reflexive, `turnutils_stunclient is not content: ${status}\n${client.output}`);
  return reflexive[1];
}

/**
 * Runs the TURN client and wants it to be content: it ended well, got back every packet that it sent, and said nothing of
 * errors.
 */
export async function uclient(room, { server, port, credential, words, ms = 30_000 }) {
  const { username, credential: password } = credential;
  const all = ['turnutils_uclient', '-p', port, '-u', username, '-w', password, ...words, server];
  const client = new Program(all.map(String), { room });
  const status = await client.status(ms);
  const story = `${all.join(' ')}\n${client.output}`;
  assert.equal(status, 0, `turnutils_uclient ended with ${status}: ${story}`);
  const totals = [...client.output.matchAll(/tot_send_msgs=(\d+), tot_recv_msgs=(\d+)/g)].at(-1);
  assert.ok(totals, `turnutils_uclient gave no totals: ${story}`);
  const [sent, received] = totals.slice(1).map(Number);
  assert.ok(sent > 0, `nothing was sent: ${story}`);
  assert.equal(received, sent, `not every packet came back: ${story}`);
  const lost = /Total lost packets (\d+)/.exec(client.output);
  assert.equal(lost?.[1], '0', `packets were lost: ${story}`);
  return { sent, received };
}
