// Debian's Chromium, headless, with fake microphone, camera and screen, and with the SDK's built-in host names led to us;
// and the little site that gives it the page. No other name resolves.
import { readFile } from 'node:fs/promises';
import http from 'node:http';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';

import { CLOUD_ID } from './server.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const WEB_SERVICES_HOST = `ws-${CLOUD_ID}.aculabcloud.net`;
const SIGNALLING_HOST = `webrtc-${CLOUD_ID}.aculabcloud.net`;

/** A browser whose SDK reaches 127.0.0.1:`port`. */
export async function launch(port) {
  const rules = [WEB_SERVICES_HOST, SIGNALLING_HOST].map((host) => `MAP ${host} 127.0.0.1:${port}`);
  rules.push('MAP * ~NOTFOUND', 'EXCLUDE localhost', 'EXCLUDE 127.0.0.1');
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    chromiumSandbox: false,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      '--auto-accept-this-tab-capture',
      '--ignore-certificate-errors',
      `--host-resolver-rules=${rules.join(', ')}`,
    ],
  });
}

/** Serves the page on localhost, where a browser allows microphones without TLS. */
export async function servePage() {
  const folder = new URL('../page/', import.meta.url);
  const bundled = await build({
    entryPoints: [new URL('client.mjs', folder).pathname],
    bundle: true,
    format: 'iife',
    write: false,
    logLevel: 'silent',
  });
  const files = new Map([
    ['/', ['text/html; charset=utf-8', await readFile(new URL('index.html', folder))]],
    ['/client.js', ['text/javascript; charset=utf-8', Buffer.from(bundled.outputFiles[0].contents)]],
  ]);
  const site = http.createServer((request, response) => {
    const [type, content] = files.get(request.url) ?? [];
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
