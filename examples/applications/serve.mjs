// What every sample for Node needs: a server that asks a function for each page, and checks the signature where OFFHOOK_SECRET is set.
import http from 'node:http';

import { isOurs } from './signature.mjs';

const { OFFHOOK_SECRET: secret, PORT: port = '5000' } = process.env;

/** `pages` has a function for each path: it gets the instance, and gives back the actions. `visits` has what browsers ask for, such as `GET /`: a
 * function gets the form, and gives back a status and HTML. */
export function serve(pages, visits = {}) {
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const instance = Buffer.concat(parts).toString();
    const { pathname } = new URL(request.url, 'http://localhost');
    const visit = visits[`${request.method} ${pathname}`];
    if (visit) {
      const [status, html] = await visit(new URLSearchParams(instance));
      return response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end(html);
    }
    const page = pages[pathname.slice(1)];
    if (secret && !isOurs(request.headers, instance, secret)) return response.writeHead(403).end();
    if (request.method !== 'POST' || !page) return response.writeHead(404).end();
    const actions = page(JSON.parse(instance)) ?? [];
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ api_version: '2.0', actions }));
  });
  server.listen(Number(port), '127.0.0.1', () => console.log(`answers at http://127.0.0.1:${server.address().port}/first`));
  return server;
}

export const say = (text) => ({ text_to_say: text });
export const tone = (hz, milliseconds) => ({ tone: { frequencies_hz: [hz], milliseconds } });
export const play = (...play_list) => ({ play: { play_list } });
