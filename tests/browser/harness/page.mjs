// One client: a browser context with one page, driven through `window.phone`, and what its app was told so far.
import path from 'node:path';

import { eventually, Happenings, PATIENCE_MS } from './bounded.mjs';

const LOOKS_WITHOUT_MORE = 12;

export class Client {
  #server;
  #account;
  #page;
  #context;
  #trace;
  #events = new Happenings();
  #seen = 0;

  /**
   * Opens the page as the client `id` of `account`; `name` is how the trace calls it. `prepare` gets the page while it is
   * still empty.
   */
  static async open({ browser, address, server, account, id, name, trace, script, proxy, prepare, anyCertificate = true }) {
    const client = new Client();
    Object.assign(client, { id, name, proxy });
    client.#server = server;
    client.#account = account;
    client.#trace = trace;
    client.#context = await browser.newContext({ ignoreHTTPSErrors: anyCertificate });
    client.#page = await client.#context.newPage();
    await client.#page.exposeFunction('report', (event) => client.#told(event));
    await client.#page.exposeFunction('freshToken', (options) => client.token(options));
    client.#page.on('pageerror', (error) => trace.note(name, 'page error:', String(error)));
    client.#page.on('console', (message) => {
      if (message.type() === 'error') trace.note(name, 'console:', message.text());
    });
    await trace.attach(client.#page, name);
    if (process.env.OFFHOOK_SDK) await client.#page.route('**/sdk/*', copied);
    if (script) await client.#page.addInitScript(script);
    await prepare?.(client.#page);
    await client.#page.goto(address);
    await client.#phone('open', account.cloud_id, account.webrtc_access_key, id);
    return client;
  }

  /**
   * Runs `act` in the page with the client, these words, and the phone that holds both; gives back what it gives back. It
   * is sent there as text: nothing around it is known to it.
   */
  ask(act, ...words) {
    return inPage(this.#page, act, null, words);
  }

  /** For what the wrapped client cannot do. */
  get page() {
    return this.#page;
  }

  /** A token for this client from the web service. */
  token(options) {
    return this.#server.token(this.#account, this.id, options);
  }

  /** Registers, and waits until the app is told that it may be called. */
  async register(token) {
    await this.enableIncoming(token ?? (await this.token()));
    return this.until('state', ({ ready }) => ready);
  }

  enableIncoming(token) {
    return this.#phone('enableIncoming', token);
  }

  disableIncoming() {
    return this.#phone('disableIncoming');
  }

  /** Registers and takes itself back in the same turn of the event loop. */
  enableAndDisable(token) {
    return this.#page.evaluate((given) => {
      window.phone.enableIncoming(given);
      window.phone.disableIncoming();
    }, token);
  }

  /** Calls `other` with a token that allows it, unless another token is given. */
  async call(other, { token, ...options } = {}) {
    const given = token ?? (await this.token({ callClient: other.id }));
    return this.#ended(await this.#phone('call', other.id, given, options));
  }

  /** Calls a service: no token goes with that. */
  async callService(name, options = {}) {
    return this.#ended(await this.#phone('callService', name, options));
  }

  /** Calls, and hangs up in the same turn of the event loop. */
  async callAndHangUp(other) {
    const token = await this.token({ callClient: other.id });
    return this.#ended(await this.#phone('callAndHangUp', other.id, token));
  }

  /** Calls, and hangs up in the moment in which the INVITE has left. */
  async callAndCancel(other) {
    const token = await this.token({ callClient: other.id });
    return this.#ended(await this.#phone('callAndCancel', other.id, token));
  }

  /**
   * Waits until the socket of a client that is not registered is closed after its last call. The SDK closes it by and by,
   * and would take the socket of a call that begins meanwhile down with it.
   */
  idle() {
    return this.#trace.untilClosed(this.name);
  }

  /** The call of this number, for one that was made by `ask`. */
  callOf(number) {
    return this.#ended(number);
  }

  /** The next call that comes in. */
  async incoming() {
    const event = await this.until('incoming');
    return Object.assign(this.#ended(event.call), { from: event.from, kind: event.kind, offeringVideo: event.offeringVideo });
  }

  /** Waits for the next event of this kind that fits; those before it are passed over. */
  async until(type, fits = () => true, ms = PATIENCE_MS) {
    const what = `${this.name} is told ${type}; it was told ${JSON.stringify(this.#events.all)}`;
    const wanted = (event) => event.type === type && fits(event);
    const { place, happening } = await this.#events.first(what, wanted, { from: this.#seen, ms });
    this.#seen = place + 1;
    return happening;
  }

  /** What the wire to this client has seen; see harness/sip_trace.mjs. */
  traced(kind, beginning) {
    return this.#trace.messages(this.name, kind, beginning);
  }

  /** Waits until the wire to this client has seen a message that begins as told and fits. */
  untilTraced(kind, beginning, fits) {
    return this.#trace.untilFits(this.name, kind, beginning, fits);
  }

  /** Every event of this kind so far. */
  told(type) {
    return this.#events.all.filter((event) => event.type === type);
  }

  /** Whether the web service lists this client as registered. */
  async isListed() {
    const list = await this.#server.registeredClients(this.#account);
    return list.some(({ client_id }) => client_id === this.id);
  }

  /** The client goes away without a word, as a closed tab does. */
  async close() {
    await this.#context.close();
  }

  /** The page's process dies. */
  async crash() {
    const session = await this.#context.newCDPSession(this.#page);
    const crashed = new Promise((resolve) => this.#page.once('crash', resolve));
    // No answer comes from a process that has crashed.
    session.send('Page.crash').catch(() => {});
    await crashed;
  }

  #told(event) {
    this.#trace.note(this.name, 'is told', JSON.stringify(event));
    this.#events.add(event);
  }

  #phone(method, ...words) {
    return this.#page.evaluate(([name, given]) => window.phone[name](...given), [method, words]);
  }

  #ended(number) {
    const phone = (method, ...words) => this.#phone(method, number, ...words);
    const ask = (act, words) => inPage(this.#page, act, number, words);
    return new CallEnd(this, this.#events, phone, ask, number);
  }
}

/** A call as one of its two clients has it. */
class CallEnd {
  #client;
  #events;
  #phone;
  #ask;
  #number;
  #seen = 0;

  constructor(client, events, phone, ask, number) {
    this.#client = client;
    this.#events = events;
    this.#phone = phone;
    this.#ask = ask;
    this.#number = number;
  }

  get client() {
    return this.#client;
  }

  /** As a client's `ask`, with the call in place of the client. */
  ask(act, ...words) {
    return this.#ask(act, words);
  }

  /** Every event of this kind that this call was told so far. */
  told(type) {
    return this.#events.all.filter((event) => event.type === type && event.call === this.#number);
  }

  answer(options) {
    return this.#phone('answer', options);
  }

  reject(status) {
    return this.#phone('reject', status);
  }

  hangUp() {
    return this.#phone('hangUp');
  }

  /** Adds a capture of the tab to the call, by a re-INVITE. */
  share() {
    return this.#phone('share');
  }

  stopSharing() {
    return this.#phone('stopSharing');
  }

  callId() {
    return this.#phone('callId');
  }

  headers(name) {
    return this.#phone('headers', name);
  }

  /** Waits for the next event of this call. */
  async until(type, fits = () => true, ms = PATIENCE_MS) {
    const what = `${this.#client.name}'s call is told ${type}; its client was told ${JSON.stringify(this.#events.all)}`;
    const wanted = (event) => event.type === type && event.call === this.#number && fits(event);
    const { place, happening } = await this.#events.first(what, wanted, { from: this.#seen, ms });
    this.#seen = place + 1;
    return happening;
  }

  /** Waits for an event of this call, wherever it stands among the others: for those whose order means nothing. */
  async has(type, fits = () => true) {
    const what = `${this.#client.name}'s call is told ${type}; its client was told ${JSON.stringify(this.#events.all)}`;
    const wanted = (event) => event.type === type && event.call === this.#number && fits(event);
    return (await this.#events.first(what, wanted)).happening;
  }

  /** Waits until the call has ended and gives back the cause that the app was told. */
  async ended(ms) {
    return (await this.until('disconnected', undefined, ms)).cause;
  }

  /** Whether the app was told that this call ended. */
  hasEnded() {
    return this.#events.all.some(({ type, call }) => type === 'disconnected' && call === this.#number);
  }

  /** Waits until as many streams as told have received more than they had when this was asked. */
  async receives({ audio = 1, video = 0 }) {
    const enough = (counts) => counts.audio >= audio && counts.video >= video;
    const wish = `${this.#client.name} receives ${audio} audio and ${video} video`;
    const before = await eventually(`${wish}: streams`, async () => {
      const all = await this.#phone('inbound');
      const count = (wanted) => all.filter(({ kind }) => kind === wanted).length;
      return enough({ audio: count('audio'), video: count('video') }) && all;
    });
    await eventually(`${wish}: more than before`, async () => enough(await this.#phone('grown', before)));
  }

  /** Presses keys. */
  press(keys) {
    return this.#phone('press', keys);
  }

  /** Waits until one frequency is by far the loudest thing that is heard. */
  async hears(hz) {
    await eventually(`${this.#client.name} hears ${hz} Hz`, async () => {
      const { loudest, share } = await this.#phone('listens');
      return Math.abs(loudest - hz) < 20 && share > 0.5;
    });
  }

  /** Waits until it is loud and then still again: the other side's fake microphone. */
  async hearsBeeps() {
    for (const isLoud of [true, false]) {
      await eventually(`${this.#client.name} hears ${isLoud ? 'a beep' : 'nothing'}`, async () => {
        const { level } = await this.#phone('listens');
        return level > 0.01 === isLoud;
      });
    }
  }

  /** Waits until nothing more comes in: so many looks, one after the other, find the counters where they were. */
  async receivesNoMore() {
    let [last, same] = [-1, 0];
    await eventually(`${this.#client.name} receives no more`, async () => {
      const all = await this.#phone('inbound');
      const now = all.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
      same = now === last ? same + 1 : 0;
      last = now;
      return same >= LOOKS_WITHOUT_MORE;
    });
  }
}

/** Answers with the file of the folder OFFHOOK_SDK: so a broken copy of the library shows what the tests find. */
function copied(route) {
  const name = path.basename(new URL(route.request().url()).pathname);
  const headers = { 'access-control-allow-origin': '*', 'content-type': 'text/javascript; charset=utf-8' };
  return route.fulfill({ path: path.join(process.env.OFFHOOK_SDK, name), headers });
}

function inPage(page, act, number, words) {
  const run = ([source, place, given]) => {
    const { phone } = window;
    // The only text that is run here is that of the scenario.
    return (0, eval)(`(${source})`)(place === null ? phone.client : phone.calls[place], ...given, phone);
  };
  return page.evaluate(run, [act.toString(), number, words]);
}
