// A bot by `wss:`: it is streamed to where an authority that the operator names vouches for it by its name, and else not.
import assert from 'node:assert/strict';
import { after } from 'node:test';

import { Authority } from './harness/authority.mjs';
import { Bot } from './harness/bot.mjs';
import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';
import { Webhook } from './harness/webhook.mjs';

const [known, stranger] = await Promise.all(['an authority that is known', 'another authority'].map((name) => Authority.make(name)));
after(() => Promise.all([known.discard(), stranger.discard()]));
const scenario = stage({ whole: true, environment: { SSL_CERT_FILE: known.path } });
const play = (hz) => ({ play: { play_list: [{ tone: { frequencies_hz: [hz], milliseconds: 30_000 } }] } });

/** Calls a service that streams to a bot with this identity. */
async function calling(scene, identity, test) {
  const webhook = await Webhook.listen();
  const service = scene.id('bot');
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  const bot = await Bot.listen(webhook.secret, identity);
  try {
    webhook.page('first', [{ stream: { url: bot.address, next_page: { url: 'after' } } }]);
    webhook.page('after', [play(600)]).page('error', [play(500)]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    await call.until('connected');
    await test({ webhook, bot, call });
    await call.hangUp();
  } finally {
    await bot.stop();
    await webhook.close();
  }
}

scenario('a caller and a bot by wss: hear each other, and the bot ends with a result', async (scene) =>
  calling(scene, await known.identity('IP:127.0.0.1'), async ({ webhook, bot, call }) => {
    await bot.told('start');
    bot.sings(1_000, 20);
    await call.hears(1_000);
    // The fake microphone beeps about once a second.
    await eventually('the bot hears beeps', () => bot.heard.filter((sample) => Math.abs(sample) > 1_000).length > 160);
    bot.tell({ event: 'clear' });
    bot.tell({ event: 'end', result: { intent: 'sales' } });
    const { action_result: told } = await webhook.told('after');
    assert.deepEqual([told.result.cause, told.result.result], ['ended', { intent: 'sales' }]);
    await call.hears(600);
  }));

for (const [whose, authority, name, why] of [
  ['for another name', known, 'DNS:bot.example', /not valid for name/],
  ['that nobody vouches for', stranger, 'IP:127.0.0.1', /UnknownIssuer/],
]) {
  scenario(`a bot with a certificate ${whose} is told nothing, and the error page is asked`, async (scene) =>
    calling(scene, await authority.identity(name), async ({ webhook, bot, call }) => {
      const { error_result: error } = await webhook.told('error');
      assert.equal(error.action, 'stream');
      assert.ok(error.result.startsWith(`the application at ${bot.address} cannot be reached: TLS fails: `), error.result);
      assert.match(error.result, why);
      assert.equal(bot.rate, 0, 'nothing was said to it');
      await call.hears(500);
    }));
}
