// The softphone page: two tabs that call each other, and everything a person does in a call.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { keepConnections, street } from './harness/softphone.mjs';

const scenario = street();
const KEEPING = { scripts: [keepConnections] };

scenario('a call with sound: rings, is answered, is heard both ways, is hung up with a reason', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob', KEEPING), scene.demo('alice', KEEPING)]);
  await alice.press(`Call ${bob.id}`);
  await bob.incoming.filter({ hasText: alice.id }).waitFor();
  assert.match(await bob.page.title(), new RegExp(`^${alice.id} is calling`));
  assert.match(await bob.page.locator('#favicon').getAttribute('href'), /icon_ringing/);
  await alice.shows('Ringing…');
  await bob.press('Answer');
  await Promise.all([alice.talks(), bob.talks()]);
  await Promise.all([alice.hears(), bob.hears()]);
  assert.match(await bob.page.title(), new RegExp(`^In a call with ${alice.id}`));
  await alice.press('Hang up');
  assert.equal(await bob.ended(), `${alice.id} hung up.`);
  assert.equal(await alice.ended(), 'You hung up.');
  await bob.shows('You talked for');
  assert.equal(await bob.page.title(), 'offhook');
  await bob.press('Close');
  await bob.page.getByRole('region', { name: 'Earlier' }).getByText(alice.id).waitFor();
});

scenario('a call with video: both see each other move', async (scene) => {
  const { caller, callee } = await scene.call({ video: true });
  await Promise.all([
    caller.seesMoving(`Picture of ${callee.id}`),
    callee.seesMoving(`Picture of ${caller.id}`),
    caller.seesMoving('Your own picture'),
  ]);
  await callee.press('Hang up');
  await caller.ended();
});

scenario('the camera can come and go in a call', async (scene) => {
  const { caller, callee } = await scene.call();
  assert.equal(await caller.isPressed('Camera'), false);
  await caller.press('Camera');
  await callee.seesMoving(`Picture of ${caller.id}`);
  assert.equal(await caller.isPressed('Camera'), true);
  await caller.press('Camera');
  await callee.seesNothing();
});

scenario('a screen is shared and taken back', async (scene) => {
  const { caller, callee } = await scene.call();
  await caller.press('Share screen');
  await callee.seesMoving(`Picture of ${caller.id}`);
  await caller.seesMoving('The screen that you share');
  await caller.press('Share screen');
  await callee.seesNothing();
  assert.equal(await caller.isPressed('Share screen'), false);
});

scenario('muted, one is not heard; unmuted, one is', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob', KEEPING), scene.demo('alice', KEEPING)]);
  await alice.dial(bob.id);
  await bob.press('Answer');
  await bob.hears();
  await alice.press('Mute');
  await alice.shows('You are muted');
  await bob.hearsNothing();
  await alice.press('Mute');
  await bob.hears();
});

scenario('on hold nothing is heard, and both are told', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob', KEEPING), scene.demo('alice', KEEPING)]);
  await alice.dial(bob.id);
  await bob.press('Answer');
  await alice.hears();
  await alice.press('Hold');
  await alice.shows('On hold');
  await bob.shows('You have been put on hold');
  assert.equal(await alice.button('Keypad').isDisabled(), true);
  await alice.press('Take up');
  await bob.shows('Connected');
  await Promise.all([alice.hears(), bob.hears()]);
});

scenario('digits are sent by the keypad and by the keyboard', async (scene) => {
  const record = () => {
    window.digits = '';
    const insert = RTCDTMFSender.prototype.insertDTMF;
    RTCDTMFSender.prototype.insertDTMF = function insertDTMF(...given) {
      if (!this.isHeardBy) this.addEventListener('tonechange', ({ tone }) => (window.digits += tone));
      this.isHeardBy = true;
      return insert.apply(this, given);
    };
  };
  const [bob, alice] = await Promise.all([scene.demo('bob'), scene.demo('alice', { scripts: [record] })]);
  await alice.dial(bob.id);
  await bob.press('Answer');
  await alice.talks();
  await alice.press('Keypad');
  const keypad = alice.page.getByRole('group', { name: 'Keypad' });
  await keypad.getByRole('button', { name: '4' }).click();
  await keypad.getByRole('button', { name: 'Star' }).click();
  await alice.page.keyboard.type('2#');
  await eventually('all four were sent, each once', () => alice.page.evaluate(() => window.digits === '4*2#'));
  assert.equal(await alice.page.getByLabel('Sent digits').innerText(), '4*2#');
  await alice.page.keyboard.press('Escape');
  await keypad.waitFor({ state: 'hidden' });
});

scenario('a rejected call is told so to the caller', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob'), scene.demo('alice')]);
  await alice.dial(bob.id);
  await bob.press('Reject');
  await bob.incoming.waitFor({ state: 'hidden' });
  assert.equal(await alice.ended(), `${bob.id} rejected the call.`);
  await alice.button('Call again').waitFor();
  assert.equal(await alice.page.locator('#ended-length').isVisible(), false);
});

scenario('a caller who gives up is shown as a missed call, and can be called back', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob'), scene.demo('alice')]);
  await alice.dial(bob.id);
  await bob.incoming.waitFor();
  await alice.press('Cancel');
  await bob.incoming.waitFor({ state: 'hidden' });
  await bob.ended();
  await bob.press('Call back');
  await alice.incoming.filter({ hasText: bob.id }).waitFor();
});

scenario('whoever is not there cannot be reached, and the page says so', async (scene) => {
  const alice = await scene.demo('alice');
  await alice.dial('nobody-at-all');
  assert.equal(await alice.ended(), 'nobody-at-all is not registered.');
  await alice.dial('no such name');
  await alice.shows('“no such name” is no client id');
});

scenario('a second call: the first is put on hold, and one can go back to it', async (scene) => {
  const { caller: alice, callee: bob } = await scene.call();
  const carol = await scene.demo('carol');
  await carol.dial(bob.id);
  await bob.incoming.filter({ hasText: `${alice.id} is put on hold` }).waitFor();
  await bob.press('Answer');
  await carol.talks();
  await alice.shows('You have been put on hold');
  await bob.heading(carol.id).waitFor();
  await bob.page.getByRole('button', { name: `${alice.id} is on hold` }).click();
  await bob.heading(alice.id).waitFor();
  await alice.shows('Connected');
  await carol.shows('You have been put on hold');
  await bob.press('Hang up');
  await alice.ended();
  await bob.heading(carol.id).waitFor();
  await bob.shows('On hold');
  await bob.press('Hang up');
  await carol.ended();
});

scenario('a second call can be rejected, and the first goes on', async (scene) => {
  const { caller: alice, callee: bob } = await scene.call();
  const carol = await scene.demo('carol');
  await carol.dial(bob.id);
  await bob.press('Reject');
  await carol.ended();
  await bob.shows('Connected');
  await alice.shows('Connected');
});

scenario('a note goes along, and hostile text is shown as text', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob'), scene.demo('alice')]);
  const note = '<img src=x onerror=complain(1)><b>bold</b> "a";b=c';
  await alice.dial(bob.id, { note });
  await bob.incoming.getByText(note).waitFor();
  assert.equal(await bob.page.locator('img, .incoming b').count(), 0);
});

scenario('a closed tab hangs up', async (scene) => {
  const { caller, callee } = await scene.call();
  await caller.page.context().close();
  assert.equal(await callee.ended(), `${caller.id} hung up.`);
});

scenario('the connection test says in sentences what works', async (scene) => {
  const tab = await scene.demo('bob');
  await tab.press('Test connection');
  const test = tab.page.getByRole('region', { name: 'Connection test' });
  await eventually('some checks are listed', async () => (await test.getByRole('listitem').count()) >= 3);
  await test.getByText('Works:').first().waitFor();
  await tab.press('Close the connection test');
  await test.waitFor({ state: 'hidden' });
});
