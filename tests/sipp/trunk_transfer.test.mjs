// SIPp has calls transferred: by REFER, and by an INVITE with Replaces, which takes the place of a call.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';

/** The dialog of a caller that talks: what a Replaces names for the server. */
async function dialog(caller) {
  const [callId, own, theirs] = await eventually('the caller has its answer', async () => {
    const answer = /SIP\/2\.0 200 OK[^]*?\r?\n\r?\n/.exec(await caller.messages().catch(() => ''))?.[0];
    const row = (name) => new RegExp(`^${name}: *(.*?)\r?$`, 'm').exec(answer)?.[1];
    return answer && [row('Call-ID'), /;tag=([^;\s]+)/.exec(row('To'))[1], /;tag=([^;\s]+)/.exec(row('From'))[1]];
  });
  return `${callId};to-tag=${own};from-tag=${theirs}`;
}

const ended = (stage, count) =>
  eventually('every call has an end', async () => {
    const calls = await stage.calls();
    return calls.length === count && calls.every(({ status }) => status !== null) && calls;
  });

scenario('a caller is let go when somebody has taken its place', async (stage) => {
  await stage.open('transfer = "own"');
  stage.webhook.page('first', [{ answer: {} }, { sleep: { seconds: 30 } }]);
  const peer = await stage.peer('trunk_leaving_callee', { sound_port: (await stage.sound()).port });
  const caller = await stage.caller('trunk_referring_caller', { sound_port: (await stage.sound()).port, refer_to: `tel:${CALLED}` });
  await Promise.all([peer.verdict(), caller.verdict()]);
  const [call] = (await ended(stage, 2)).filter(({ service, callee }) => service === 'ivr' && callee !== CALLED);
  assert.equal(call.reason, `transferred to ${CALLED}`);
});

scenario('an INVITE takes the place of a call, and sound passes both ways', async (stage) => {
  await stage.open();
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const [before, near, far] = [await stage.sound(), await stage.sound(), await stage.sound()];
  const peer = await stage.peer('trunk_callee', { sound_port: far.port });
  const first = await stage.caller('trunk_caller', { sound_port: before.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await before.says(0x34, 0xb4);
  await far.hears(0x34, 0xb4, 25);
  const replaces = await dialog(first);
  const second = await stage.caller('trunk_replacing_caller', { sound_port: near.port, replaces });
  await first.verdict();
  await far.says(0x2a, 0xaa);
  await near.says(0x35, 0xb5);
  await Promise.all([far.hears(0x35, 0xb5, 25), near.hears(0x2a, 0xaa, 25)]);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([peer.verdict(), second.verdict()]);
});
