// A number is heard by callers that nobody has answered: by SIPp, which is told its SDP once and the same again, and by a browser.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { scenario } from './harness/trunk_stage.mjs';

const HZ = 700;
const CALLED = '+447700900123';

/** A number that is heard before it answers, and the page that connects whoever calls with it. */
async function number(stage, ...after) {
  const far = await stage.sound();
  const telephone = await stage.earlyPhone(far);
  await stage.open();
  const connect = { destinations: [`tel:${CALLED}`], pass_early_media: true, next_page: { url: 'after' } };
  stage.webhook.page('first', [{ connect }]).page('after', after);
  return { far, telephone };
}

/** A telephone calls, hears the number and is heard by it, while nobody has answered. */
async function hears(stage, call, caller) {
  const near = await stage.sound();
  const phone = await stage.caller(caller, { sound_port: near.port });
  await call.telephone.hears('INVITE');
  await near.says(0x34, 0xb4);
  await call.far.says(0x2a, 0xaa);
  await Promise.all([call.far.hears(0x34, 0xb4, 25), near.hears(0x2a, 0xaa, 25)]);
  assert.equal((await stage.calls()).some(({ answered }) => answered), false, 'nobody has answered');
  return phone;
}

const ended = (stage, count) =>
  eventually('every call has an end', async () => {
    const calls = await stage.calls();
    return calls.length === count && calls.every(({ status }) => status !== null) && calls;
  });

async function answered(stage, caller) {
  const call = await number(stage);
  const phone = await hears(stage, call, caller);
  call.telephone.answer();
  await call.telephone.hears('ACK');
  await eventually('the caller knows that it is answered', async () => (await phone.messages()).includes('\nACK '));
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([phone.verdict(), call.telephone.hears('BYE')]);
  assert.equal((await ended(stage, 2)).every((call) => call.answered), true, 'both were answered');
}

scenario('a telephone that nobody has answered hears a number, and is answered with the same SDP', (stage) =>
  answered(stage, 'trunk_early_caller'));

scenario('a telephone wants what it hears early to arrive: PRACK', (stage) => answered(stage, 'trunk_reliable_caller'));

scenario('a number that was heard is busy: its caller is refused, and was never answered', async (stage) => {
  const call = await number(stage, { reject: { cause: 'busy' } });
  const phone = await hears(stage, call, 'trunk_unanswered_caller');
  call.telephone.refuse('486 Busy Here');
  await phone.verdict();
  const told = await stage.webhook.told('after');
  assert.deepEqual([told.this_call.call_state, told.action_result.result.call_cause], ['inbound', 'busy']);
  assert.deepEqual((await ended(stage, 2)).map(({ status }) => status), [486, 486]);
});

scenario('a browser that nobody has answered hears a number, and is answered by it', async (stage) => {
  const { far, telephone } = await number(stage);
  const alice = await stage.client('alice');
  const call = await alice.callService('ivr');
  await telephone.hears('INVITE');
  await far.saysTone(HZ);
  await call.hears(HZ);
  await far.receives(25);
  assert.equal((await stage.calls()).some(({ answered }) => answered), false, 'nobody has answered');
  telephone.answer();
  await call.until('connected');
  await telephone.hears('ACK');
  await call.hears(HZ);
  await call.hangUp();
  await telephone.hears('BYE');
  await ended(stage, 2);
});
