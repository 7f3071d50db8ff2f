// The examples of the README, as a person uses them: two tabs of each page, a server without TLS, a call with video.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { build } from 'esbuild';

import { eventually } from './harness/bounded.mjs';
import { launch } from './harness/browser.mjs';
import { Server } from './harness/server.mjs';

const ROOT = new URL('../../', import.meta.url);
const FIRST_CALL = new URL('examples/first-call/', ROOT);
const OWN_PAGE = new URL('examples/own-page/index.html', ROOT);
const props = {};

before(async () => {
  props.server = await Server.prepare([], { plain: true });
  props.account = await props.server.createAccount('a@b.c');
  await props.server.start();
  props.site = await serve();
  props.browser = await launch();
});

after(async () => {
  await props.browser?.close();
  props.site?.closeAllConnections();
  props.site?.close();
  await props.server?.discard();
});

/** The pages, led to the port that this server has, and the bundle; the SDK comes from where these tests have it. */
async function serve() {
  const bundled = await build({
    entryPoints: [new URL('first-call.js', FIRST_CALL).pathname],
    nodePaths: [new URL('node_modules', import.meta.url).pathname],
    bundle: true,
    write: false,
    logLevel: 'silent',
  });
  const files = new Map([
    ['/', await page(new URL('index.html', FIRST_CALL))],
    ['/own', await page(OWN_PAGE)],
  ]);
  const site = http.createServer((request, response) => {
    const file = files.get(new URL(request.url, 'http://localhost').pathname);
    response.writeHead(200, { 'content-type': file ? 'text/html; charset=utf-8' : 'text/javascript' });
    response.end(file ?? Buffer.from(bundled.outputFiles[0].contents));
  });
  await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
  return site;
}

async function page(file) {
  const text = await readFile(file, 'utf8');
  assert.match(text, /http:\/\/localhost:8080\//);
  return text.replaceAll('http://localhost:8080/', `http://localhost:${props.server.port}/`);
}

async function tab(path) {
  const context = await props.browser.newContext();
  const opened = await context.newPage();
  await opened.goto(`http://localhost:${props.site.address().port}${path}`);
  return opened;
}

async function firstCall(name) {
  const opened = await tab('/');
  await opened.fill('[name=client]', name);
  await opened.fill('[name=key]', props.account.webrtc_access_key);
  await opened.fill('[name=token]', await props.server.token(props.account, name, { callClient: '*' }));
  await opened.click('text=Register');
  await says(opened, 'Registered.');
  return opened;
}

async function ownPage(me, other) {
  const token = await props.server.token(props.account, me, { callClient: '*' });
  const opened = await tab(`/own?${new URLSearchParams({ me, other, key: props.account.webrtc_access_key, token })}`);
  await says(opened, 'Registered.');
  return opened;
}

function says(opened, text) {
  return eventually(`the page says ${text}`, async () => (await opened.textContent('#state')) === text);
}

function pictures(...pages) {
  const plays = (opened) => opened.evaluate(() => document.getElementById('video').videoWidth > 0);
  return Promise.all(pages.map((opened) => eventually('the picture is there', () => plays(opened))));
}

test('the stock SDK with one more script tag: two tabs talk with video', { timeout: 60_000 }, async () => {
  const [ann, bob] = await Promise.all([firstCall('ann'), firstCall('bob')]);
  await ann.fill('[name=callee]', 'bob');
  await ann.click('text="Call"');
  await Promise.all([says(ann, 'Connected.'), says(bob, 'Connected.')]);
  await pictures(ann, bob);
  if (process.env.SCREENSHOT) await bob.screenshot({ path: process.env.SCREENSHOT });
  await bob.click('text=Hang up');
  await says(ann, 'The call has ended: NORMAL');
  assert.deepEqual(await props.server.registeredClients(props.account).then((all) => all.length), 2);
});

test('the page with the stock SDK says what it cannot do', { timeout: 60_000 }, async () => {
  const ann = await tab('/');
  await ann.fill('[name=callee]', 'bob');
  await ann.click('text="Call"');
  await says(ann, 'Register first.');
  await ann.fill('[name=client]', 'ann');
  await ann.fill('[name=key]', props.account.webrtc_access_key);
  await ann.fill('[name=token]', 'no token');
  await ann.click('text=Register');
  await says(ann, 'Invalid token.');
  await ann.fill('[name=key]', 'wrong');
  await ann.fill('[name=token]', await props.server.token(props.account, 'ann'));
  await ann.click('text=Register');
  await says(ann, 'Not registered: FAILED');
});

test('the page of the README says what is thrown', { timeout: 60_000 }, async () => {
  const words = { me: 'ann', other: 'bob', key: props.account.webrtc_access_key, token: 'no token' };
  await says(await tab(`/own?${new URLSearchParams(words)}`), 'Uncaught Invalid token');
  await says(await tab(`/own?${new URLSearchParams({ ...words, key: 'No Key' })}`), 'Uncaught Invalid webRtcAccessKey');
});

test("a page with our library, as the README shows it: two tabs talk with video", { timeout: 60_000 }, async () => {
  const readme = await readFile(new URL('README.md', ROOT), 'utf8');
  assert.ok(readme.includes(await readFile(OWN_PAGE, 'utf8')), 'the README shows examples/own-page/index.html as it is');
  const [cleo, dan] = await Promise.all([ownPage('cleo', 'dan'), ownPage('dan', 'cleo')]);
  await cleo.click('text="Call"');
  await pictures(cleo, dan);
  await dan.close();
  await eventually('the end is told', async () => (await cleo.textContent('#state')) !== 'Registered.');
});
