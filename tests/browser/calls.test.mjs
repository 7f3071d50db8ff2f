// A back end begins, sees and steers calls by /v1/calls, and browsers with the unmodified SDK hear what comes of it. Every answer is held
// against the OpenAPI document that the server serves.
import assert from 'node:assert/strict';

import Ajv from 'ajv/dist/2020.js';

import { eventually } from './harness/bounded.mjs';
import { stage } from './harness/scenario.mjs';
import { basic } from './harness/server.mjs';
import { Webhook } from './harness/webhook.mjs';

const scenario = stage();

const tone = (hz, milliseconds) => ({ tone: { frequencies_hz: [hz], milliseconds } });

/** The web service of an account's calls, as OpenAPI has it. */
class Calls {
  #scene;
  #account;
  #described;
  #schemas = new Ajv({ strict: false });

  static async of(scene, account = scene.account) {
    const calls = new Calls();
    calls.#scene = scene;
    calls.#account = account;
    const served = await scene.server.request('GET', '/docs/openapi.json');
    calls.#described = JSON.parse(served.text);
    calls.#schemas.addSchema(calls.#described, 'openapi');
    return calls;
  }

  /** Asks; the status must be one that is described, and the body as is described. */
  async ask(method, path, body) {
    const [target] = path.split('?');
    const described = this.#operation(method, target);
    const answer = await this.#scene.server.request(method, path, {
      authorization: basic(this.#account),
      type: body && 'application/json',
      body: body && JSON.stringify(body),
    });
    const response = described.responses[answer.status];
    assert.ok(response, `${method} ${path}: ${answer.status} ${answer.text}`);
    const json = answer.text ? JSON.parse(answer.text) : undefined;
    const schema = response.content?.['application/json'].schema.$ref;
    assert.equal(json === undefined, schema === undefined, answer.text);
    if (schema) {
      const isValid = this.#schemas.getSchema(`openapi${schema}`);
      assert.ok(isValid(json), `${answer.text}: ${this.#schemas.errorsText(isValid.errors)}`);
    }
    return { status: answer.status, json, headers: answer.headers };
  }

  /** What is asked is done. */
  async does(method, path, body) {
    const { status, json, headers } = await this.ask(method, path, body);
    assert.ok(status < 300, JSON.stringify(json));
    return { ...json, headers };
  }

  /** What is asked is refused. */
  async refuses(status, word, method, path, body) {
    const { status: found, json } = await this.ask(method, path, body);
    assert.equal(found, status, JSON.stringify(json));
    assert.match(json.error.text, word);
  }

  #operation(method, target) {
    const paths = Object.entries(this.#described.paths);
    const [, item] = paths.find(([path]) => new RegExp(`^${path.replace('{id}', '[^/]+')}$`).test(target));
    return item[method.toLowerCase()];
  }
}

/** Two clients that the account has connected with each other, and the call. */
async function bridged(scene) {
  const calls = await Calls.of(scene);
  const { alice, bob } = await scene.pair({});
  await alice.register();
  const connect = { destinations: [`webrtc:${bob.id}`] };
  const call = await calls.does('POST', '/v1/calls', { to: `webrtc:${alice.id}`, from: 'Deliveries', connect });
  assert.equal(call.headers.location, `/v1/calls/${call.id}`);
  assert.deepEqual([call.state, call.caller_kind, call.callee], ['ringing', 'account', alice.id]);
  const first = await alice.incoming();
  assert.deepEqual([first.from, first.kind], ['Deliveries', 'service']);
  await first.answer();
  const second = await bob.incoming();
  assert.equal(second.from, alice.id);
  await second.answer();
  await Promise.all([first.until('connected'), second.until('connected')]);
  return { calls, at: `/v1/calls/${call.id}`, call, alice, bob, first, second };
}

scenario('two clients are connected with each other, seen, and hung up', async (scene) => {
  const { calls, at, call, alice, bob, first, second } = await bridged(scene);
  await Promise.all([first.hearsBeeps(), second.hearsBeeps()]);
  const shown = await calls.does('GET', at);
  assert.deepEqual([shown.state, shown.is_direct, shown.action], ['answered', false, 'connect']);
  assert.deepEqual(shown.connected.map(({ callee, state }) => [callee, state]), [[bob.id, 'answered']]);
  const list = await calls.does('GET', '/v1/calls');
  assert.ok(list.calls.some(({ id }) => id === call.id));
  await calls.does('DELETE', at);
  assert.deepEqual([await first.ended(), await second.ended()], ['NORMAL', 'NORMAL']);
  await calls.refuses(409, /has ended/, 'DELETE', at);
  const ended = await calls.does('GET', at);
  assert.deepEqual([ended.state, ended.ended_by, ended.reason], ['ended', 'server', 'the account hung up']);
  assert.equal(ended.callee, alice.id);
});

scenario('whom a call was to be connected with is not there, or hangs up: the record says that neither side has ended it', async (scene) => {
  const calls = await Calls.of(scene);
  const alice = await scene.client('alice');
  await alice.register();
  const connect = { destinations: [`webrtc:${scene.id('nobody')}`] };
  const call = await calls.does('POST', '/v1/calls', { to: `webrtc:${alice.id}`, from: 'Deliveries', connect });
  const incoming = await alice.incoming();
  await incoming.answer();
  await incoming.ended();
  const gone = await calls.does('GET', `/v1/calls/${call.id}`);
  assert.deepEqual([gone.ended_by, gone.status], ['server', 404]);
  const { at, first, second } = await bridged(scene);
  await second.hangUp();
  assert.equal(await first.ended(), 'NORMAL');
  const left = await calls.does('GET', at);
  assert.deepEqual([left.ended_by, left.status], ['server', 200]);
});

scenario('both hear what is played into their call, and then each other again', async (scene) => {
  const { calls, at, first, second } = await bridged(scene);
  await Promise.all([first.hearsBeeps(), second.hearsBeeps()]);
  await calls.does('POST', `${at}/play`, { play_list: [tone(700, 5_000)], party: 'both' });
  await Promise.all([first.hears(700), second.hears(700)]);
  await Promise.all([first.hearsBeeps(), second.hearsBeeps()]);
  await calls.refuses(404, /no file 'nothing.wav'/, 'POST', `${at}/play`, { play_list: [{ file_to_play: 'nothing.wav' }] });
  await first.hangUp();
  assert.equal(await second.ended(), 'NORMAL');
});

scenario('a call is recorded with both sides, and one of them is transferred', async (scene) => {
  const { calls, at, first, second } = await bridged(scene);
  const carol = await scene.client('carol');
  await carol.register();
  const brief = await calls.does('POST', `${at}/record`, {});
  await calls.does('DELETE', `${at}/record`);
  const empty = await eventually('there is a file', () => scene.server.file(scene.account, brief.filename).catch(() => null));
  assert.equal(empty.toString('latin1', 0, 4), 'RIFF');
  assert.ok(empty.length >= 44 && empty.length < 8_000, `${empty.length} bytes`);
  const { filename } = await calls.does('POST', `${at}/record`, {});
  await calls.refuses(409, /recorded already/, 'POST', `${at}/record`, {});
  await Promise.all([first.hearsBeeps(), second.hearsBeeps()]);
  await calls.does('DELETE', `${at}/record`);
  await calls.refuses(409, /not being recorded/, 'DELETE', `${at}/record`);
  const file = await eventually('the recording is kept', () => scene.server.file(scene.account, filename).catch(() => null));
  assert.equal(file.toString('latin1', 0, 4), 'RIFF');
  assert.ok(file.length > 8_000, `${file.length} bytes`);
  await calls.does('POST', `${at}/transfer`, { destinations: [`webrtc:${carol.id}`] });
  assert.equal(await second.ended(), 'NORMAL');
  const third = await carol.incoming();
  await third.answer();
  await third.until('connected');
  await Promise.all([first.hearsBeeps(), third.hearsBeeps()]);
  await third.hangUp();
  assert.equal(await first.ended(), 'NORMAL');
});

scenario('an application answers a call that a back end begins, and hears the keys that it sends', async (scene) => {
  const calls = await Calls.of(scene);
  const webhook = await Webhook.listen();
  const service = scene.id('desk');
  webhook.page('first', [{ get_number: { prompt: { play: { play_list: [tone(700, 30_000)] } }, digit_count: 2, next_page: { url: 'number' } } }]);
  webhook.page('number', [{ play: { play_list: [tone(440, 30_000)] } }]);
  webhook.secret = await scene.server.putApplication(scene.account, service, webhook);
  try {
    const alice = await scene.client('alice');
    await alice.register();
    const wanted = { to: `webrtc:${alice.id}`, service, token: 't-1' };
    await calls.refuses(404, /not registered/, 'POST', '/v1/calls', { ...wanted, to: 'webrtc:nobody' });
    const call = await calls.does('POST', '/v1/calls', wanted);
    const incoming = await alice.incoming();
    assert.equal(incoming.from, service);
    await calls.refuses(409, /not been answered/, 'POST', `/v1/calls/${call.id}/dtmf`, { digits: '1' });
    await incoming.answer();
    const { application_instance_id, token } = await webhook.told('first');
    assert.deepEqual([application_instance_id, token], [call.id, 't-1']);
    await incoming.until('connected');
    await incoming.hears(700);
    await calls.does('POST', `/v1/calls/${call.id}/dtmf`, { digits: '9' });
    await incoming.press('42');
    assert.equal((await webhook.told('number')).action_result.result.entered_number, '42');
    await incoming.hears(440);
    await calls.does('DELETE', `/v1/calls/${call.id}`);
    assert.equal(await incoming.ended(), 'NORMAL');
    await webhook.told('final');
  } finally {
    await webhook.close();
  }
});

scenario('a call between two clients can be seen and hung up, and not steered; others see nothing of it', async (scene) => {
  const calls = await Calls.of(scene);
  const { alice, outgoing, incoming } = await scene.connected();
  const list = await calls.does('GET', '/v1/calls?limit=1000');
  const call = list.calls.find(({ caller }) => caller === alice.id);
  assert.deepEqual([call.is_direct, call.state, call.caller_kind], [true, 'answered', 'client']);
  const at = `/v1/calls/${call.id}`;
  await calls.refuses(409, /only be hung up/, 'POST', `${at}/play`, { play_list: [tone(440, 100)] });
  const others = await Calls.of(scene, scene.otherAccount);
  assert.deepEqual((await others.does('GET', '/v1/calls')).calls, []);
  await others.refuses(404, /no call of this id/, 'DELETE', at);
  await calls.does('DELETE', at);
  assert.deepEqual([await outgoing.ended(), await incoming.ended()], ['NORMAL', 'NORMAL']);
});

scenario('what is wrong with a request is said, and nothing is begun', async (scene) => {
  const calls = await Calls.of(scene);
  const refuses = (status, word, body) => calls.refuses(status, word, 'POST', '/v1/calls', body);
  await refuses(400, /'to' is missing/, { service: 'ivr' });
  await refuses(400, /either 'service'/, { to: 'webrtc:alice' });
  await refuses(400, /'from' is missing/, { to: 'webrtc:alice', connect: { destinations: ['webrtc:bob'] } });
  await refuses(400, /no destination/, { to: 'alice', service: 'ivr' });
  await refuses(400, /unknown field/, { to: 'webrtc:alice', service: 'ivr', form: 'x' });
  await refuses(404, /no application answers/, { to: 'webrtc:alice', service: 'nothing' });
  await refuses(400, /no trunk/, { to: 'webrtc:alice', from: 'x', connect: { destinations: ['tel:112'] } });
  await calls.refuses(404, /no call of this id/, 'GET', '/v1/calls/0.1.77');
  await calls.refuses(404, /no call of this id/, 'POST', '/v1/calls/x/dtmf', { digits: '1' });
  await calls.refuses(400, /whole number from 1 to 1000/, 'GET', '/v1/calls?limit=x');
  assert.deepEqual((await calls.does('GET', '/v1/calls')).calls, []);
});
