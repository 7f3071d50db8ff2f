// Kamailio is the peer of a trunk, and SIPp is behind it: a proxy by the book stays in the way of each call, both ways.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { CALLER, scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';
const tone = (milliseconds) => ({ play: { play_list: [{ tone: { frequencies_hz: [440], milliseconds } }] } });

/** A server behind the proxy, which is found to be there. */
async function behind(stage) {
  await stage.open('check_s = 5');
  await stage.proxy();
  await eventually('the proxy is there', async () => (await stage.status()).peer !== null);
}

scenario('a number is called through Kamailio, and the application hangs up', async (stage) => {
  await behind(stage);
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(1_500)]);
  const caller = await stage.caller('trunk_caller', { sound_port: sound.port });
  assert.equal((await stage.webhook.told('first')).this_call.call_from, CALLER);
  await sound.receives(50);
  await caller.verdict();
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'completed');
});

scenario('a caller behind Kamailio gives up: 487', async (stage) => {
  await behind(stage);
  const sound = await stage.sound();
  let answer;
  stage.webhook.page('first', () => new Promise((resolve) => { answer = resolve; }));
  const caller = await stage.caller('trunk_cancelling_caller', { sound_port: sound.port });
  await caller.verdict();
  answer([]);
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'hung_up');
});

scenario('an application calls a number through Kamailio, and sound passes both ways', async (stage) => {
  await behind(stage);
  const [near, far] = [await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const peer = await stage.peer('trunk_routed_callee', { sound_port: far.port });
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await near.says(0x34, 0xb4);
  await far.says(0x2a, 0xaa);
  await Promise.all([far.hears(0x34, 0xb4, 25), near.hears(0x2a, 0xaa, 25)]);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([peer.verdict(), caller.verdict()]);
  const messages = await peer.messages();
  for (const method of ['ACK', 'BYE']) assert.match(messages, new RegExp(`^${method} sip:gw@[^]*?^Via: SIP/2.0/UDP 127.0.0.1:${stage.peerPort};`, 'm'));
});
