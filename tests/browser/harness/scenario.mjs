// Ties a test file together: one server and one browser for the file, and for each scenario clients of its own, closed
// afterwards, and a trace that is printed when it fails.
import { after, before, test } from 'node:test';

import { launch, servePage } from './browser.mjs';
import { Client } from './page.mjs';
import { Proxy } from './proxy.mjs';
import { Server } from './server.mjs';
import { SipPeer } from './sip_peer.mjs';
import { SipTrace } from './sip_trace.mjs';

const LONGEST_MS = 60_000;

/**
 * Prepares a file's server and browser, and gives back `scenario(title, body, { timeout })` to write its tests with.
 * With `throughProxy` the wire can be broken and the server can be started again; `settings` are words for `serve`; a
 * `plain` server speaks no TLS, and the browser then reaches it without any trick: with the shim, or with our own library.
 * `whole`: in the browser that people have, and not in the shell. `environment`: variables that the server gets besides our own.
 */
export function stage({ throughProxy = false, settings = [], plain = false, whole = false, environment = {} } = {}) {
  const props = { server: null, proxy: null, browser: null, site: null, account: null, otherAccount: null, plain, whole };
  before(() => raise(props, throughProxy, settings, { plain, environment }), { timeout: LONGEST_MS });
  after(() => strike(props), { timeout: LONGEST_MS });
  let count = 0;
  return (title, body, { timeout = LONGEST_MS } = {}) =>
    test(title, { timeout }, async () => {
      count += 1;
      const scene = new Scene(props, count);
      try {
        await body(scene);
      } catch (error) {
        console.log(`--- ${title}: the wire as the browsers saw it\n${scene.trace}`);
        console.log(`--- ${title}: the server's last words\n${props.server.lastOutput()}\n---`);
        throw error;
      } finally {
        await scene.close();
      }
    });
}

/** What a scenario is played with. */
class Scene {
  #props;
  #count;
  #clients = [];
  #proxies = [];
  trace = new SipTrace();

  constructor(props, count) {
    this.#props = props;
    this.#count = count;
  }

  get server() {
    return this.#props.server;
  }

  get proxy() {
    return this.#props.proxy;
  }

  get account() {
    return this.#props.account;
  }

  get otherAccount() {
    return this.#props.otherAccount;
  }

  /** A client id that no other scenario has. */
  id(name) {
    return `${name}.${this.#count}`;
  }

  /** Where the pages are. */
  get site() {
    return this.#props.site.address;
  }

  /**
   * Opens a client; `tab` tells two instances of the same client apart, `script` runs before the page's own. `kind` names
   * the page: '' for the stock SDK, 'shim' and 'shim3' for it behind the shim, 'offhook' for our library. With `ownProxy`
   * the wire to this client alone can be broken.
   */
  async client(name, { tab = '', account = this.account, script, kind = '', ownProxy = false } = {}) {
    const { browser, site, server, plain } = this.#props;
    const proxy = ownProxy ? await this.#ownProxy() : this.proxy;
    const origin = proxy?.origin ?? server.origin;
    const client = await Client.open({
      browser,
      server,
      account,
      address: kind ? `${site.address}${kind}?server=${encodeURIComponent(origin)}` : site.address,
      id: this.id(name),
      name: name + tab,
      trace: this.trace,
      script,
      proxy,
      anyCertificate: !plain,
    });
    this.#clients.push(client);
    return client;
  }

  /** A registered client that is no SDK, and answers as it is told. */
  async sipPeer() {
    const { browser, site, server } = this.#props;
    const where = { browser, server, address: site.address, trace: this.trace };
    const peer = await SipPeer.register({ ...where, account: this.account, id: this.id('peer') });
    this.#clients.push(peer);
    return peer;
  }

  /** A caller and a registered callee. */
  async pair(caller, callee = caller) {
    const [alice, bob] = await Promise.all([this.client('alice', caller), this.client('bob', callee)]);
    await bob.register();
    return { alice, bob };
  }

  /** A call between two clients that is up at both ends. */
  async connected(options = {}, answer = options, caller = undefined, callee = caller) {
    const pair = await this.pair(caller, callee);
    return { ...pair, ...(await this.connect(pair, options, answer)) };
  }

  /** Alice calls bob, and the call is up at both ends. */
  async connect({ alice, bob }, options = {}, answer = options) {
    const outgoing = await alice.call(bob, options);
    const incoming = await bob.incoming();
    await incoming.answer(answer);
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    // The SDK tells the callee's app so when it sends its 200; only with the ACK is the call up.
    await this.trace.until('bob', 'receives', /^ACK /);
    return { outgoing, incoming };
  }

  /** Ends the server and starts it again with the same store, where clients find it. */
  async restart(signal) {
    const proxies = [...(this.proxy ? [this.proxy] : []), ...this.#proxies];
    for (const proxy of proxies) proxy.upstream = null;
    await this.server.stop(signal);
    await this.server.start();
    for (const proxy of proxies) proxy.upstream = this.server.port;
  }

  async close() {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }

  async #ownProxy() {
    const { server, plain } = this.#props;
    const proxy = await Proxy.listen(plain ? {} : server);
    proxy.upstream = server.port;
    this.#proxies.push(proxy);
    return proxy;
  }
}

async function raise(props, throughProxy, settings, { plain, environment }) {
  props.server = await Server.prepare(settings, { plain, environment });
  props.account = await props.server.createAccount('a@b.c');
  props.otherAccount = await props.server.createAccount('other@b.c');
  await props.server.start();
  if (throughProxy) {
    props.proxy = await Proxy.listen(plain ? {} : props.server);
    props.proxy.upstream = props.server.port;
  }
  props.site = await servePage();
  props.browser = await launch(plain ? undefined : (props.proxy?.port ?? props.server.port), { whole: props.whole });
}

async function strike({ server, proxy, browser, site }) {
  await browser?.close();
  await site?.close();
  await proxy?.close();
  await server?.discard();
}
