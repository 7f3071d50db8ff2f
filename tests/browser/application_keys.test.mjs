// Keys towards applications, by the unmodified SDK: menus, entries, and what is pressed before anybody asks. What each page is told is held
// against docs/schemas by the webhook.
import assert from 'node:assert/strict';

import { stage } from './harness/scenario.mjs';
import { Webhook } from './harness/webhook.mjs';

const scenario = stage();

const tone = (hz, milliseconds) => ({ tone: { frequencies_hz: [hz], milliseconds } });
const play = (...play_list) => ({ play: { play_list } });

/** A call to pages of this scenario's own, once it is answered. */
async function called(scene, pages, test) {
  const webhook = await Webhook.listen();
  const service = scene.id('keys');
  for (const [name, actions] of Object.entries(pages)) webhook.page(name, actions);
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  try {
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    await call.until('connected');
    await test({ call, webhook });
    await webhook.told('final');
  } finally {
    await webhook.close();
  }
}

scenario('a menu: a key without an option has its message, and one with an option its page', (scene) => {
  const run_menu = {
    prompt: play(tone(440, 30_000)),
    menu_options: [{ digit: '2', next_page: { url: 'two' } }],
    on_invalid_digit_messages: [play(tone(700, 30_000))],
  };
  return called(scene, { first: [{ run_menu }], two: [play(tone(1_000, 30_000))] }, async ({ call, webhook }) => {
    await call.hears(440);
    await call.press('9');
    await call.hears(700);
    await call.press('2');
    const { action_result: result } = await webhook.told('two');
    assert.deepEqual(result, { action: 'run_menu', result: { selected_digit: '2' } });
    await call.hears(1_000);
    await call.hangUp();
  });
});

scenario('keys that are pressed early are the first of an entry, whose prompt is not heard', (scene) => {
  const entry = { prompt: play(tone(700, 30_000)), digit_input_options: { digit_count: 3 }, next_page: { url: 'input' } };
  const pages = { first: [play(tone(440, 30_000)), { get_input: entry }], input: [play(tone(1_000, 30_000))] };
  return called(scene, pages, async ({ call, webhook }) => {
    await call.hears(440);
    await call.press('789');
    const { action_result: result } = await webhook.told('input');
    assert.deepEqual(result, { action: 'get_input', result: { digit_input: '789' } });
    await call.hears(1_000);
    await call.hangUp();
  });
});

scenario('an entry without a key goes on with the next action, and asks no page', (scene) => {
  const get_input = { prompt: play(tone(440, 500)), next_page: { url: 'input' } };
  return called(scene, { first: [{ get_input }, play(tone(800, 30_000))] }, async ({ call }) => {
    await call.hears(440);
    await call.hears(800);
    await call.hangUp();
  });
});

scenario('a play that no key ends loses the keys', (scene) => {
  const deaf = { play: { play_list: [tone(440, 2_000)], barge_in_on_digit: false } };
  const get_number = { digit_count: 2, milliseconds_initial_timeout: 500, next_page: { url: 'number' } };
  return called(scene, { first: [deaf, { get_number }], number: [] }, async ({ call, webhook }) => {
    await call.hears(440);
    await call.press('12');
    const { action_result: result } = await webhook.told('number');
    assert.deepEqual(result, { action: 'get_number', result: { entered_number: '' } });
    assert.equal(await call.ended(), 'NORMAL');
  });
});
