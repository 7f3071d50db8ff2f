// SIPp is the peer of a trunk that an application calls a number by: sound both ways, challenges, proxies, registration. What it
// must see is written in scenarios/trunk_*.xml.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { eventually } from '../browser/harness/bounded.mjs';
import { CALLER, scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';
const LOGIN = ['user = "44207"', 'password = "s3cret word"'];

/** A call that the application connects to a number: the caller and who is called, each with an end of RTP. */
async function connected(stage, callee, extra = {}, before = []) {
  const [near, far] = [await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [...before, { connect: { destinations: [`tel:${CALLED}`], next_page: { url: 'after' }, ...extra } }]);
  const peer = await stage.peer(callee, { sound_port: far.port });
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  return { near, far, peer, caller, instance: (await stage.webhook.told('first')).application_instance_id };
}

/** Sound passes both ways, and the application ends the call. */
async function talk(stage, { near, far, peer, caller, instance }) {
  await near.says(0x34, 0xb4);
  await far.says(0x2a, 0xaa);
  await Promise.all([far.hears(0x34, 0xb4, 25), near.hears(0x2a, 0xaa, 25)]);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([peer.verdict(), caller.verdict()]);
}

scenario('an application connects a caller to a number, and sound passes both ways', async (stage) => {
  await stage.open();
  await talk(stage, await connected(stage, 'trunk_callee'));
  const calls = await eventually('both calls have records with an end', async () => {
    const calls = await stage.calls();
    return calls.length === 2 && calls.every(({ status }) => status !== null) && calls;
  });
  const out = calls.find(({ callee_trunk: trunk }) => trunk === 'provider');
  assert.deepEqual([out.caller, out.callee, out.status], [CALLER, CALLED, 200]);
});

scenario('whoever is called hangs up, and the application goes on', async (stage) => {
  await stage.open();
  stage.webhook.page('after', [{ hang_up: {} }]);
  const { peer, caller } = await connected(stage, 'trunk_leaving_callee');
  const { result } = (await stage.webhook.told('after')).action_result;
  assert.equal(result.call_cause, 'completed');
  await Promise.all([peer.verdict(), caller.verdict()]);
});

scenario('whoever is called is behind proxies, and plays something before it answers', async (stage) => {
  await stage.open();
  await talk(stage, await connected(stage, 'trunk_proxied_callee'));
});

scenario('whoever is called is heard and hears before it answers, where that is wanted', async (stage) => {
  await stage.open();
  await talk(stage, await connected(stage, 'trunk_early_callee', { pass_early_media: true }, [{ answer: {} }]));
  const calls = await eventually('both calls have records with an end', async () => {
    const calls = await stage.calls();
    return calls.length === 2 && calls.every(({ status }) => status !== null) && calls;
  });
  const out = calls.find(({ callee_trunk: trunk }) => trunk === 'provider');
  assert.equal(out.status, 487, 'it has never answered');
});

scenario('whoever is called wants its early answer to arrive: PRACK', async (stage) => {
  await stage.open();
  await talk(stage, await connected(stage, 'trunk_reliable_callee'));
});

scenario('a call is challenged by whoever is called: 401', async (stage) => {
  await stage.open(...LOGIN);
  await talk(stage, await connected(stage, 'trunk_challenging_callee'));
});

scenario('a call is challenged by a proxy: 407', async (stage) => {
  await stage.open(...LOGIN);
  const call = await connected(stage, 'trunk_challenging_proxy');
  await talk(stage, call);
  const row = /^Proxy-Authorization: *Digest (.*)$/m.exec(await call.peer.messages())[1];
  const told = Object.fromEntries([...row.matchAll(/(\w+)="?([^",\r]*)"?/g)].map(([, name, value]) => [name, value]));
  const md5 = (text) => createHash('md5').update(text).digest('hex');
  const [who, what] = [md5('44207:provider.example:s3cret word'), md5(`INVITE:${told.uri}`)];
  assert.equal(told.response, md5([who, told.nonce, told.nc, told.cnonce, told.qop, what].join(':')));
  assert.deepEqual([told.opaque, told.nc, told.qop], ['5ccc', '00000001', 'auth']);
});

scenario('a registrar challenges, is told the password, and is left when the server stops', async (stage) => {
  const registrar = await stage.peer('trunk_registrar');
  await stage.open(...LOGIN, 'register = true');
  await eventually('the trunk is registered', async () => (await stage.status()).is_registered);
  assert.equal((await stage.status()).refused, null);
  await stage.server.stop();
  await registrar.verdict();
});

scenario('a registrar that refuses is told by status', async (stage) => {
  const registrar = await stage.peer('trunk_refusing_registrar');
  await stage.open(...LOGIN, 'register = true');
  await registrar.verdict();
  await eventually('the refusal is told', async () => (await stage.status()).refused === 403);
  assert.equal((await stage.status()).is_registered, false);
});
