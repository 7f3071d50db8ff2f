// Debian's Chromium, headless, with fake microphone, camera and screen: whole, or only its engine in a shell, which is half the
// work to start and to open pages in, but hides its addresses and never hears a tab close. Where it is told so, with the SDK's built-in host
// names led to us, and no other name resolves. And the little site that gives it the pages.
import { readFile } from 'node:fs/promises';
import http from 'node:http';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';

import { CLOUD_ID } from './server.mjs';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SHELL = process.env.CHROMIUM_SHELL ?? '/usr/bin/chromium-headless-shell';

export const WEB_SERVICES_HOST = `ws-${CLOUD_ID}.aculabcloud.net`;
export const SIGNALLING_HOST = `webrtc-${CLOUD_ID}.aculabcloud.net`;
const FOLDER = new URL('../page/', import.meta.url);

/**
 * A browser. With a port its SDK reaches 127.0.0.1:`port` by resolver rules, whatever the certificate; without one it is as
 * a person's: it resolves what it resolves, and believes no certificate of ours. `whole`: the browser that people have, instead
 * of the shell. `executablePath` may be a program that starts
 * Chromium somewhere else, with `more` flags.
 */
export async function launch(port, { whole = false, executablePath = whole ? CHROMIUM : SHELL, more = [] } = {}) {
  return chromium.launch({
    executablePath,
    headless: true,
    chromiumSandbox: false,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      '--auto-accept-this-tab-capture',
      ...(port === undefined ? [] : ledTo(port)),
      ...more,
    ],
  });
}

function ledTo(port) {
  const rules = [WEB_SERVICES_HOST, SIGNALLING_HOST].map((host) => `MAP ${host} 127.0.0.1:${port}`);
  rules.push('MAP * ~NOTFOUND', 'EXCLUDE localhost', 'EXCLUDE 127.0.0.1');
  return ['--ignore-certificate-errors', `--host-resolver-rules=${rules.join(', ')}`];
}

/** The pages by their paths: what they load, and whether the shim is loaded before it. */
const PAGES = new Map([
  ['/', { entry: 'stock.mjs' }],
  ['/shim', { entry: 'stock.mjs', shim: true }],
  ['/shim3', { entry: 'stock3.mjs', shim: true }],
  ['/offhook', { entry: 'offhook.mjs' }],
  ['/peer', { entry: 'peer.mjs' }],
]);

/** Gives back `answer(url)`: the type and the content of a page or of what it loads; empty for anything else. */
export async function pages() {
  const template = await readFile(new URL('index.html', FOLDER), 'utf8');
  const bundles = new Map();
  const bundle = (entry) => {
    if (!bundles.has(entry)) bundles.set(entry, bundled(entry));
    return bundles.get(entry);
  };
  return async (url) => {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const page = PAGES.get(pathname);
    if (page) return ['text/html; charset=utf-8', html(template, page, searchParams.get('server'))];
    const entry = [...PAGES.values()].map((known) => known.entry).find((known) => pathname === `/${known}`);
    return entry ? ['text/javascript', await bundle(entry)] : [];
  };
}

/**
 * Serves the pages on localhost, where a browser allows microphones without TLS. `?server=` is the origin of the server
 * whose library or shim a page loads.
 */
export async function servePage() {
  const answer = await pages();
  const site = http.createServer(async (request, response) => {
    const [type, content] = await answer(request.url);
    response.writeHead(content ? 200 : 404, type ? { 'content-type': type } : {});
    response.end(content);
  });
  await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
  return {
    address: `http://localhost:${site.address().port}/`,
    close: () => {
      site.closeAllConnections();
      return new Promise((closed) => site.close(closed));
    },
  };
}

function html(template, { entry, shim }, server) {
  const scripts = [`<script src="/${entry}"></script>`];
  if (shim) scripts.unshift(`<script src="${new URL('/sdk/resume-shim.js', server)}"></script>`);
  return template.replace('<!-- scripts -->', scripts.join('\n    '));
}

async function bundled(entry) {
  const { outputFiles } = await build({
    entryPoints: [new URL(entry, FOLDER).pathname],
    bundle: true,
    format: 'iife',
    write: false,
    logLevel: 'silent',
  });
  return Buffer.from(outputFiles[0].contents);
}
