// What coturn's clients cannot be asked: relay to relay between clients of different transports, and both families, with
// every byte of every packet looked at. The client is this folder's own (harness/turn_client.mjs).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';

import { startPeer } from './harness/coturn.mjs';
import { judged } from './harness/judged.mjs';
import { Network } from './harness/network.mjs';
import { ATTRIBUTE, CLASS, METHOD, number32 } from './harness/stun.mjs';
import { closeClients, TurnClient } from './harness/turn_client.mjs';

const LONGEST_MS = 60_000;
const PEER_PORT = 3480;
const CHANNEL = 0x4000;
const LENGTHS = [1, 2, 3, 4, 5, 172, 1_200, 1_400];
const TRANSPORTS = ['udp', 'tcp', 'tls'];
const props = {};

before(async () => {
  props.network = await Network.build(1, { knowRelays: true });
  [props.room] = props.network.rooms;
  props.peers = await Promise.all(
    [props.room.own.v4, props.room.own.v6].map((address) => startPeer(props.room, address, PEER_PORT)),
  );
  props.server = await judged(props.network);
}, { timeout: LONGEST_MS });

after(async () => {
  closeClients();
  await props.server?.stop();
  await Promise.all((props.peers ?? []).map((peer) => peer.kill()));
  await props.network?.remove();
}, { timeout: LONGEST_MS });

async function client(transport, { family = 4, over = 4 } = {}) {
  const { room, server } = props;
  const host = over === 6 ? room.server.v6 : room.server.v4;
  const port = transport === 'tls' ? server.tlsPort : server.port;
  const opened = await TurnClient.open({ host, port, transport, ca: server.ca });
  return opened.allocated(await server.credential(), { family });
}

/** Bytes that no other length has. */
function payload(length) {
  const seed = createHash('sha256').update(String(length)).digest();
  return Buffer.alloc(length, seed);
}

for (const one of TRANSPORTS) {
  for (const other of TRANSPORTS) {
    test(`relay to relay, from ${one} by channel to ${other} by Data indication`, { timeout: LONGEST_MS }, async () => {
      const [from, to] = await Promise.all([client(one), client(other)]);
      assert.equal(await from.bind(CHANNEL, to.relayed), 0);
      assert.equal(await to.permit(from.relayed.ip), 0);
      for (const length of LENGTHS) {
        const sent = payload(length);
        from.sendChannel(CHANNEL, sent);
        const came = await to.until(`${length} bytes come`, ({ data }) => data?.length === length);
        assert.deepEqual(came, { peer: from.relayed, data: sent });
        to.send(from.relayed, sent);
        const back = await from.until(`${length} bytes come back`, ({ data }) => data?.length === length);
        assert.deepEqual(back, { channel: CHANNEL, data: sent });
      }
      from.close();
      to.close();
    });
  }
}

for (const family of [4, 6]) {
  for (const over of [4, 6]) {
    test(`a peer of IPv${family}, for a client that came over IPv${over}`, { timeout: LONGEST_MS }, async () => {
      const opened = await client('udp', { family, over });
      const peer = { ip: family === 6 ? props.room.own.v6 : props.room.own.v4, port: PEER_PORT };
      assert.equal(await opened.bind(CHANNEL, peer), 0);
      for (const length of LENGTHS) {
        opened.sendChannel(CHANNEL, payload(length));
        const came = await opened.until(`${length} bytes come back`, ({ data }) => data?.length === length);
        assert.deepEqual(came, { channel: CHANNEL, data: payload(length) });
      }
      opened.close();
    });
  }
}

test('one allocation of both families reaches peers of both', { timeout: LONGEST_MS }, async () => {
  const { room, server } = props;
  const opened = await TurnClient.open({ host: room.server.v4, port: server.port });
  const both = [ATTRIBUTE.additionalAddressFamily, Buffer.from([2, 0, 0, 0])];
  await opened.allocated(await server.credential(), { more: [both] });
  for (const [place, ip] of [room.own.v4, room.own.v6].entries()) {
    assert.equal(await opened.bind(CHANNEL + place, { ip, port: PEER_PORT }), 0);
    opened.sendChannel(CHANNEL + place, payload(172));
    await opened.until(`an echo from ${ip}`, ({ channel, data }) => channel === CHANNEL + place && data.equals(payload(172)));
  }
  opened.close();
});

test('a peer of the other family is refused: 443', { timeout: LONGEST_MS }, async () => {
  const { room } = props;
  const [four, six] = await Promise.all([client('udp', { family: 4 }), client('udp', { family: 6 })]);
  assert.equal(await four.permit(room.own.v6), 443);
  assert.equal(await six.permit(room.own.v4), 443);
  four.close();
  six.close();
});

test('after a Refresh with no lifetime nothing is left: 437', { timeout: LONGEST_MS }, async () => {
  const opened = await client('udp');
  assert.equal(await opened.refresh(0), 0);
  assert.equal(await opened.permit(props.room.own.v4), 437);
});

test('a second Allocate on the same 5-tuple: 437', { timeout: LONGEST_MS }, async () => {
  const { room, server } = props;
  const opened = await TurnClient.open({ host: room.server.v4, port: server.port });
  await opened.allocated(await server.credential());
  assert.equal((await opened.allocate()).code, 437);
});

test('a STUN Binding is answered over each transport, with or without FINGERPRINT', { timeout: LONGEST_MS }, async () => {
  const { room, server } = props;
  for (const transport of TRANSPORTS) {
    const port = transport === 'tls' ? server.tlsPort : server.port;
    const opened = await TurnClient.open({ host: room.server.v4, port, transport, ca: server.ca });
    for (const fingerprint of [false, true]) {
      const answer = await opened.request(METHOD.binding, [], { proven: false, fingerprint });
      assert.equal(answer.kind, CLASS.success);
      assert.equal(answer.address(ATTRIBUTE.xorMappedAddress).ip, room.server.v4);
    }
    opened.close();
  }
});

test('a lifetime is granted as asked for, up to an hour', { timeout: LONGEST_MS }, async () => {
  const { room, server } = props;
  const granted = async (wish) => {
    const opened = await TurnClient.open({ host: room.server.v4, port: server.port });
    await opened.use(await server.credential());
    const answer = await opened.allocate({ more: wish === null ? [] : [[ATTRIBUTE.lifetime, number32(wish)]] });
    assert.equal(answer.kind, CLASS.success);
    return answer.get(ATTRIBUTE.lifetime).readUInt32BE();
  };
  assert.equal(await granted(null), 600);
  assert.equal(await granted(1_200), 1_200);
  assert.equal(await granted(1_000_000), 3_600);
});
