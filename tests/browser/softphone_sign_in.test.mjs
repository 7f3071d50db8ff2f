// The softphone page: signing in, with a token or as a demo client, and out; and what it says when that does not
// work.
import assert from 'node:assert/strict';

import { eventually } from './harness/bounded.mjs';
import { street } from './harness/softphone.mjs';

const scenario = street();

/** A token as the page's own server makes it, for `sub`. */
async function demoToken(scene, sub) {
  const type = 'application/x-www-form-urlencoded';
  const answer = await scene.server.request('POST', '/demo/client', { type, body: `client_id=${sub}` });
  return JSON.parse(answer.text).token;
}

/** The same token with other claims, and so with a wrong signature. */
function withClaims(token, change) {
  const [head, claims, signature] = token.split('.');
  const changed = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), ...change };
  return [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
}

async function signInWith(tab, token) {
  await tab.page.getByLabel('Token', { exact: true }).fill(token);
  await tab.press('Sign in');
}

scenario('one click makes a demo client with a name of its own', async (scene) => {
  const tab = await scene.open();
  await tab.press('Try it: demo client');
  await tab.shows('Can be called');
  assert.match(await tab.page.locator('#own-id').innerText(), /^[a-z0-9]+-[a-z0-9-]+$/);
});

scenario('a demo client takes the name that was typed, and others see it', async (scene) => {
  const [bob, alice] = await Promise.all([scene.demo('bob'), scene.demo('alice')]);
  await Promise.all([alice.button(`Call ${bob.id}`).waitFor(), bob.button(`Call ${alice.id}`).waitFor()]);
  assert.equal(await bob.button(`Call ${bob.id}`).count(), 0);
  await alice.press('Sign out');
  await bob.button(`Call ${alice.id}`).waitFor({ state: 'detached' });
});

scenario('a name that no client can have is refused with a sentence, and nothing of it is markup', async (scene) => {
  const tab = await scene.open();
  await tab.page.getByLabel('Name').fill('<img src=x onerror=alert(1)>');
  await tab.press('Try it: demo client');
  await tab.shows('A name is made of letters');
  assert.equal(await tab.page.locator('img').count(), 0);
});

scenario('everything that is needed to sign in stands in the token', async (scene) => {
  const token = await demoToken(scene, scene.id('bob'));
  const tab = await scene.open();
  await signInWith(tab, ` ${token}\n`);
  await tab.shows('Can be called');
  await tab.shows(scene.id('bob'));
  const kept = await tab.page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
  assert.deepEqual(kept, [0, 0, '']);
  assert.equal(await tab.page.locator('#token').inputValue(), '');
});

scenario('a reload signs out', async (scene) => {
  const tab = await scene.demo('bob');
  await tab.page.reload();
  await tab.button('Sign in').waitFor();
});

scenario('what is no token is told in plain words', async (scene) => {
  const token = await demoToken(scene, scene.id('bob'));
  const tab = await scene.open();
  const alert = tab.page.getByRole('alert').filter({ visible: true });
  const wrong = [
    ['hello', /not a token: a token is three parts/],
    [`${token}.a.b`, /encrypted/],
    [token.replace(/\.[^.]*\./, '.e30x.'), /cannot be read/],
    [withClaims(token, { sub: undefined }), /names no client/],
    [withClaims(token, { aud: 'elsewhere' }), /names no cloud/],
    [withClaims(token, { iss: '' }), /names no account/],
    [withClaims(token, { scope: ['other'] }), /not for calls from a browser/],
    [withClaims(token, { exp: Math.floor(Date.now() / 1000) - 7300 }), /ended 2 hours ago, at /],
    [withClaims(token, { nbf: Math.floor(Date.now() / 1000) + 7300 }), /good only from /],
  ];
  for (const [text, sentence] of wrong) {
    await signInWith(tab, text);
    await alert.filter({ hasText: sentence }).waitFor();
  }
  const focused = await tab.page.evaluate(() => document.activeElement.id);
  assert.equal(focused, 'token');
});

scenario('a token that the server does not accept is told in plain words, and another try is free', async (scene) => {
  const token = await demoToken(scene, scene.id('bob'));
  const tab = await scene.open();
  await signInWith(tab, withClaims(token, { jti: 'tampered' }));
  await tab.shows('This server did not accept the token.');
  await signInWith(tab, token);
  await tab.shows('Can be called');
});

scenario('whom to call can come with the address', async (scene) => {
  const tab = await scene.demo('bob', { query: '?to=carol' });
  assert.equal(await tab.page.getByLabel('Client id').inputValue(), 'carol');
  const focused = await tab.page.evaluate(() => document.activeElement.id);
  assert.equal(focused, 'to');
});

scenario('signing out takes the client off the list', async (scene) => {
  const tab = await scene.demo('bob');
  const listed = async () => {
    const { text } = await scene.server.request('GET', '/demo/clients');
    return JSON.parse(text).some(({ client_id }) => client_id === tab.id);
  };
  await eventually('bob is listed', listed);
  await tab.press('Sign out');
  await tab.button('Sign in').waitFor();
  await eventually('bob is no longer listed', async () => !(await listed()));
});

scenario('the page comes with the headers that it needs, and its files with their types', async (scene) => {
  const page = await scene.server.request('GET', '/');
  const policy = page.headers['content-security-policy'];
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.doesNotMatch(page.text, /<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=/);
  assert.doesNotMatch(page.text, /(?:src|href)="(?:https?:)?\/\//);
});
