// The softphone page of a server without demo mode: nothing is given away, and what one may do stands in one's token.
import assert from 'node:assert/strict';

import { street } from './harness/softphone.mjs';

const scenario = street({ settings: ['--demo=false'], username: 'a@b.c' });

/** A tab that has signed in with a token from the web service. */
async function signedIn(scene, name, options) {
  const id = scene.id(name);
  const token = await scene.server.token(scene.account, id, options);
  const tab = await scene.open();
  tab.id = id;
  await tab.page.getByLabel('Token', { exact: true }).fill(token);
  await tab.press('Sign in');
  await tab.button('Sign out').waitFor();
  return tab;
}

scenario('there is no way in but a token, and no list of those who are here', async (scene) => {
  const tab = await signedIn(scene, 'bob', { callClient: '*' });
  await tab.shows('Can be called');
  assert.equal(await tab.heading('Try it').count(), 0);
  assert.equal(await tab.heading('Who is here').count(), 0);
  const { status } = await scene.server.request('GET', '/demo/clients');
  assert.equal(status, 404);
});

scenario('two with tokens call each other', async (scene) => {
  const [bob, alice] = await Promise.all([
    signedIn(scene, 'bob', { callClient: '*' }),
    signedIn(scene, 'alice', { callClient: scene.id('bo') + '*' }),
  ]);
  await bob.dial(alice.id);
  await alice.press('Answer');
  await Promise.all([bob.talks(), alice.talks()]);
});

scenario('whom a token may call is told, and a call beyond it is refused with a reason', async (scene) => {
  const [bob, alice] = await Promise.all([
    signedIn(scene, 'bob'),
    signedIn(scene, 'alice', { callClient: 'carol,dave*' }),
  ]);
  await bob.shows('Your token may not call anybody; you can only be called.');
  await alice.shows('Your token may call carol and dave*.');
  await alice.dial(bob.id);
  assert.notEqual(await alice.ended(), '');
  assert.equal(await bob.incoming.isVisible(), false);
});

scenario('a token that does not allow to be called still calls', async (scene) => {
  const [bob, alice] = await Promise.all([
    signedIn(scene, 'bob'),
    signedIn(scene, 'alice', { callClient: '*', enableIncoming: false }),
  ]);
  await alice.shows('Can call, cannot be called');
  await alice.dial(bob.id);
  await bob.press('Answer');
  await Promise.all([bob.talks(), alice.talks()]);
});
