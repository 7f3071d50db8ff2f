// The unmodified SDK calls services that applications answer for: what is heard, pressed, recorded, and who is connected.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';
import { Webhook } from './harness/webhook.mjs';

const scenario = stage({ whole: true });

const tone = (hz, milliseconds) => ({ tone: { frequencies_hz: [hz], milliseconds } });
const play = (...play_list) => ({ play: { play_list } });

/** A service of this scenario's own, and the pages that answer for it. */
async function application(scene, test) {
  const webhook = await Webhook.listen();
  const service = scene.id('ivr');
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  try {
    await test({ webhook, service });
  } finally {
    await webhook.close();
  }
}

scenario('a caller hears a tone, presses digits, and hears another tone', (scene) =>
  application(scene, async ({ webhook, service }) => {
    const next_page = { url: 'number', method: 'GET' };
    webhook.page('first', [{ get_number: { prompt: play(tone(440, 30_000)), digit_count: 4, next_page } }]);
    webhook.page('number', [play(tone(1_000, 30_000))]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    const { this_call: told } = await webhook.told('first');
    assert.deepEqual([told.call_from, told.call_to, told.call_state], [alice.id, service, 'inbound']);
    await call.until('connected');
    await call.hears(440);
    await call.press('1234');
    const { action_result: result, token } = await webhook.told('number');
    assert.deepEqual(result, { action: 'get_number', result: { entered_number: '1234' } });
    assert.equal(token, 'first');
    await call.hears(1_000);
    await call.hangUp();
    assert.equal((await webhook.told('final')).this_call.call_cause, 'hung_up');
  }));

scenario('a caller is recorded, and the file holds what its microphone heard', (scene) =>
  application(scene, async ({ webhook, service }) => {
    webhook.page('first', [{ record: { seconds_max_duration: 4, next_page: { url: 'recorded' } } }]);
    webhook.page('recorded', ({ action_result: { result } }) => [play({ file_to_play: result.filename })]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    const { result } = (await webhook.told('recorded')).action_result;
    assert.ok(result.contains_sound && result.seconds_duration > 3, JSON.stringify(result));
    const file = await scene.server.file(scene.account, result.filename);
    const { rate, samples } = wav(file);
    assert.ok(Math.abs(samples.length / rate - result.seconds_duration) < 0.2);
    // The fake microphone beeps about once a second.
    const loud = samples.filter((sample) => Math.abs(sample) > 1_000).length / samples.length;
    assert.ok(loud > 0.01, `${loud} of the recording is loud`);
    assert.equal(await call.ended(), 'NORMAL');
    assert.equal((await webhook.told('final')).this_call.call_cause, 'completed');
  }));

scenario('a caller is connected with another browser, which is told that a service calls', (scene) =>
  application(scene, async ({ webhook, service }) => {
    const [alice, bob] = await Promise.all([scene.client('alice'), scene.client('bob')]);
    await bob.register();
    const next_page = { url: 'after' };
    webhook.page('first', [{ connect: { destinations: [`webrtc:${bob.id}`], call_from: 'desk', next_page } }]);
    webhook.page('after', [play(tone(800, 30_000))]);
    const call = await alice.callService(service);
    const incoming = await bob.incoming();
    assert.deepEqual([incoming.from, incoming.kind], ['desk', 'service']);
    await incoming.answer();
    await Promise.all([call.until('connected'), incoming.until('connected')]);
    await Promise.all([call.receives({ audio: 1 }), incoming.receives({ audio: 1 })]);
    await Promise.all([call.hearsBeeps(), incoming.hearsBeeps()]);
    await incoming.hangUp();
    const { result } = (await webhook.told('after')).action_result;
    assert.equal(result.call_cause, 'completed');
    await call.hears(800);
    await call.hangUp();
    await webhook.told('final');
  }));

scenario('three callers hear each other in a conference, and one that leaves hears no more', (scene) =>
  application(scene, async ({ webhook, service }) => {
    const next_page = { url: 'after' };
    const conference_participant = { exit_digit: '9' };
    webhook.page('first', [{ connect_to_conference: { name: 'lobby', conference_participant, next_page } }]);
    webhook.page('after', [play(tone(800, 30_000))]);
    const calls = [];
    for (const name of ['alice', 'bob', 'carol']) {
      const client = await scene.client(name);
      const call = await client.callService(service);
      await call.until('connected');
      calls.push(call);
    }
    await Promise.all(calls.map((call) => call.hearsBeeps()));
    const [alice, ...others] = calls;
    await alice.press('9');
    const { action_result: result } = await webhook.told('after');
    assert.equal(result.action, 'connect_to_conference');
    await alice.hears(800);
    await Promise.all(others.map((call) => call.hearsBeeps()));
    for (const call of calls) await call.hangUp();
    for (const _ of calls) await webhook.told('final');
  }));

scenario('an application that fails tells its error page why, and the caller hears what that says', (scene) =>
  application(scene, async ({ webhook, service }) => {
    webhook.page('first', [play({ file_to_play: 'missing.wav' })]);
    webhook.page('error', [play(tone(600, 30_000))]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    const { error_result: error } = await webhook.told('error');
    assert.equal(error.action, 'play');
    assert.match(error.result, /missing\.wav/);
    await call.hears(600);
    await call.hangUp();
    await webhook.told('final');
  }));

scenario('a call that is rejected is BUSY; an application that is gone is FAILED', (scene) =>
  application(scene, async ({ webhook, service }) => {
    webhook.page('first', [{ reject: { cause: 'busy' } }]);
    const alice = await scene.client('alice');
    assert.equal(await (await alice.callService(service)).ended(), 'BUSY');
    await webhook.told('final');
    // The SDK loses a call that begins while the socket of the one before is closing.
    await alice.idle();
    webhook.page('first', [{ dance: {} }]).page('error', [{ reject: { raw_cause: '500' } }]);
    assert.equal(await (await alice.callService(service)).ended(), 'FAILED');
    const record = await eventually('the call has a record with an end', async () =>
      (await scene.server.calls(scene.account)).find((call) => call.service === service && call.status === 500));
    assert.match(record.reason, /application/);
  }));

scenario('an application that plays is interrupted by its account, and goes on with another page', (scene) =>
  application(scene, async ({ webhook, service }) => {
    webhook.page('first', [play(tone(440, 60_000))]).page('other', [play(tone(1_000, 60_000))]);
    const alice = await scene.client('alice');
    const call = await alice.callService(service);
    const { application_instance_id: instance } = await webhook.told('first');
    await call.hears(440);
    const interrupted = await scene.server.interrupt(scene.account, instance, webhook.address('other'));
    assert.deepEqual(interrupted, { [instance]: { result: 'interrupted', action: 'play' } });
    const { action_result: result } = await webhook.told('other');
    assert.deepEqual(result, { action: 'play', interrupted: true });
    await call.hears(1_000);
    await scene.server.interrupt(scene.account, instance);
    assert.equal(await call.ended(), 'NORMAL');
    await webhook.told('final');
    const late = await scene.server.interrupt(scene.account, instance);
    assert.deepEqual(late, { [instance]: { result: 'application already completed' } });
    const foreign = await scene.server.interrupt(scene.otherAccount, instance);
    assert.deepEqual(foreign, { [instance]: { result: 'no such application' } });
  }));

scenario('an application calls a browser, which is told that a service calls, and then another one', (scene) =>
  application(scene, async ({ webhook, service }) => {
    const [alice, bob] = await Promise.all([scene.client('alice'), scene.client('bob')]);
    await Promise.all([alice.register(), bob.register()]);
    const next_page = { url: 'connect' };
    webhook.page('first', [{ get_number: { prompt: play(tone(440, 30_000)), digit_count: 1, next_page } }]);
    webhook.page('connect', [{ connect: { destinations: [`webrtc:${bob.id}`] } }]);
    const wish = { to: `webrtc:${alice.id}`, from: '+441908273800', token: 't-0', outbound_parameters: { order: 17 } };
    const answer = await scene.server.begin(scene.account, service, webhook.secret, wish);
    assert.equal(answer.status, 200, answer.text);
    const incoming = await alice.incoming();
    assert.deepEqual([incoming.from, incoming.kind], ['+441908273800', 'service']);
    await incoming.answer();
    const { this_call: told, token, application_instance_id } = await webhook.told('first');
    assert.deepEqual(JSON.parse(answer.text), [application_instance_id]);
    assert.deepEqual([told.call_direction, told.call_state, told.call_to, token], ['out', 'answered', alice.id, 't-0']);
    assert.deepEqual(told.outbound_parameters, { order: 17 });
    await incoming.until('connected');
    await incoming.hears(440);
    await incoming.press('1');
    const connected = await bob.incoming();
    assert.deepEqual([connected.from, connected.kind], [alice.id, 'service']);
    await connected.answer();
    await connected.until('connected');
    await Promise.all([incoming.hearsBeeps(), connected.hearsBeeps()]);
    await incoming.hangUp();
    assert.equal(await connected.ended(), 'NORMAL');
    assert.equal((await webhook.told('final')).this_call.call_cause, 'hung_up');
  }));

scenario('what an application cannot begin is refused in words, and nothing begins', (scene) =>
  application(scene, async ({ webhook, service }) => {
    const begin = (calls, secret = webhook.secret) => scene.server.begin(scene.account, service, secret, calls);
    const refused = async (answer, status, word) => {
      const { status: found, text } = await answer;
      assert.equal(found, status, text);
      assert.match(JSON.parse(text).error.text, word);
    };
    await refused(begin({ to: 'webrtc:bob' }, 'x'.repeat(32)), 401, /cloudID\/username\/service/);
    await refused(begin([{ to: 'webrtc:nobody' }, { to: 'bob' }]), 400, /call 2: 'to'.*no destination/);
    const answer = await begin({ to: 'webrtc:nobody' });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await webhook.told('final')).this_call.call_cause, 'unobtainable');
  }));

/** The samples of a WAV file of 16 bits and one channel. */
function wav(file) {
  assert.equal(file.toString('latin1', 0, 4) + file.toString('latin1', 8, 12), 'RIFFWAVE');
  const [channels, rate, bits] = [file.readUInt16LE(22), file.readUInt32LE(24), file.readUInt16LE(34)];
  assert.deepEqual([channels, bits], [1, 16]);
  const at = file.indexOf('data') + 8;
  const samples = [];
  for (let place = at; place + 1 < file.length; place += 2) samples.push(file.readInt16LE(place));
  return { rate, samples };
}
