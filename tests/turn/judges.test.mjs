// coturn's clients judge the server: every transport, channels and indications, both families, from one room to a peer in
// another, and from relay to relay. Nothing here is ours but the server.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startPeer, stunclient, uclient } from './harness/coturn.mjs';
import { judged } from './harness/judged.mjs';
import { Network } from './harness/network.mjs';

const LONGEST_MS = 60_000;
const PEER_PORT = 3480;
/** Each client opens its allocations at the same moment; two cores have to serve them all. */
const AT_ONCE = 6;

const props = {};

before(async () => {
  props.network = await Network.build(2, { knowRelays: true });
  [props.near, props.far] = props.network.rooms;
  props.peers = await Promise.all(
    [props.far.own.v4, props.far.own.v6].map((address) => startPeer(props.far, address, PEER_PORT)),
  );
  props.server = await judged(props.network);
}, { timeout: LONGEST_MS });

after(async () => {
  await props.server?.stop();
  await Promise.all((props.peers ?? []).map((peer) => peer.kill()));
  await props.network?.remove();
}, { timeout: LONGEST_MS });

for (const family of ['v4', 'v6']) {
  test(`turnutils_stunclient learns its own address: ${family}`, { timeout: LONGEST_MS }, async () => {
    const { near, server } = props;
    assert.equal(await stunclient(near, near.server[family], server.port), near.own[family]);
  });
}

/** Words that UDP and TCP are judged with. */
const EVERYWHERE = {
  'channels': ['-c', '-n', 40],
  'Send indications': ['-c', '-s', '-n', 40],
  'channels from relay to relay': ['-c', '-y', '-n', 40],
  'Send indications from relay to relay': ['-c', '-y', '-s', '-n', 40],
  'pairs of ports, for RTP and RTCP': ['-n', 40],
};

/**
 * Words that say something about one of them. Not -Z: this client asks for a second family by the number of a draft (0x8032),
 * which is nobody's; transports.test.mjs asks by the RFC's.
 */
const OVER_UDP = {
  'DONT-FRAGMENT': ['-c', '-g', '-n', 20],
  'Send indications with DONT-FRAGMENT': ['-c', '-g', '-s', '-n', 20],
  'REQUESTED-ADDRESS-FAMILY for IPv4': ['-c', '-X', '-n', 20],
  'REQUESTED-ADDRESS-FAMILY for IPv6': ['-c', '-x', '-n', 20],
  'CreatePermission and ChannelBind again and again': ['-c', '-G', '-n', 20],
  'ChannelData that is padded without need': ['-c', '-D', '-l', 101, '-n', 20],
  'packets as large as a video has them': ['-c', '-l', 1_200, '-z', 5, '-n', 100],
  'ten clients at once': ['-c', '-m', 10, '-n', 20],
};

/**
 * Its TLS leaves what came together with something else unread until more comes, whatever the server. So these come one
 * after another, and nothing else at that time; relay to relay over TLS is transports.test.mjs's.
 */
const OVER_TLS = {
  'channels': ['-c', '-n', 20, '-z', 40],
  'Send indications': ['-c', '-s', '-n', 20, '-z', 40],
};

const SIX = ['-c', '-x', '-n', 20];

describe('turnutils_uclient', { concurrency: AT_ONCE, timeout: LONGEST_MS }, () => {
  for (const [what, words] of Object.entries({ ...EVERYWHERE, ...OVER_UDP })) {
    test(`over UDP: ${what}`, () => judge('v4', [], words));
  }
  for (const [what, words] of Object.entries(EVERYWHERE)) {
    test(`over TCP: ${what}`, () => judge('v4', ['-t'], words));
  }
  test('over UDP, from a client that has IPv6', () => judge('v6', [], SIX));
  test('over TCP, from a client that has IPv6', () => judge('v6', ['-t'], SIX));
});

describe('turnutils_uclient over TLS', { timeout: LONGEST_MS }, () => {
  for (const [what, words] of Object.entries(OVER_TLS)) {
    test(`over TLS: ${what}`, () => judge('v4', ['-t', '-S', '-E', props.server.certificatePath], words));
  }
});

/** Runs it in the near room; the peer is in the far one, and of the family of the relayed address. */
async function judge(family, over, more) {
  const { near, far, server } = props;
  const peer = more.includes('-x') ? far.own.v6 : far.own.v4;
  const clients = more.includes('-m') ? Number(more[more.indexOf('-m') + 1]) : 1;
  const { sent } = await uclient(near, {
    server: near.server[family],
    port: over.includes('-S') ? server.tlsPort : server.port,
    credential: await server.credential(),
    words: [...over, ...(more.includes('-y') ? [] : ['-e', peer, '-r', PEER_PORT]), ...more],
  });
  assert.ok(sent >= clients * Number(more[more.indexOf('-n') + 1]), `${sent} packets are fewer than were asked for`);
}
