// The applications of examples/, as a person runs them: a call to each, what it lets the caller hear, and what keys do. The server speaks
// by a program whose texts are tones.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { eventually } from './harness/bounded.mjs';
import { Sample } from './harness/sample.mjs';
import { stage } from './harness/scenario.mjs';
import { basic } from './harness/server.mjs';
import { pitch, SPEECH_COMMAND } from './harness/spoken.mjs';

const ROOT = new URL('../../', import.meta.url);
const BEEP_HZ = 1_000;
const scenario = stage({ plain: true, settings: ['--speech-command', SPEECH_COMMAND] });

/** A service that a sample answers for, which checks each signature. Its environment may be made of the service's name. */
async function application(scene, name, language, environment, test) {
  const service = scene.id(name.replaceAll('_', '-'));
  // The secret is made with the service, and stays when it is put again.
  const nowhere = { address: (page) => `http://127.0.0.1:9/${page}` };
  const OFFHOOK_SECRET = await scene.server.putApplication(scene.account, service, nowhere);
  const own = typeof environment === 'function' ? environment(service) : environment;
  const sample = await Sample.start('applications', name, language, { OFFHOOK_SECRET, ...own });
  try {
    await scene.server.putApplication(scene.account, service, sample);
    await test(service, sample);
  } finally {
    await sample.stop();
  }
}

async function answered(client, service) {
  const call = await client.callService(service);
  await call.until('connected');
  return call;
}

/** Waits until the beep is over, so that something is recorded. */
async function speaks(call) {
  await call.hears(BEEP_HZ);
  await call.hearsBeeps();
}

const hearsSaid = (call, text) => call.hears(pitch(text));

async function files(scene) {
  const answer = await scene.server.request('GET', '/v1/files', { authorization: basic(scene.account) });
  return JSON.parse(answer.text).map(({ name }) => name);
}

for (const language of ['node', 'flask']) {
  scenario(`a menu (${language}): one tells, two connects, and nobody else is let in`, (scene) =>
    application(scene, 'welcome_menu', language, { DESK: scene.id('desk') }, async (service, sample) => {
      const forged = await fetch(sample.address('first'), { method: 'POST', body: '{}' });
      assert.equal(forged.status, 403, 'a request that is not signed');
      const [alice, desk] = await Promise.all(['alice', 'desk'].map((name) => scene.client(name, { kind: 'shim' })));
      await desk.register();
      const call = await answered(alice, service);
      await hearsSaid(call, 'Welcome. Press one for our hours, two to talk to us.');
      await call.press('1');
      await hearsSaid(call, 'We are here from nine to five.');
      await hearsSaid(call, 'Welcome. Press one for our hours, two to talk to us.');
      await call.press('2');
      const incoming = await desk.incoming();
      assert.deepEqual([incoming.from, incoming.kind], ['welcome', 'service']);
      await incoming.answer();
      await incoming.until('connected');
      await Promise.all([call.hearsBeeps(), incoming.hearsBeeps()]);
      await incoming.hangUp();
      await hearsSaid(call, 'Thank you for calling.');
      assert.equal(await call.ended(), 'NORMAL');
    }));

  scenario(`voicemail (${language}): a message is played back, spoken again, and kept`, (scene) =>
    application(scene, 'voicemail', language, {}, async (service, sample) => {
      const before = await files(scene);
      const alice = await scene.client('alice', { kind: 'shim' });
      const call = await answered(alice, service);
      await hearsSaid(call, 'Please leave a message after the tone.');
      await speaks(call);
      await call.press('#');
      await hearsSaid(call, 'Press one to speak again.');
      await call.press('1');
      await speaks(call);
      await call.hangUp();
      const kept = await eventually('two messages are kept', async () => {
        const now = (await files(scene)).filter((name) => !before.includes(name));
        return now.length === 2 && now;
      });
      await sample.says('which message was left', new RegExp(kept.find((name) => name.endsWith('-2.wav'))));
    }));

  scenario(`click to call (${language}): a visitor is called back by whoever wants to`, (scene) => {
    const { cloud_id, username } = scene.account;
    const environment = (service) => ({
      DESK: scene.id('desk'),
      OFFHOOK_LOGIN: `${cloud_id}/${username}/${service}`,
      OFFHOOK_SERVER: `http://127.0.0.1:${scene.server.port}`,
    });
    return application(scene, 'click_to_call', language, environment, async (service, sample) => {
      const visit = (form) => fetch(sample.address('call'), { method: 'POST', body: new URLSearchParams(form) });
      assert.match(await (await fetch(sample.address(''))).text(), /<button>Call me/);
      assert.equal((await visit({ name: 'nobody at all' })).status, 400);
      const [alice, desk] = await Promise.all(['alice', 'desk'].map((name) => scene.client(name, { kind: 'shim' })));
      await Promise.all([alice.register(), desk.register()]);
      assert.equal((await visit({ name: scene.id('alice') })).status, 200);
      const first = await desk.incoming();
      assert.deepEqual([first.from, first.kind], ['click-to-call', 'service']);
      await first.answer();
      await first.until('connected');
      await hearsSaid(first, 'Somebody wants to talk to you. Press one to call back.');
      await first.press('1');
      const second = await alice.incoming();
      await second.answer();
      await second.until('connected');
      await Promise.all([first.hearsBeeps(), second.hearsBeeps()]);
      await second.hangUp();
      await hearsSaid(first, 'Goodbye.');
      assert.equal(await first.ended(), 'NORMAL');
    });
  });

  scenario(`a queue (${language}): music, one's place, and the agent talks with one after the other`, (scene) =>
    application(scene, 'queue_line', language, { AGENT: scene.id('agent') }, async (service) => {
      const names = ['alice', 'bob', 'agent'];
      const [alice, bob, agent] = await Promise.all(names.map((name) => scene.client(name, { kind: 'shim' })));
      const first = await answered(alice, service);
      await hearsSaid(first, 'Welcome. Please hold the line.');
      await first.hears(659);
      const second = await answered(bob, service);
      await hearsSaid(second, 'You are number 2.');
      await second.hears(523);
      await agent.register();
      for (const [call, name] of [[first, 'alice'], [second, 'bob']]) {
        const incoming = await agent.incoming();
        await incoming.answer();
        await incoming.until('connected');
        await Promise.all([call.hearsBeeps(), incoming.hearsBeeps()]);
        await incoming.hangUp();
        await hearsSaid(call, 'Thank you for calling.');
        assert.equal(await call.ended(), 'NORMAL', name);
      }
    }));
}

scenario('a parrot (node): a caller hears what it says, and ends it by a key', (scene) =>
  application(scene, 'parrot', 'node', {}, async (service, sample) => {
    const alice = await scene.client('alice', { kind: 'shim' });
    const call = await answered(alice, service);
    await call.hearsBeeps();
    await call.press('#');
    await call.hears(880);
    assert.equal(await call.ended(), 'NORMAL');
    await sample.says('how often it has spoken', /has spoken [1-9][0-9]* times/);
  }));

scenario('the ten lines of the README: a piano for ten keys', async (scene) => {
  const [readme, piano] = await Promise.all(['README.md', 'examples/piano/piano.py'].map((file) => readFile(new URL(file, ROOT), 'utf8')));
  assert.ok(readme.includes(`\`\`\`python\n${piano}\`\`\``), 'the README shows examples/piano/piano.py as it is');
  assert.ok(piano.split('\n').filter(Boolean).length <= 10);
  const sample = await Sample.start('piano', 'piano', 'flask');
  try {
    await scene.server.putApplication(scene.account, 'piano', sample);
    const alice = await scene.client('alice', { kind: 'shim' });
    const page = await alice.page.context().newPage();
    const { port } = new URL(sample.origin);
    const words = new URLSearchParams({ key: scene.account.webrtc_access_key, server: `http://localhost:${scene.server.port}` });
    await page.goto(`http://localhost:${port}/static/call.html?${words}`);
    await page.click('text=Call');
    await eventually('the page says Connected.', async () => (await page.textContent('#state')) === 'Connected.');
    await hearsIn(page, 600);
    await page.click('#keys >> text=7');
    await hearsIn(page, 900);
    await page.click('#keys >> text=0');
    await hearsIn(page, 200);
  } finally {
    await sample.stop();
  }
});

/** Waits until a frequency is the loudest that the page's element plays. */
async function hearsIn(page, hz) {
  await page.evaluate(() => {
    window.ear ??= (() => {
      const context = new AudioContext();
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(document.getElementById('sound').srcObject).connect(analyser);
      return analyser;
    })();
  });
  await eventually(`the page plays ${hz} Hz`, async () => {
    const loudest = await page.evaluate(() => {
      const bins = new Float32Array(window.ear.frequencyBinCount);
      window.ear.getFloatFrequencyData(bins);
      const at = bins.indexOf(Math.max(...bins));
      return bins[at] > -60 ? (at * window.ear.context.sampleRate) / window.ear.fftSize : 0;
    });
    return Math.abs(loudest - hz) < 20;
  });
}
