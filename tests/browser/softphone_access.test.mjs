// The softphone page for everybody: by keyboard alone, by name and role, at phone width; and what it shows of a
// network that is hostile or lost.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { eventually } from './harness/bounded.mjs';
import { street } from './harness/softphone.mjs';

const scenario = street();
const scripted = await readFile(new URL('harness/softphone_library.js', import.meta.url), 'utf8');
const HOSTILE = '<img src=x onerror=complain(1)>\u202Egnp.exe\u0000\u200B' + 'W'.repeat(5000);

/** A signed-in tab whose library does what the test says. */
async function played(scene, options) {
  const tab = await scene.open({ library: scripted, ...options });
  await tab.takeDemo(scene.id('bob'));
  return tab;
}

/** Presses Tab until the element with this role and name has the focus. */
async function tabTo(tab, role, name) {
  const wanted = tab.page.getByRole(role, { name, exact: true });
  await eventually(`${name} has the focus`, async () => {
    if (await wanted.evaluate((element) => element === document.activeElement).catch(() => false)) return true;
    await tab.page.keyboard.press('Tab');
    return false;
  });
}

const focused = (tab) => tab.page.evaluate(() => document.activeElement.id);

scenario('a call by keyboard alone, from signing in to hanging up', async (scene) => {
  const bob = await scene.open();
  const { keyboard } = bob.page;
  await tabTo(bob, 'textbox', 'Name (leave empty for a random one)');
  await keyboard.type(scene.id('bob'));
  await keyboard.press('Enter');
  await bob.shows('Can be called');
  const alice = await scene.demo('alice');
  await tabTo(bob, 'textbox', 'Client id');
  await keyboard.type(alice.id);
  await keyboard.press('Enter');
  await alice.incoming.waitFor();
  assert.equal(await focused(alice), 'incoming');
  await alice.page.keyboard.press('Tab');
  assert.equal(await focused(alice), 'answer-audio');
  await alice.page.keyboard.press('Enter');
  await Promise.all([bob.talks(), alice.talks()]);
  assert.deepEqual([await focused(bob), await focused(alice)], ['call-other', 'call-other']);
  await tabTo(bob, 'button', 'Mute');
  await keyboard.press('Space');
  await bob.shows('You are muted');
  await tabTo(bob, 'button', 'Hang up');
  await keyboard.press('Enter');
  await bob.ended();
  assert.equal(await focused(bob), 'ended-title');
  await alice.ended();
});

scenario('the panel of a call takes the focus and gives it back; Escape only silences', async (scene) => {
  const tab = await played(scene);
  await tab.page.getByLabel('Client id').focus();
  await tab.page.evaluate(() => {
    window.library.client.call('carol', { video: true });
    // Who was typing did not mean to answer.
    document.activeElement.dispatchEvent(
      new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }),
    );
  });
  assert.equal(await focused(tab), 'incoming');
  await tab.page.getByRole('alert').filter({ hasText: 'Video call from carol.' }).waitFor({ state: 'attached' });
  assert.equal(await tab.incoming.isVisible(), true);
  await tab.page.keyboard.press('Escape');
  await tab.page.getByRole('status').filter({ hasText: 'silenced' }).waitFor({ state: 'attached' });
  assert.equal(await tab.incoming.isVisible(), true);
  await tab.page.evaluate(() => window.library.calls[0].end('NORMAL', 'carol gave up.'));
  await tab.incoming.waitFor({ state: 'hidden' });
  assert.equal(await tab.ended(), 'carol gave up.');
});

scenario('Enter on the panel answers', async (scene) => {
  const tab = await played(scene);
  await tab.page.evaluate(() => window.library.client.call('carol'));
  await eventually('the call is answered', async () => {
    await tab.page.keyboard.press('Enter');
    return !(await tab.incoming.isVisible());
  });
  await tab.talks();
});

scenario('landmarks, names and live regions are there', async (scene) => {
  const tab = await played(scene);
  const { page } = tab;
  await page.getByRole('banner').waitFor();
  await page.getByRole('main').waitFor();
  await page.getByRole('region', { name: 'Call somebody' }).waitFor();
  await page.getByRole('region', { name: 'Who is here' }).waitFor();
  await page.getByRole('region', { name: 'Call', exact: true }).waitFor();
  await tab.dial('carol');
  await page.evaluate(() => window.library.calls[0].onConnected({}));
  const controls = page.getByRole('group', { name: 'Call controls' });
  for (const name of ['Mute', 'Camera', 'Share screen', 'Hold', 'Keypad', 'Hang up']) {
    await controls.getByRole('button', { name, exact: true }).waitFor();
  }
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, input, textarea')]
      .filter((element) => !element.textContent.trim() && !element.ariaLabel && !element.labels?.length)
      .map(({ id }) => id),
  );
  assert.deepEqual(nameless, []);
});

scenario('a hostile caller is shown as text, bounded, and turns nothing round', async (scene) => {
  for (const viewport of [
    { width: 390, height: 844 },
    { width: 1280, height: 800 },
  ]) {
    const tab = await played(scene, { viewport });
    await tab.page.evaluate((text) => window.library.client.call(text, { headers: { 'X-Note': [text] } }), HOSTILE);
    const name = await tab.page.locator('#incoming-title').innerText();
    assert.ok(name.startsWith('<img src=x onerror=complain(1)>\u{FFFD}gnp'), name);
    assert.ok(name.length <= 48, name);
    assert.ok((await tab.page.title()).length < 80);
    assert.doesNotMatch(await tab.page.title(), /[\u202E\u0000]/);
    assert.equal(await tab.page.locator('img').count(), 0);
    await tab.button('Reject').click({ trial: true });
    assert.equal(await tab.page.evaluate(() => document.documentElement.scrollWidth), viewport.width);
    await tab.press('Answer');
    await tab.talks();
    await tab.page.evaluate((text) => window.library.calls[0].end('FAILED', text), HOSTILE);
    assert.ok((await tab.ended()).length <= 200);
    assert.equal(await tab.page.evaluate(() => document.documentElement.scrollWidth), viewport.width);
  }
});

scenario('a lost connection is told, and a call that goes on', async (scene) => {
  const tab = await played(scene);
  await tab.dial('carol');
  await tab.page.evaluate(() => window.library.calls[0].onConnected({}));
  const signalling = (state, reason, more) =>
    tab.page.evaluate((told) => window.library.client.onSignalling(told), { state, reason, ...more });
  await signalling('resuming', 'The network is gone.', { window_s: 60 });
  await tab.shows('Connection lost, trying to come back… Your call goes on if that works within 1 minute.');
  await tab.shows('Coming back…');
  await signalling('connected', '');
  await tab.page.getByText('Connection lost').waitFor({ state: 'hidden' });
  await signalling('lost', 'it did not come back in 60 s');
  await tab.shows('It did not come back in 60 s. This page tries again by itself.');
  await tab.button('Connect again').waitFor();
});

scenario('the connection test can be seen during a call, and tells no time that was not taken', async (scene) => {
  const tab = await played(scene);
  await tab.dial('carol');
  await tab.page.evaluate(() => window.library.calls[0].onConnected({}));
  await tab.press('Test connection');
  const test = tab.page.getByRole('region', { name: 'Connection test' });
  await test.getByText('All is well for calls.').waitFor();
  assert.equal(await test.getByText('0 ms').count(), 0);
  await tab.button('Hang up').click({ trial: true });
  await tab.press('Close the connection test');
  await test.waitFor({ state: 'hidden' });
  await tab.talks();
});

scenario('the fault of a client id goes when another is typed', async (scene) => {
  const tab = await played(scene);
  await tab.dial('no such name');
  await tab.shows('is no client id');
  await tab.page.getByLabel('Client id').fill('carol');
  await tab.page.locator('#dial-fault').waitFor({ state: 'hidden' });
});

scenario('the quality of a line is told in words and in numbers', async (scene) => {
  const tab = await played(scene);
  await tab.dial('carol');
  await tab.page.evaluate(() => {
    const [call] = window.library.calls;
    call.onConnected({});
    call.onQuality({ call, rtt_ms: null, jitter_ms: 31.4, loss_percent: 9.26, mos: 2.1, level: 'poor' });
  });
  await tab.page.getByText('Poor line').click();
  const terms = await tab.page.locator('#quality-list dd').allInnerTexts();
  assert.deepEqual(terms, ['–', '31 ms', '9.3 %', '2.1 of 4.5']);
});

scenario('what could not be done is told, and the call goes on', async (scene) => {
  const tab = await played(scene);
  await tab.dial('carol');
  await tab.page.evaluate(() => window.library.calls[0].onConnected({}));
  await tab.press('Hold');
  await tab.shows('The call could not be put on hold or taken up: The other side did not answer.');
  await tab.shows('Connected');
});

scenario('a token that ends soon can be replaced by one of the same client only', async (scene) => {
  const tab = await played(scene);
  const token = (sub, exp = 9_999_999_999) => {
    const claims = { aud: '1-2-0', iss: 'key', sub, exp };
    const old = window.library.tokens[0].split('.')[1];
    Object.assign(claims, { iss: JSON.parse(atob(old.replace(/-/g, '+').replace(/_/g, '/'))).iss });
    return `e30.${btoa(JSON.stringify(claims)).replace(/=+$/, '')}.e30`;
  };
  await tab.page.evaluate(() => {
    window.library.client.onTokenWillExpire({
      expires: new Date(Date.now() + 60_000),
      secondsLeft: 60,
      renew: async (given) => window.library.tokens.push(given),
    });
  });
  await tab.shows('Your token ends at');
  await tab.page.getByLabel('New token').fill(await tab.page.evaluate(`(${token})('mallory')`));
  await tab.press('Use it');
  await tab.shows('This token is for somebody else.');
  await tab.page.getByLabel('New token').fill(await tab.page.evaluate(`(${token})(${JSON.stringify(tab.id)})`));
  await tab.press('Use it');
  await tab.page.getByText('Your token ends at').waitFor({ state: 'hidden' });
  assert.equal(await tab.page.evaluate(() => window.library.tokens.length), 2);
});

scenario('at the width of a phone nothing runs over, and fingers find the buttons', async (scene) => {
  const tab = await played(scene, { viewport: { width: 360, height: 780 }, hasTouch: true });
  const wide = () => tab.page.evaluate(() => document.documentElement.scrollWidth);
  const small = () =>
    tab.page.evaluate(() =>
      [...document.querySelectorAll('button, input, summary')]
        .filter((element) => element.checkVisibility())
        .map((element) => ({ name: element.id || element.textContent, box: element.getBoundingClientRect() }))
        .filter(({ box }) => box.height > 1 && (box.height < 43.5 || box.width < 43.5))
        .map(({ name, box }) => `${name} ${box.width}x${box.height}`),
    );
  assert.equal(await wide(), 360);
  assert.deepEqual(await small(), []);
  await tab.dial('carol');
  await tab.page.evaluate(() => window.library.calls[0].onConnected({}));
  await tab.press('Keypad');
  assert.equal(await wide(), 360);
  assert.deepEqual(await small(), []);
  await tab.page.evaluate(() => window.library.calls[0].end('NORMAL', 'carol hung up.'));
  await tab.ended();
  assert.equal(await wide(), 360);
  assert.deepEqual(await small(), []);
});

scenario('a token that has ended is told as ended', async (scene) => {
  const tab = await played(scene);
  await tab.page.evaluate(() => {
    const expires = new Date(Date.now() + 100);
    window.library.client.onTokenWillExpire({ expires, secondsLeft: 0, renew: async () => {} });
  });
  await tab.shows('Your token ended at');
});

scenario('at 390 pixels the ways to call have one line each', async (scene) => {
  const tab = await played(scene, { viewport: { width: 390, height: 844 } });
  const heights = await tab.page.evaluate(() =>
    ['dial-audio', 'dial-video'].map((id) => document.getElementById(id).getBoundingClientRect().height),
  );
  assert.deepEqual(heights, [44, 44]);
});

/**
 * Relative luminance and contrast by WCAG 2.2 §1.4.3, of every text that is seen, against what is painted behind
 * it.
 */
const faintTexts = () => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [r, g, b], alpha: a / 255 };
  };
  const over = (top, under) => top.rgb.map((value, index) => value * top.alpha + under[index] * (1 - top.alpha));
  const behind = (element) => {
    if (element === null) return [255, 255, 255];
    const { backgroundColor, backgroundImage } = getComputedStyle(element);
    const painted = /gradient/.test(backgroundImage) ? /rgb[^)]*\)/.exec(backgroundImage)?.[0] : backgroundColor;
    const colour = rgba(painted ?? backgroundColor);
    return colour.alpha === 1 ? colour.rgb : over(colour, behind(element.parentElement));
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb
      .map((value) => value / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(':disabled, .visually-hidden, svg')) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const [light, dark] = [luminance(over(rgba(style.color), back)), luminance(back)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 40)}`);
  }
  return faint;
};

for (const colorScheme of ['light', 'dark']) {
  scenario(`texts have the contrast of WCAG AA: ${colorScheme}`, async (scene) => {
    const tab = await scene.open({ library: scripted, colorScheme });
    const check = async () => assert.deepEqual(await tab.page.evaluate(faintTexts), []);
    await check();
    await tab.page.getByLabel('Name').fill('no such name');
    await tab.press('Try it: demo client');
    await tab.shows('A name is made of');
    await check();
    await tab.takeDemo(scene.id('bob'));
    await check();
    await tab.dial('carol');
    await tab.page.evaluate(() => {
      const [call] = window.library.calls;
      call.onConnected({});
      call.onQuality({ call, rtt_ms: 1, jitter_ms: 1, loss_percent: 0, mos: 4.4, level: 'good' });
      window.library.client.onSignalling({ state: 'resuming', reason: '' });
      window.library.client.call('dave', { headers: { 'X-Note': ['About the gate'] } });
    });
    await check();
    await tab.page.evaluate(() => window.library.calls.forEach((call) => call.end('NORMAL', 'carol hung up.')));
    await tab.ended();
    await check();
  });
}
