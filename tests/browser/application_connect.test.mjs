// Whoever answers for a caller is asked by pages of its own before both hear each other; and files of every form are heard. By the
// unmodified SDK; what each page is told is held against docs/schemas by the webhook.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { stage } from './harness/scenario.mjs';
import { basic } from './harness/server.mjs';
import { Webhook } from './harness/webhook.mjs';

const scenario = stage();

const tone = (hz, milliseconds) => ({ tone: { frequencies_hz: [hz], milliseconds } });
const play = (...play_list) => ({ play: { play_list } });

/** A service of this scenario's own, and the pages that answer for it. */
async function application(scene, pages, test) {
  const webhook = await Webhook.listen();
  const service = scene.id('connect');
  for (const [name, actions] of Object.entries(pages)) webhook.page(name, actions);
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  try {
    await test({ webhook, service });
  } finally {
    await webhook.close();
  }
}

scenario('whoever answers hears an announcement, takes the call by a key, and both talk', (scene) => {
  const menu = { prompt: play(tone(600, 30_000)), menu_options: [{ digit: '1', next_page: { url: 'taken' } }] };
  const secondary_call = { first_page: { url: 'announce' }, final_page: { url: 'over' } };
  const connect = {
    destinations: [`webrtc:${scene.id('bob')}`],
    call_from: 'desk',
    hold_media: play(tone(440, 30_000)),
    secondary_call,
    next_page: { url: 'after' },
  };
  const pages = { first: [{ connect }], announce: [{ run_menu: menu }], taken: [], over: [], after: [play(tone(800, 30_000))] };
  return application(scene, pages, async ({ webhook, service }) => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => scene.client(name)));
    await bob.register();
    const call = await alice.callService(service);
    const incoming = await bob.incoming();
    await incoming.answer();
    await Promise.all([call.until('connected'), incoming.until('connected')]);
    const announced = await webhook.told('announce');
    const { call_direction, call_from, call_to } = announced.this_call;
    assert.deepEqual([call_direction, call_from, call_to], ['out', 'desk', bob.id]);
    await Promise.all([call.hears(440), incoming.hears(600)]);
    await incoming.press('1');
    await webhook.told('taken');
    await Promise.all([call.hearsBeeps(), incoming.hearsBeeps()]);
    await incoming.hangUp();
    const over = await webhook.told('over');
    assert.equal(over.application_instance_id, announced.application_instance_id);
    assert.equal(over.this_call.call_cause, 'hung_up');
    assert.equal((await webhook.told('after')).action_result.result.call_cause, 'completed');
    await call.hears(800);
    await call.hangUp();
    await webhook.told('final');
  });
});

scenario('compressed files are heard, and a page is told of a recording', async (scene) => {
  const names = ['tone.mp3', 'tone.flac', 'vorbis.ogg', 'opus.ogg'];
  for (const name of names) {
    const body = await readFile(new URL(`../../fuzz/corpus/compressed/${name}`, import.meta.url));
    const answer = await scene.server.request('PUT', `/v1/files/${name}`, { authorization: basic(scene.account), body });
    assert.ok([200, 201].includes(answer.status), `${name}: ${answer.status} ${answer.text}`);
  }
  // Half a second of 1,000 Hz each, many times, with another tone between.
  const repeated = (name) => play(...Array.from({ length: 20 }, () => ({ file_to_play: name })));
  const [first, ...rest] = names.map(repeated);
  const record = { seconds_max_duration: 2, next_page: { url: 'recorded' }, recording_available_page: { url: 'available' } };
  const between = rest.flatMap((next) => [play(tone(440, 30_000)), next]);
  const pages = { first: [first, ...between, { record }], recorded: [play(tone(700, 30_000))], available: [] };
  await application(scene, pages, async ({ webhook, service }) => {
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    await call.until('connected');
    for (const name of names) {
      await call.hears(1_000);
      await call.press('5');
      if (name === names.at(-1)) break;
      await call.hears(440);
      await call.press('5');
    }
    const [available, recorded] = [await webhook.told('available'), await webhook.told('recorded')];
    assert.deepEqual([available.is_notification, recorded.is_notification], [true, false]);
    assert.deepEqual(available.action_result, recorded.action_result);
    await call.hears(700);
    await call.hangUp();
    await webhook.told('final');
  });
});
