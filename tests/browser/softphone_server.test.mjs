// The softphone page and a server that is changed behind its back: an account that is disabled, a process that is killed.
import assert from 'node:assert/strict';

import { street } from './harness/softphone.mjs';

const scenario = street({ username: 'server@example.com' });

/** A tab that is signed in by a token. */
async function signedIn(scene, name) {
  const tab = await scene.open();
  tab.id = scene.id(name);
  tab.token = await scene.server.token(scene.account, tab.id, { callClient: '*' });
  await tab.page.getByLabel('Token', { exact: true }).fill(tab.token);
  await tab.press('Sign in');
  await tab.shows('Can be called');
  return tab;
}

scenario('an account that is disabled is told as that, and the page comes back when it is enabled', async (scene) => {
  const tab = await signedIn(scene, 'bob');
  await scene.server.setAccount(scene.account, 'disable');
  await tab.shows('This account is disabled.');
  await tab.shows('Cannot be called');
  await tab.dial('carol');
  assert.match(await tab.page.locator('#dial-fault').innerText(), /^This account is disabled\./);
  await scene.server.setAccount(scene.account, 'enable');
  await tab.shows('Can be called');
  await tab.page.getByText('This account is disabled').filter({ visible: true }).first().waitFor({ state: 'hidden' });
});

scenario('a server that is killed in a call and started again: the end is told in plain words', async (scene) => {
  const [bob, alice] = await Promise.all(['bob', 'alice'].map((name) => signedIn(scene, name)));
  await alice.dial(bob.id);
  await bob.press('Answer');
  await Promise.all([bob.talks(), alice.talks()]);
  await scene.server.restart('SIGKILL');
  for (const tab of [bob, alice]) {
    assert.equal(await tab.ended(), 'The server was restarted, or had given the connection up.');
    await tab.shows('Can be called');
    // Chromium says of each attempt that failed.
    tab.complaints = tab.complaints.filter((words) => !/WebSocket connection|ERR_CONNECTION_REFUSED/.test(words));
  }
});

scenario('a store that had accounts before the first start: the page says why there is no demo', async (scene) => {
  const tab = await scene.open();
  await tab.shows('Demo mode is off: there is no account 1-2-0/demo@example.com');
  await tab.shows('`offhook account create --cloud-id 1-2-0 --username demo@example.com` makes it.');
});
