// A client that is no SDK: it registers, and answers each request as the scenario says. For answers that no SDK gives.
import { randomBytes } from 'node:crypto';

import { Happenings } from './bounded.mjs';

const ENDS = '\r\n';

export class SipPeer {
  #page;
  #domain;
  #token;
  #messages = new Happenings();
  #seen = 0;
  #instance = randomBytes(6).toString('hex');

  /** Registers `id` of `account`; the socket is a browser's own. */
  static async register({ browser, address, server, account, id, trace }) {
    const peer = new SipPeer();
    const context = await browser.newContext();
    peer.id = id;
    peer.#page = await context.newPage();
    peer.#domain = `${account.webrtc_access_key}.webrtc-${account.cloud_id}.aculabcloud.net`;
    peer.#token = await server.token(account, id);
    await peer.#page.exposeFunction('report', ({ type, text }) => type === 'message' && peer.#messages.add(text));
    await trace.attach(peer.#page, 'peer');
    await peer.#page.goto(new URL('/peer', address).href);
    await peer.#page.evaluate((url) => window.phone.open(url), `ws://127.0.0.1:${server.port}/sipproxy`);
    await peer.#register();
    return peer;
  }

  /** The next message that comes in and begins as told. */
  async until(beginning) {
    const fits = (message) => beginning.test(message);
    const { place, happening } = await this.#messages.first(`the peer receives ${beginning}`, fits, { from: this.#seen });
    this.#seen = place + 1;
    return happening;
  }

  /** Answers a request; `more` are further header lines. */
  async respond(request, status, more = [], body = '') {
    const copied = lines(request).filter((line) => /^(via|from|call-id|cseq|record-route):/i.test(line));
    const to = lines(request).find((line) => /^to:/i.test(line));
    const tagged = status === '100 Trying' || /;tag=/.test(to) ? to : `${to};tag=${this.#instance}`;
    const contact = `Contact: <sip:${this.#instance}@${this.#instance}.invalid;transport=ws>`;
    const own = more.some((line) => /^contact:/i.test(line)) ? [] : [contact];
    await this.#send([`SIP/2.0 ${status}`, ...copied, tagged, ...own, ...more], body);
  }

  async close() {
    await this.#page.context().close();
  }

  async #register() {
    const address = `sip:${this.id}@${this.#domain}`;
    await this.#send([
      `REGISTER sip:${this.#domain} SIP/2.0`,
      `Via: SIP/2.0/WS ${this.#instance}.invalid;branch=z9hG4bK${randomBytes(6).toString('hex')}`,
      'Max-Forwards: 70',
      `From: <${address}>;tag=${this.#instance}`,
      `To: <${address}>`,
      `Call-ID: ${randomBytes(8).toString('hex')}`,
      'CSeq: 1 REGISTER',
      `Contact: <sip:${this.#instance}@${this.#instance}.invalid;transport=ws>;expires=600`,
      `Authorization: Bearer ${this.#token}`,
    ]);
    const answer = await this.until(/^SIP\/2.0 /);
    if (!answer.startsWith('SIP/2.0 200 ')) throw new Error(`the peer is not registered: ${answer}`);
  }

  async #send(head, body = '') {
    const text = [...head, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join(ENDS);
    await this.#page.evaluate((message) => window.phone.send(message), text);
  }
}

function lines(message) {
  return message.split(ENDS + ENDS)[0].split(ENDS);
}
