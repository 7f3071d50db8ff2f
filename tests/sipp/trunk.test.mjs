// SIPp is the peer of a trunk, by UDP and with plain RTP: it calls a number, an application answers, and how that ends. What it
// must see is written in scenarios/trunk_*.xml.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { CALLER, NUMBER, scenario } from './harness/trunk_stage.mjs';

const tone = (milliseconds) => ({ play: { play_list: [{ tone: { frequencies_hz: [440], milliseconds } }] } });

/** The record of the only call, once it has ended. */
async function record(stage) {
  const [call, ...others] = await eventually('the call has a record with an end', async () => {
    const calls = await stage.calls();
    return calls.length > 0 && calls.every(({ status }) => status !== null) && calls;
  });
  assert.deepEqual(others, []);
  return call;
}

scenario('a number reaches its application, which plays a tone by plain RTP and hangs up', async (stage) => {
  await stage.open();
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(1_500)]);
  const caller = await stage.caller('trunk_caller', { sound_port: sound.port });
  const { this_call: told } = await stage.webhook.told('first');
  assert.deepEqual([told.call_from, told.call_to, told.call_target], [CALLER, NUMBER, 'ivr']);
  assert.deepEqual([told.call_state, told.call_direction], ['inbound', 'in']);
  await sound.receives(50);
  await caller.verdict();
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'completed');
  const call = await record(stage);
  assert.deepEqual([call.caller, call.caller_trunk, call.service, call.status], [CALLER, 'provider', 'ivr', 200]);
});

scenario('an action that nobody knows is in the log, and the call ends', async (stage) => {
  await stage.open();
  stage.webhook.page('first', [{ dance: {} }]);
  await stage.caller('trunk_caller', { sound_port: 9 });
  await stage.webhook.told('first');
  await record(stage);
  const line = await eventually('the log has it', () => /WARN .*the application failed.*/.exec(stage.server.lastOutput())?.[0]);
  assert.match(line, /first: the answer is no page: unknown variant `dance`/);
  assert.doesNotMatch(line, new RegExp(CALLER.replace('+', '')));
});

scenario('the peer holds a call, takes it back, and hangs up', async (stage) => {
  await stage.open();
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(60_000)]);
  const caller = await stage.caller('trunk_holding_caller', { sound_port: sound.port });
  await caller.verdict();
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'hung_up');
  assert.equal((await record(stage)).status, 200);
});

scenario('the answer is lost once: the same comes again, and it is one call', async (stage) => {
  await stage.open();
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(1_500)]);
  const caller = await stage.caller('trunk_deaf_caller', { sound_port: sound.port }, { words: ['-nr'] });
  await caller.verdict();
  await stage.webhook.told('first');
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'completed');
  assert.equal((await record(stage)).status, 200);
});

scenario('the peer cancels while the application is asked: 487', async (stage) => {
  await stage.open();
  const sound = await stage.sound();
  let answer;
  stage.webhook.page('first', () => new Promise((resolve) => {
    answer = () => resolve([tone(1_500)]);
  }));
  const caller = await stage.caller('trunk_cancelling_caller', { sound_port: sound.port });
  await stage.webhook.told('first');
  await caller.verdict();
  answer();
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'hung_up');
  assert.equal((await record(stage)).status, 487);
  assert.equal(sound.count(), 0);
});

scenario('a number that leads nowhere: 404', async (stage) => {
  await stage.open();
  const caller = await stage.caller('trunk_refused_caller', { called: '+442079460002', sound_port: 9 });
  await caller.verdict();
});

scenario('a stranger gets no answer, and is counted', async (stage) => {
  await stage.open();
  const stranger = await stage.caller('trunk_stranger', { sound_port: 9 }, { from: '127.0.0.2' });
  await stranger.verdict();
  const { counters, trunk_strangers: strangers } = await stage.server.status();
  assert.equal(counters.trunk_datagrams_dropped_unknown_source, 1);
  assert.match(strangers.join(), /^127\.0\.0\.2:[0-9]+$/);
  assert.deepEqual(await stage.calls(), []);
});

scenario('an INVITE as providers send it: two proxies, compact rows, Record-Route', async (stage) => {
  await stage.open('trusted = true');
  const sound = await stage.sound();
  stage.webhook.page('first', [tone(500)]);
  const caller = await stage.caller('trunk_proxied_caller', { sound_port: sound.port });
  assert.equal((await stage.webhook.told('first')).this_call.call_from, CALLER);
  await caller.verdict();
  assert.equal((await stage.webhook.told('final')).this_call.call_cause, 'completed');
});
