// The attack list of forbidden peers: each address, in each spelling, by CreatePermission, by ChannelBind and by Send. The
// answer is 403 or silence, and nothing arrives: packets are counted where they would arrive.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Coturn, startPeer } from './harness/coturn.mjs';
import { FORBIDDEN, GROUPS, PLANTED } from './harness/forbidden.mjs';
import { Network, RELAY } from './harness/network.mjs';
import { restCredential, startOffhook, TURN_PORT, TURN_TLS_PORT } from './harness/offhook.mjs';
import { Traps } from './harness/traps.mjs';
import { closeClients, TurnClient } from './harness/turn_client.mjs';

const LONGEST_MS = 60_000;
const PEER_PORT = 3480;
const FORBIDDEN_CODE = 403;
const FIRST_CHANNEL = 0x4000;
const props = {};

before(async () => {
  props.network = await Network.build(1, { knowRelays: true });
  for (const address of PLANTED) await props.network.add(address);
  props.traps = await Traps.set(GROUPS);
  const [room] = props.network.rooms;
  props.peers = await Promise.all([room.own.v4, room.own.v6].map((address) => startPeer(room, address, PEER_PORT)));
  Object.assign(props, await startOffhook());
}, { timeout: LONGEST_MS });

after(async () => {
  closeClients();
  await props.server?.discard();
  props.traps?.close();
  await Promise.all((props.peers ?? []).map((peer) => peer.kill()));
  await props.network?.remove();
}, { timeout: LONGEST_MS });

/** A client with an allocation of this family, at `port` of the server; it may reach whatever REST may. */
async function attacker(family, { port = TURN_PORT, credential, transport } = {}) {
  const [room] = props.network.rooms;
  const host = family === 6 ? room.server.v6 : room.server.v4;
  const client = await TurnClient.open({ host, port, transport, ca: props.server.certificate });
  return client.allocated(credential ?? (await restCredential(props.server, props.account)), { family });
}

/** Waits until everything that was sent before has been looked at: what may pass has come back from its peer. */
async function untilPassed(client, family) {
  const [room] = props.network.rooms;
  const peer = { ip: family === 6 ? room.own.v6 : room.own.v4, port: PEER_PORT };
  assert.equal(await client.permit(peer.ip), 0, 'an address that is not forbidden may be reached');
  const words = `back ${client.arrived.length}`;
  client.send(peer, words);
  await client.until('what may pass comes back', ({ data }) => data?.toString() === words);
}

let channels = FIRST_CHANNEL;

/** Tries all three ways; gives back the codes of the two that are answered. */
async function attack(client, ip, port) {
  const channel = channels++;
  const codes = [await client.permit(ip), await client.bind(channel, { ip, port })];
  client.send({ ip, port }, `Send to ${ip}`);
  client.sendChannel(channel, `ChannelData to ${ip}`);
  return codes;
}

for (const family of [4, 6]) {
  describe(`a relay of IPv${family}`, { timeout: LONGEST_MS }, () => {
    for (const [kind, addresses] of Object.entries(FORBIDDEN[family])) {
      test(`${kind}: ${addresses.join(', ')}`, async () => {
        const client = await attacker(family);
        for (const ip of addresses) {
          const codes = await attack(client, ip, props.traps.port);
          assert.deepEqual(codes, [FORBIDDEN_CODE, FORBIDDEN_CODE], `CreatePermission and ChannelBind of ${ip}`);
        }
        await untilPassed(client, family);
        assert.deepEqual(await props.traps.fallen(), []);
        client.close();
      });
    }

    test("the machine's own addresses, at any port: its services, the server's own, and nobody's", async () => {
      const client = await attacker(family);
      const [room] = props.network.rooms;
      const own = family === 6 ? [room.server.v6, RELAY.v6] : [room.server.v4, RELAY.v4];
      const ports = [props.traps.port, TURN_PORT, TURN_TLS_PORT, props.server.port, 9];
      for (const ip of own) {
        for (const port of ports) {
          const channel = channels++;
          assert.equal(await client.bind(channel, { ip, port }), FORBIDDEN_CODE, `ChannelBind of ${ip}, port ${port}`);
          client.sendChannel(channel, `ChannelData to ${ip} ${port}`);
          client.send({ ip, port }, `Send to ${ip} ${port}`);
        }
      }
      await untilPassed(client, family);
      assert.deepEqual(await props.traps.fallen(), []);
      client.close();
    });

    test('a permission for a relayed address of ours opens no way to other ports of it', async () => {
      const [client, other] = await Promise.all([attacker(family), attacker(family)]);
      assert.equal(await client.permit(other.relayed.ip), 0);
      assert.equal(await other.permit(client.relayed.ip), 0);
      for (const port of [props.traps.port, TURN_PORT, props.server.port]) {
        client.send({ ip: other.relayed.ip, port }, `Send to ${port}`);
      }
      client.send(other.relayed, 'to the relayed one');
      const came = await other.until('the other relayed address is reached', () => true);
      assert.equal(came.data.toString(), 'to the relayed one');
      assert.deepEqual(await props.traps.fallen(), []);
      client.close();
      other.close();
    });
  });
}

test('a forbidden address in a list spoils the whole request', { timeout: LONGEST_MS }, async () => {
  const client = await attacker(4);
  const [room] = props.network.rooms;
  assert.equal(await client.permit(room.own.v4, '127.0.0.1'), FORBIDDEN_CODE);
  client.send({ ip: '127.0.0.1', port: props.traps.port }, 'Send after a list');
  await untilPassed(client, 4);
  assert.deepEqual(await props.traps.fallen(), []);
  client.close();
});

test('over TCP and TLS it is no different', { timeout: LONGEST_MS }, async () => {
  for (const [transport, port] of [['tcp', TURN_PORT], ['tls', TURN_TLS_PORT]]) {
    const client = await attacker(4, { transport, port });
    const codes = await attack(client, '127.0.0.1', props.traps.port);
    assert.deepEqual(codes, [FORBIDDEN_CODE, FORBIDDEN_CODE]);
    await untilPassed(client, 4);
    assert.deepEqual(await props.traps.fallen(), []);
    client.close();
  }
});

test('the traps do catch: a server that forbids little lets packets fall in', { timeout: LONGEST_MS }, async () => {
  const [room] = props.network.rooms;
  const own = Object.values(room.server);
  const coturn = await Coturn.start(own, Object.values(RELAY), { more: ['--allow-loopback-peers'] });
  const fallen = [];
  for (const family of [4, 6]) {
    const client = await attacker(family, { port: coturn.port, credential: coturn.credential });
    // The address that may be reached comes last, and what it sends back comes after all that was sent before.
    for (const ip of PLANTED.filter((address) => address.includes(':') === (family === 6))) {
      await attack(client, ip, props.traps.port);
    }
    await untilPassed(client, family);
    fallen.push(...(await props.traps.fallen()));
    client.close();
  }
  await coturn.stop();
  for (const ip of ['127.8.8.8', '10.9.8.7', '192.168.7.7', '169.254.169.254', 'fd00::7', '64:ff9b::7f00:1', '2002:7f00:1::1']) {
    assert.ok(fallen.includes(`Send to ${ip}`), `nothing fell in by ${ip}: ${fallen.join(', ')}`);
    assert.ok(fallen.includes(`ChannelData to ${ip}`), `no ChannelData fell in by ${ip}: ${fallen.join(', ')}`);
  }
});
