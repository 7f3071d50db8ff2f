// Browsers in rooms, and clients in them whose pages use relays as they are told.
import { readFile } from 'node:fs/promises';

import { eventually } from '../../browser/harness/bounded.mjs';
import { CHROMIUM, launch, pages, SIGNALLING_HOST } from '../../browser/harness/browser.mjs';
import { Client } from '../../browser/harness/page.mjs';

/** No such site is there: what is loaded from it is answered without a network. */
const SITE = 'https://phone.example';

/** A browser that is in this room and nowhere else. */
export async function browserIn(room) {
  const executablePath = await room.portal(CHROMIUM, [SIGNALLING_HOST]);
  return launch(undefined, { executablePath, more: ['--ignore-certificate-errors'] });
}

/**
 * Gives back what opens a client in a browser: `how` says which ICE servers its page uses, and of which candidates; `kind`
 * names the page.
 */
export async function opener() {
  const answer = await pages();
  const watch = await readFile(new URL('relay_watch.js', import.meta.url), 'utf8');
  const prepare = (page) => page.route(`${SITE}/**`, async (route) => {
    const [contentType, body] = await answer(route.request().url());
    await route.fulfill(contentType ? { contentType, body } : { status: 404 });
  });
  return (client, how, kind = '') => Client.open({
    ...client,
    address: `${SITE}/${kind}?server=https://${SIGNALLING_HOST}`,
    script: { content: `${watch}\nwatchRelays(${JSON.stringify(how)});` },
    prepare,
  });
}

/** The pair that a page's media take, when they take one. */
export function pairOf(client) {
  return eventually(`${client.name} has chosen a pair`, () => client.page.evaluate('selectedPair()'));
}
