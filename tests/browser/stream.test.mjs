// The unmodified SDK calls a service whose application streams to a bot: both hear each other, keys and marks pass, and every end is told.
import assert from 'node:assert/strict';

import { Bot } from './harness/bot.mjs';
import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';
import { Webhook } from './harness/webhook.mjs';

const scenario = stage({ whole: true });
const play = (hz) => ({ play: { play_list: [{ tone: { frequencies_hz: [hz], milliseconds: 30_000 } }] } });

/** A caller who talks with a bot. */
async function streaming(scene, wish, test) {
  const webhook = await Webhook.listen();
  const service = scene.id('bot');
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  const bot = await Bot.listen(webhook.secret);
  try {
    webhook.page('first', [{ stream: { url: bot.address, next_page: { url: 'after' }, ...wish } }]);
    webhook.page('after', [play(600)]).page('error', [play(500)]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    await call.until('connected');
    const start = await bot.told('start');
    await test({ webhook, bot, call, start, alice });
  } finally {
    await bot.stop();
    await webhook.close();
  }
}

for (const rate of [8_000, 16_000]) {
  scenario(`a caller and a bot hear each other (${rate} Hz); keys, marks and what is cleared; the bot ends with a result`, (scene) =>
    streaming(scene, { sample_rate: rate }, async ({ webhook, bot, call, start, alice }) => {
      assert.deepEqual([start.sample_rate, start.this_call.call_from], [rate, alice.id]);
      const { application_instance_id: instance } = await webhook.told('first');
      assert.equal(start.application_instance_id, instance);
      bot.sings(1_000, 20);
      bot.tell({ event: 'mark', name: 'sung' });
      await call.hears(1_000);
      // The fake microphone beeps about once a second.
      await eventually('the bot hears beeps', () => bot.heard.filter((sample) => Math.abs(sample) > 1_000).length > rate / 50);
      assert.deepEqual([...bot.sizes], [rate / 25], 'frames of 20 ms');
      await call.press('5#');
      assert.equal((await bot.told('digit')).digit, '5');
      assert.equal((await bot.told('digit')).digit, '#');
      bot.tell({ event: 'clear' });
      assert.deepEqual([(await bot.told('mark')).played], [false]);
      bot.sings(800, 2);
      bot.tell({ event: 'mark', name: 'again' });
      await call.hears(800);
      assert.deepEqual([(await bot.told('mark')).played], [true]);
      bot.tell({ event: 'end', result: { intent: 'sales' } });
      const { action_result: told } = await webhook.told('after');
      assert.deepEqual([told.action, told.result.cause, told.result.result], ['stream', 'ended', { intent: 'sales' }]);
      await call.hears(600);
      await call.hangUp();
      await webhook.told('final');
    }));
}

scenario('a bot says goodbye, breaks the rules, and is hung up on', async (scene) => {
  await streaming(scene, {}, async ({ webhook, bot, call }) => {
    bot.close();
    assert.equal((await webhook.told('after')).action_result.result.cause, 'closed');
    await call.hears(600);
    await call.hangUp();
  });
  await streaming(scene, {}, async ({ webhook, bot, call }) => {
    bot.tell({ event: 'dance' });
    const { error_result: error } = await webhook.told('error');
    assert.equal(error.action, 'stream');
    assert.match(error.result, /ws:\/\/127.*`dance`/);
    await call.hears(500);
    await call.hangUp();
  });
  await streaming(scene, {}, async ({ webhook, bot, call }) => {
    await call.hangUp();
    assert.equal((await bot.told('end')).cause, 'call_ended');
    await bot.told('(gone)');
    assert.equal((await webhook.told('final')).this_call.call_cause, 'hung_up');
  });
});
