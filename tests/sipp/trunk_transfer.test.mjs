// SIPp has calls transferred: by REFER, and by an INVITE with Replaces, which takes the place of a call.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { CALLER, freePort, scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';

/** What a Replaces names for the server, of a message that has a tag of its own in this row, and of the peer's in the other one. */
async function named(sipp, message, own, theirs) {
  const [callId, ...tags] = await eventually('there is a dialog', async () => {
    const told = message.exec(await sipp.messages().catch(() => ''))?.[0];
    const row = (name) => new RegExp(`^${name}: *(.*?)\r?$`, 'm').exec(told)?.[1];
    return told && [row('Call-ID'), ...[own, theirs].map((name) => /;tag=([^;\s]+)/.exec(row(name))[1])];
  });
  return `${callId};to-tag=${tags[0]};from-tag=${tags[1]}`;
}

/** The dialog of a caller that talks. */
const dialog = (caller) => named(caller, /SIP\/2\.0 200 OK[^]*?\r?\n\r?\n/, 'To', 'From');

/** The dialog of whoever was called and talks. */
const calledDialog = (callee) => named(callee, /SIP\/2\.0 200 OK[^]*?\r?\n\r?\n/, 'From', 'To');

/** Has a telephone that was called say a tone at once, to where its INVITE has told it to. */
async function sings(sound, sipp, hz) {
  const [, port] = /^m=audio ([0-9]+) /m.exec(await sipp.messages());
  sound.knows(Number(port));
  await sound.saysTone(hz);
}

/** The address of a REFER that is to join this dialog with the one that it is sent in. */
const joining = (replaces) => `sip:whoever@127.0.0.1?Replaces=${encodeURIComponent(replaces)}`;

/** Another trunk of the account, whose peer is at this port. */
const another = (port) => `[[trunk]]\naccount = "1-2-0/a@b.c"\nname = "other"\npeers = ["127.0.0.1:${port}"]\ncheck_s = 0`;

/** What connects whoever calls with the peer of that trunk, and answers when that has. */
const connectOther = (port) => ({
  connect: { destinations: [`sip:${CALLED}@127.0.0.1:${port}`], pass_early_media: true, next_page: { url: 'after' } },
});

/** Waits until a call to this trunk has been answered. */
const answered = (stage, trunk) =>
  eventually(`the call to the trunk ${trunk} is answered`, async () =>
    (await stage.calls()).some(({ callee_trunk: of, answered: at }) => of === trunk && at !== null));

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

scenario('a telephone holds one call, makes another and joins both: the far ends hear each other, and it is let go', async (stage) => {
  const port = await freePort();
  await stage.open(another(port));
  const [held, consulting, one, other] = [await stage.sound(), await stage.sound(), await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const first = await stage.peer('trunk_callee', { sound_port: one.port });
  const holding = await stage.caller('trunk_held_caller', { sound_port: held.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await answered(stage, 'provider');
  const refer_to = joining(await dialog(holding));
  stage.webhook.page('first', [connectOther(port)]);
  stage.peerPort = port;
  const second = await stage.peer('trunk_callee', { sound_port: other.port });
  const joins = await stage.caller('trunk_referring_caller', { sound_port: consulting.port, refer_to });
  await Promise.all([holding.verdict(), joins.verdict()]);
  await Promise.all([sings(one, first, 700), sings(other, second, 1_100)]);
  await Promise.all([one.hearsTone(1_100, 25), other.hearsTone(700, 25)]);
  await stage.server.interrupt(stage.account, instance);
  const { result } = (await stage.webhook.told('after')).action_result;
  assert.equal(result.call_cause, 'completed', 'the other application goes on');
  await Promise.all([first.verdict(), second.verdict()]);
  const reasons = (await ended(stage, 4)).map(({ reason }) => reason);
  assert.equal(reasons.filter((reason) => reason === `transferred to ${CALLED}`).length, 2);
});

scenario('a browser that a telephone has talked with is joined with another telephone: both hear each other', async (stage) => {
  const port = await freePort();
  await stage.open(another(port));
  const [near, consulting, far] = [await stage.sound(), await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`], call_from: CALLER, next_page: { url: 'after' } } }]);
  const talking = await stage.peer('trunk_callee', { sound_port: near.port });
  const alice = await stage.client('alice');
  const call = await alice.callService('ivr');
  await call.until('connected');
  await near.hearsLoud(5);
  const refer_to = joining(await calledDialog(talking));
  stage.webhook.page('first', [connectOther(port)]);
  stage.peerPort = port;
  const second = await stage.peer('trunk_callee', { sound_port: far.port });
  const joins = await stage.caller('trunk_referring_caller', { sound_port: consulting.port, refer_to });
  await Promise.all([talking.verdict(), joins.verdict()]);
  await sings(far, second, 700);
  await Promise.all([call.hears(700), far.hearsLoud(5)]);
  await call.hangUp();
  await second.verdict();
  const { result } = (await stage.webhook.told('after')).action_result;
  assert.equal(result.call_cause, 'completed', 'the application of the other call goes on');
});

scenario('a call that still rings is joined with none: the telephone is told 603, and its other call goes on', async (stage) => {
  const port = await freePort();
  await stage.open(another(port));
  const [near, consulting, far] = [await stage.sound(), await stage.sound(), await stage.sound()];
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const callee = await stage.peer('trunk_callee', { sound_port: far.port });
  const talking = await stage.caller('trunk_caller', { sound_port: near.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await answered(stage, 'provider');
  const refer_to = joining(await dialog(talking));
  const { connect } = connectOther(port);
  stage.webhook.page('first', [{ connect: { ...connect, pass_early_media: false } }]);
  stage.peerPort = port;
  const ringing = await stage.peer('trunk_ringing_callee');
  const joins = await stage.caller('trunk_declined_referrer', { sound_port: consulting.port, refer_to });
  const { application_instance_id: alone } = await stage.webhook.told('first');
  await eventually('it is told 603', async () => /^SIP\/2\.0 603 Decline/m.test(await joins.messages().catch(() => '')));
  await eventually('the other rings', async () => /^SIP\/2\.0 180 /m.test(await ringing.messages().catch(() => '')));
  await stage.server.interrupt(stage.account, alone);
  await Promise.all([joins.verdict(), ringing.verdict()]);
  await sings(far, callee, 700);
  await near.hearsTone(700, 25);
  await near.saysTone(1_100);
  await far.hearsTone(1_100, 25);
  await stage.server.interrupt(stage.account, instance);
  await Promise.all([talking.verdict(), callee.verdict()]);
});
