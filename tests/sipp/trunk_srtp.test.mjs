// Trunks whose sound is protected with keys in SIP by TLS: baresip, which speaks SRTP and nothing else, calls and is called.
import assert from 'node:assert/strict';

import { eventually } from '../browser/harness/bounded.mjs';
import { scenario } from './harness/trunk_stage.mjs';

const CALLED = '+447700900123';
const HZ = 700;
const WAV_HEAD_BYTES = 44;

const tone = (hz, milliseconds) => ({ play: { play_list: [{ tone: { frequencies_hz: [hz], milliseconds } }] } });

/** How often samples change sign in a second. */
function crossings(samples, rate) {
  let count = 0;
  for (let at = 1; at < samples.length; at += 1) count += samples[at - 1] < 0 !== samples[at] < 0 ? 1 : 0;
  return (count * rate) / samples.length;
}

/** Nobody's keys stand in what the server has said, or shows of calls. */
async function tellsNoKeys(stage) {
  const told = [stage.server.lastOutput(), JSON.stringify(await stage.calls()), JSON.stringify(await stage.server.status())];
  for (const text of told) assert.doesNotMatch(text, /inline:|a=crypto/);
}

scenario('a telephone with SRTP that an application calls is heard, and hears', async (stage) => {
  // The caller beside it speaks plain RTP.
  await stage.open('media = "srtp-or-rtp"');
  const near = await stage.sound();
  const telephone = await stage.telephone(CALLED, HZ, { secret: true });
  stage.webhook.page('first', [{ connect: { destinations: [`tel:${CALLED}`] } }]);
  const caller = await stage.caller('trunk_caller', { sound_port: near.port });
  const { application_instance_id: instance } = await stage.webhook.told('first');
  await near.says(0x34, 0xb4);
  await Promise.all([near.hearsTone(HZ, 25), telephone.hearsLoud(2_000)]);
  assert.match(telephone.printed, /AEAD_AES_128_GCM/);
  await stage.server.interrupt(stage.account, instance);
  await caller.verdict();
  const { counters } = await stage.server.status();
  assert.equal(counters.media_datagrams_dropped_forged, 0);
  await tellsNoKeys(stage);
}, 'tls');

scenario('a telephone with SRTP calls a number: it hears a tone, and is recorded', async (stage) => {
  await stage.open('media = "srtp"');
  stage.webhook.page('first', [tone(440, 2_000), { record: { seconds_max_duration: 2, next_page: { url: 'recorded' } } }]);
  stage.webhook.page('recorded', []);
  const telephone = await stage.callingTelephone(CALLED, HZ);
  const { result } = (await stage.webhook.told('recorded')).action_result;
  assert.ok(result.contains_sound, JSON.stringify(result));
  const file = await eventually('the recording is kept', () => stage.server.file(stage.account, result.filename).catch(() => null));
  const recorded = [];
  for (let at = WAV_HEAD_BYTES; at + 1 < file.length; at += 2) recorded.push(file.readInt16LE(at));
  const rate = file.readUInt32LE(24);
  assert.ok(Math.abs(crossings(recorded, rate) - 2 * HZ) < 60, `${crossings(recorded, rate)} crossings a second`);
  assert.match(telephone.printed, /AES_CM_128_HMAC_SHA1_80|AEAD_AES_128_GCM/);
  const heard = await telephone.heard();
  const loud = heard.filter((sample) => Math.abs(sample) > 1_000).length;
  assert.ok(loud > 2_000, `${loud} of ${heard.length} samples are loud`);
  await tellsNoKeys(stage);
}, 'tls');

scenario('a call that offers plain RTP where it must be protected: 488', async (stage) => {
  await stage.open('media = "srtp"');
  stage.webhook.page('first', [tone(440, 2_000)]);
  const caller = await stage.caller('trunk_plain_caller', { sound_port: 9 });
  await caller.verdict();
}, 'tls');
