// Ties a test file together: one server and one browser for the file, and for each scenario clients of its own, closed
// afterwards, and a trace that is printed when it fails.
import { after, before, test } from 'node:test';

import { launch, servePage } from './browser.mjs';
import { Client } from './page.mjs';
import { Proxy } from './proxy.mjs';
import { Server } from './server.mjs';
import { SipTrace } from './sip_trace.mjs';

const LONGEST_MS = 60_000;

/**
 * Prepares a file's server and browser, and gives back `scenario(title, body)` to write its tests with.
 * With `throughProxy` the wire can be broken and the server can be started again; `settings` are words for `serve`; a
 * `plain` server speaks no TLS.
 */
export function stage({ throughProxy = false, settings = [], plain = false } = {}) {
  const props = { server: null, proxy: null, browser: null, site: null, account: null, otherAccount: null };
  before(() => raise(props, throughProxy, settings, plain), { timeout: LONGEST_MS });
  after(() => strike(props), { timeout: LONGEST_MS });
  let count = 0;
  return (title, body) =>
    test(title, { timeout: LONGEST_MS }, async () => {
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

  /** Opens a client; `tab` tells two instances of the same client apart, `script` runs before the page's own. */
  async client(name, { tab = '', account = this.account, script } = {}) {
    const { browser, site, server } = this.#props;
    const client = await Client.open({
      browser,
      server,
      account,
      address: site.address,
      id: this.id(name),
      name: name + tab,
      trace: this.trace,
      script,
    });
    this.#clients.push(client);
    return client;
  }

  /** A caller and a registered callee. */
  async pair() {
    const [alice, bob] = await Promise.all([this.client('alice'), this.client('bob')]);
    await bob.register();
    return { alice, bob };
  }

  /** A call between two clients that is up at both ends. */
  async connected(options = {}, answer = options) {
    const { alice, bob } = await this.pair();
    const outgoing = await alice.call(bob, options);
    const incoming = await bob.incoming();
    await incoming.answer(answer);
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    // The SDK tells the callee's app so when it sends its 200; only with the ACK is the call up.
    await this.trace.until('bob', 'receives', /^ACK /);
    return { alice, bob, outgoing, incoming };
  }

  /** Ends the server and starts it again with the same store, where clients find it. */
  async restart(signal) {
    this.proxy.upstream = null;
    await this.server.stop(signal);
    await this.server.start();
    this.proxy.upstream = this.server.port;
  }

  async close() {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

async function raise(props, throughProxy, settings, plain) {
  props.server = await Server.prepare(settings, { plain });
  props.account = await props.server.createAccount('a@b.c');
  props.otherAccount = await props.server.createAccount('other@b.c');
  await props.server.start();
  if (throughProxy) {
    props.proxy = await Proxy.listen(props.server);
    props.proxy.upstream = props.server.port;
  }
  props.site = await servePage();
  props.browser = await launch(props.proxy?.port ?? props.server.port);
}

async function strike({ server, proxy, browser, site }) {
  await browser?.close();
  await site?.close();
  await proxy?.close();
  await server?.discard();
}
