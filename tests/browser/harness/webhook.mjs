// An application by webhook: pages that answer as a test tells, and remember what they were asked.
import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import http from 'node:http';

import { Happenings } from './bounded.mjs';
import { faults } from './schema.mjs';

export class Webhook {
  #pages = new Map();
  #asked = new Happenings();
  #server;
  /** The HMAC key of the service, once it is known: from then on every request must be signed with it. */
  secret = null;

  static async listen() {
    const webhook = new Webhook();
    webhook.#server = http.createServer((request, response) => webhook.#answer(request, response));
    await new Promise((resolve) => webhook.#server.listen(0, '127.0.0.1', resolve));
    return webhook;
  }

  address(page) {
    return `http://127.0.0.1:${this.#server.address().port}/${page}`;
  }

  /** From now on a page answers with these actions, or with what `actions` makes of the instance, at once or later. */
  page(name, actions) {
    this.#pages.set(name, actions);
    return this;
  }

  /** What a page is told the next time, or was told already and nobody has looked at. */
  async told(name) {
    const wanted = (asked) => asked.page === name && !asked.isSeen;
    const { happening } = await this.#asked.first(`the page ${name} is asked`, wanted);
    happening.isSeen = true;
    return happening.instance;
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url, 'http://webhook');
    const body = request.method === 'GET' ? url.searchParams.get('instance_info') : Buffer.concat(chunks).toString();
    if (this.secret) assert.ok(isSigned(request, body, this.secret), 'the request is signed');
    const page = url.pathname.slice(1);
    const instance = JSON.parse(body);
    assertInstance(instance);
    this.#asked.add({ page, instance, method: request.method });
    const actions = this.#pages.get(page);
    if (!actions) {
      response.writeHead(204).end();
      return;
    }
    const list = typeof actions === 'function' ? await actions(instance) : actions;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ actions: list, token: page, api_version: '2.0' }));
  }
}

/** Fails where an instance is none as docs/schemas/instance.json tells. */
export function assertInstance(instance) {
  assert.equal(faults('instance', instance), '', JSON.stringify(instance));
}

/** Whether the request bears the signature that docs/applications.md tells. */
function isSigned(request, body, secret) {
  const timestamp = request.headers['x-offhook-timestamp'];
  const given = Buffer.from(request.headers['x-offhook-signature'] ?? '');
  const made = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  const expected = Buffer.from(`v1=${made}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
