// A Chromium that has no other way than offhook's relay calls services that applications answer: it hears them, and they are
// told what it presses. The media gateway is on the machine of the relay, where nothing else may be reached.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { SipTrace } from '../browser/harness/sip_trace.mjs';
import { Webhook } from '../browser/harness/webhook.mjs';
import { Network, RELAY } from './harness/network.mjs';
import { restCredential, startOffhook, TURN_PORT, TURN_TLS_PORT } from './harness/offhook.mjs';
import { browserIn, opener, pairOf } from './harness/relayed_page.mjs';
import { closeClients, TurnClient } from './harness/turn_client.mjs';

const LONGEST_MS = 90_000;
const MEDIA_PORT = 3479;
/** Nobody has it: whatever is sent there arrives nowhere. */
const NAT = '203.0.113.77';
const [NONE, FORBIDDEN] = [0, 403];
const props = {};

before(async () => {
  props.network = await Network.build(1);
  [props.room] = props.network.rooms;
  props.open = await opener();
  props.browser = await browserIn(props.room);
}, { timeout: LONGEST_MS });

after(async () => {
  await props.browser?.close();
  await props.network?.remove();
}, { timeout: LONGEST_MS });

/** A server with a service that an application answers for. */
function scenario(title, settings, body) {
  test(title, { timeout: LONGEST_MS }, async () => {
    const { server, account } = await startOffhook(['--webhook-allow', '127.0.0.0/8', ...settings]);
    const webhook = await Webhook.listen();
    const trace = new SipTrace();
    const clients = [];
    const open = async (name) => {
      const client = { browser: props.browser, server, account, id: name, name, trace };
      clients.push(await props.open(client, { policy: 'relay', urls: '' }));
      return clients.at(-1);
    };
    try {
      webhook.secret = await server.putApplication(account, 'menu', webhook);
      await body({ server, account, webhook, open });
    } catch (error) {
      console.log(`--- ${title}: the wire as the browser saw it\n${trace}`);
      console.log(`--- ${title}: the server's last words\n${server.lastOutput()}\n---`);
      throw error;
    } finally {
      closeClients();
      await Promise.all(clients.map((client) => client.close()));
      await webhook.close();
      await server.discard();
    }
  });
}

const tone = (hz) => ({ play: { play_list: [{ tone: { frequencies_hz: [hz], milliseconds: 60_000 } }] } });

/** A page calls the service, hears it, presses keys, and hears the next page; `body` gets the page meanwhile. */
async function talk({ webhook, open }, body) {
  const next_page = { url: 'number' };
  webhook.page('first', [{ get_number: { prompt: tone(440), digit_count: 4, next_page } }]);
  webhook.page('number', [tone(1_000)]);
  const alice = await open('alice');
  const call = await alice.callService('menu');
  await call.until('connected');
  await call.hears(440);
  await call.press('1234');
  const { action_result: { result } } = await webhook.told('number');
  assert.deepEqual(result, { entered_number: '1234' });
  await call.hears(1_000);
  const pair = await pairOf(alice);
  const story = JSON.stringify(pair);
  assert.equal(pair.local.candidateType, 'relay', story);
  assert.equal(pair.remote.port, MEDIA_PORT, story);
  assert.ok(pair.bytesReceived > 0 && pair.bytesSent > 0, story);
  await body?.(alice, pair);
  await call.hangUp();
  assert.equal((await webhook.told('final')).this_call.call_cause, 'hung_up');
}

/** A TURN client beside the page, with an allocation. */
async function attacker(credential) {
  const client = await TurnClient.open({ host: props.room.server.v4, port: TURN_PORT });
  return client.allocated(credential);
}

scenario('relay alone: a service is heard, and told what is pressed', [], (scene) => talk(scene));

const natted = ['--media-listen', `${RELAY.v4}:${MEDIA_PORT}`, '--media-public', NAT];

scenario('relay alone, behind a NAT that does not lead back: a service is heard', natted, (scene) =>
  talk(scene, (alice, { remote }) => assert.equal(remote.address, NAT)));

scenario("the credential of such a call reaches the gateway's port and no other; the web service's does not reach it", [], (scene) =>
  talk(scene, async (alice) => {
    const thief = await attacker(await alice.page.evaluate(() => {
      const [{ username, credential }] = window.watched.connections.at(-1).getConfiguration().iceServers;
      return { username, credential };
    }));
    let channel = 0x4000;
    const bind = (client, ip, port) => client.bind((channel += 1), { ip, port });
    const addresses = [props.room.server.v4, RELAY.v4];
    for (const ip of addresses) {
      for (const port of [22, 443, TURN_PORT, TURN_TLS_PORT, MEDIA_PORT + 1, 20_000]) {
        assert.equal(await bind(thief, ip, port), FORBIDDEN, `${ip}:${port}`);
      }
      assert.equal(await bind(thief, ip, MEDIA_PORT), NONE, ip);
    }
    assert.equal(await thief.permit('127.0.0.1'), FORBIDDEN);
    const other = await attacker(await restCredential(scene.server, scene.account));
    for (const ip of addresses) assert.equal(await bind(other, ip, MEDIA_PORT), FORBIDDEN, ip);
    assert.equal(await other.permit(props.room.server.v4), FORBIDDEN);
  }));
