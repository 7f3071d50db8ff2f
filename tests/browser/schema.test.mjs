// docs/applications.md and docs/schemas say the same: every example is valid, what is refused is not, and the signature is as it is told.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { isOurs } from '../../examples/applications/signature.mjs';
import { faults, names, properties } from './harness/schema.mjs';

const ROOT = new URL('../../', import.meta.url);
const PAGE = await readFile(new URL('docs/applications.md', ROOT), 'utf8');
const EXAMPLE = /<!-- schema: ([a-z_-]+) -->\n```json\n(.*?)```/gs;
const examples = [...PAGE.matchAll(EXAMPLE)].map(([, name, text]) => ({ name, value: JSON.parse(text) }));

test('every example is valid by its schema', () => {
  assert.equal(examples.length, PAGE.split('```json').length - 1, 'each example names its schema');
  for (const { name, value } of examples) assert.equal(faults(name, value), '', JSON.stringify(value));
});

test('every action and every result has an example', () => {
  const shown = new Set(examples.map(({ name }) => name));
  // The error page's stands in its instance.
  const wanted = names.filter((name) => /^(action|result)-/.test(name) && name !== 'result-error');
  assert.deepEqual(wanted.filter((name) => !shown.has(name)), []);
  assert.ok(wanted.length > 10);
});

test('every property of an action is told in its section', () => {
  const sections = new Map(PAGE.split(/^## /m).map((text) => [text.split('\n', 1)[0], text]));
  for (const action of names.filter((name) => name.startsWith('action-')).map((name) => name.slice('action-'.length))) {
    const section = sections.get(action);
    assert.ok(section, `${action} has a section`);
    for (const property of properties(action)) assert.ok(section.includes(`\`${property}\``), `${action}: ${property}`);
  }
});

test('what docs/applications.md refuses is not valid', () => {
  const next_page = { url: 'next' };
  const tone = { tone: { frequencies_hz: [440], milliseconds: 100 } };
  const page = (...actions) => ({ actions });
  assert.equal(faults('page', page({ play: { play_list: [tone] } })), '');
  for (const [name, value] of [
    ['page', page({ dance: {} })],
    ['page', page({ send_fax: {} })],
    ['page', page({ answer: {}, hang_up: {} })],
    ['page', { actions: [], api_version: '1.0' }],
    ['page', { actions: [], actions2: [] }],
    ['page', {}],
    ['action-play', { play: { play_list: [] } }],
    ['action-play', { play: { play_list: [{ text_to_say: 'a', file_to_play: 'b.wav' }] } }],
    ['action-play', { play: { play_list: [{ file_to_play: '../b.wav' }] } }],
    ['action-play', { play: { play_list: [{ tone: { frequencies_hz: [20], milliseconds: 1 } }] } }],
    ['action-play', { play: { play_list: [tone], barge_in_on_speech: true } }],
    ['action-answer', { answer: { extra_sip_headers: [{ name: 'Via', value: 'x' }] } }],
    ['action-reject', { reject: { cause: 'bored' } }],
    ['action-reject', { reject: { raw_cause: '401' } }],
    ['action-record', { record: {} }],
    ['action-record', { record: { next_page, seconds_max_duration: 0 } }],
    ['action-get_number', { get_number: { next_page, end_digit: '' } }],
    ['action-get_number', { get_number: { next_page, digit_count: 65 } }],
    ['action-get_input', { get_input: { next_page, speech_input_mode: 'auto' } }],
    ['action-run_menu', { run_menu: { menu_options: [] } }],
    ['action-connect', { connect: { destinations: ['sips:bob@example.com'] } }],
    ['action-connect', { connect: { destinations: ['bob'] } }],
    ['action-stream', { stream: { url: 'audio' } }],
    ['action-stream', { stream: { url: 'audio', next_page, sample_rate: 44_100 } }],
    ['action-stream', { stream: { url: 'audio', next_page, seconds_max_duration: 3_601 } }],
    ['result-stream', { action: 'stream', result: { cause: 'closed', result: 1, seconds_duration: 1 } }],
    ['stream-bot', { event: 'dance' }],
    ['stream-bot', { event: 'clear', now: true }],
    ['stream-bot', { event: 'mark' }],
    ['stream-told', { event: 'digit', digit: '12' }],
    ['stream-told', { event: 'end', cause: 'boredom' }],
    ['action-sleep', { sleep: { seconds: -1 } }],
    ['action-redirect', { redirect: {} }],
    ['web-page', { url: 'x', method: 'PUT' }],
  ]) {
    assert.notEqual(faults(name, value), '', JSON.stringify(value));
  }
  const [instance] = examples.filter(({ name }) => name === 'instance').map(({ value }) => value);
  const wrong = [
    { ...instance, more: 1 },
    { ...instance, action_result: { action: 'get_number', result: {} } },
    { ...instance, this_call: { ...instance.this_call, call_cause: 'hung_up', call_raw_cause: '200' } },
    { ...instance, this_call: { ...instance.this_call, call_state: 'idle' } },
    { ...instance, error_result: { action: 'play', result: 'why' } },
  ];
  for (const value of wrong) assert.notEqual(faults('instance', value), '', JSON.stringify(value));
});

test('the functions of docs/applications.md are those of the samples', async () => {
  for (const [language, file] of [['python', 'signature.py'], ['js', 'signature.mjs']]) {
    const text = await readFile(new URL(`examples/applications/${file}`, ROOT), 'utf8');
    assert.ok(PAGE.includes(`\`\`\`${language}\n${text}\`\`\``), file);
  }
});

test('a signature is taken, and one of another secret, instance or hour is not', () => {
  const signed = (at, instance, secret) => {
    const made = createHmac('sha256', secret).update(`${at}.${instance}`).digest('hex');
    return { 'x-offhook-timestamp': String(at), 'x-offhook-signature': `v1=${made}` };
  };
  const now = Math.floor(Date.now() / 1000);
  assert.ok(isOurs(signed(now, '{}', 'secret'), '{}', 'secret'));
  assert.ok(!isOurs(signed(now, '{}', 'another'), '{}', 'secret'));
  assert.ok(!isOurs(signed(now, '{}', 'secret'), '{ }', 'secret'));
  assert.ok(!isOurs(signed(now - 3_600, '{}', 'secret'), '{}', 'secret'));
  assert.ok(!isOurs({}, '{}', 'secret'));
});
