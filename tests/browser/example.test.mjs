// The example of the README, as a person uses it: two tabs of its page, a server without TLS, a call with video.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { build } from 'esbuild';

import { eventually } from './harness/bounded.mjs';
import { launch } from './harness/browser.mjs';
import { Server } from './harness/server.mjs';

const FOLDER = new URL('../../examples/first-call/', import.meta.url);
const props = {};

before(async () => {
  props.server = await Server.prepare([], { plain: true });
  props.account = await props.server.createAccount('a@b.c');
  await props.server.start();
  props.site = await serve();
  props.browser = await launch(props.server.port);
});

after(async () => {
  await props.browser?.close();
  props.site?.closeAllConnections();
  props.site?.close();
  await props.server?.discard();
});

/** The page and its bundle; the SDK comes from where these tests have it. */
async function serve() {
  const bundled = await build({
    entryPoints: [new URL('first-call.js', FOLDER).pathname],
    nodePaths: [new URL('node_modules', import.meta.url).pathname],
    bundle: true,
    write: false,
    logLevel: 'silent',
  });
  const page = await readFile(new URL('index.html', FOLDER));
  const site = http.createServer((request, response) => {
    const isScript = request.url.startsWith('/page.js');
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html; charset=utf-8' });
    response.end(isScript ? Buffer.from(bundled.outputFiles[0].contents) : page);
  });
  await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
  return site;
}

async function tab(name) {
  const context = await props.browser.newContext();
  const page = await context.newPage();
  const server = `ws://127.0.0.1:${props.server.port}`;
  await page.goto(`http://localhost:${props.site.address().port}/?server=${encodeURIComponent(server)}`);
  await page.fill('[name=client]', name);
  await page.fill('[name=key]', props.account.webrtc_access_key);
  await page.fill('[name=token]', await props.server.token(props.account, name, { callClient: '*' }));
  await page.click('text=Register');
  await says(page, 'Registered.');
  return page;
}

function says(page, text) {
  return eventually(`the page says ${text}`, async () => (await page.textContent('#state')) === text);
}

test("the README's example: two tabs talk with video", { timeout: 60_000 }, async () => {
  const [ann, bob] = await Promise.all([tab('ann'), tab('bob')]);
  await ann.fill('[name=callee]', 'bob');
  await ann.click('text="Call"');
  await Promise.all([says(ann, 'Connected.'), says(bob, 'Connected.')]);
  const plays = (page) => page.evaluate(() => document.getElementById('video').videoWidth > 0);
  await Promise.all([ann, bob].map((page) => eventually('the picture is there', () => plays(page))));
  if (process.env.SCREENSHOT) await bob.screenshot({ path: process.env.SCREENSHOT });
  await bob.click('text=Hang up');
  await says(ann, 'The call has ended: NORMAL');
  assert.deepEqual(await props.server.registeredClients(props.account).then((all) => all.length), 2);
});
