// Ties the tests of several servers together: three that share a Redis and a PostgreSQL, and two balancers before them. The stock
// SDK knows one host only, so each balancer has a browser of its own, which is led to it; it can be pointed at any of the three.
import { after, before, test } from 'node:test';

import { eventually } from './bounded.mjs';
import { launch, servePage } from './browser.mjs';
import { Postgres, Redis } from './engine.mjs';
import { Client } from './page.mjs';
import { Proxy } from './proxy.mjs';
import { Server } from './server.mjs';
import { SipTrace } from './sip_trace.mjs';

const LONGEST_MS = 60_000;
const NODES = 3;

/** A page's script: Timer F (RFC 3261 §17.1.2.2) runs out after 3 s instead of 32. */
export function timeOutSooner() {
  const { setTimeout } = window;
  window.setTimeout = (act, ms, ...words) => setTimeout(act, ms === 32_000 ? 3_000 : ms, ...words);
}

/** Prepares all of it for a file, and gives back `scenario(title, body)` to write its tests with. */
export function stage() {
  const props = { nodes: [], balancers: [] };
  before(() => raise(props), { timeout: LONGEST_MS });
  after(() => strike(props), { timeout: LONGEST_MS });
  let count = 0;
  return (title, body) =>
    test(title, { timeout: LONGEST_MS }, async () => {
      count += 1;
      const scene = new Scene(props, count);
      try {
        await scene.setUp();
        await body(scene);
      } catch (error) {
        console.log(`--- ${title}: the wire as the browsers saw it\n${scene.trace}`);
        props.nodes.forEach((node, at) => console.log(`--- node ${at + 1}'s last words\n${node.lastOutput()}`));
        throw error;
      } finally {
        await scene.close();
      }
    });
}

/** What a scenario is played with: three nodes that know each other, and the balancers at the first two. */
class Scene {
  #props;
  #count;
  #clients = [];
  trace = new SipTrace();

  constructor(props, count) {
    this.#props = props;
    this.#count = count;
  }

  get nodes() {
    return this.#props.nodes;
  }

  get redis() {
    return this.#props.redis;
  }

  get postgres() {
    return this.#props.postgres;
  }

  /** Whoever comes to a balancer, or comes back to it, gets to this node from now on. */
  point(balancer, node) {
    this.#props.balancers[balancer].proxy.upstream = this.nodes[node].port;
  }

  /** Whoever comes to a balancer is turned away. */
  cutOff(balancer) {
    this.#props.balancers[balancer].proxy.upstream = null;
  }

  async setUp() {
    await Promise.all(this.nodes.filter((node) => !node.isRunning).map((node) => node.start()));
    this.point(0, 0);
    this.point(1, 1);
    await this.untilListed([]);
    await this.#untilReached(NODES - 1, 'every node knows the others');
  }

  /** Waits until each node has noticed that there is no bus. */
  untilAlone() {
    return this.#untilReached(null, 'every node notices that the bus is away');
  }

  /**
   * A page at a balancer; `kind` names it: '' for the stock SDK, 'shim' for it behind the shim, 'offhook' for our library. `script`
   * runs before the page's own.
   */
  async client(name, balancer = 0, { kind = '', script } = {}) {
    const { site, account, balancers } = this.#props;
    const { browser, proxy } = balancers[balancer];
    const client = await Client.open({
      browser,
      // Any of them makes tokens that all of them know.
      server: this.nodes[2],
      account,
      address: kind ? `${site.address}${kind}?server=${encodeURIComponent(proxy.origin)}` : site.address,
      script,
      id: `${name}.${this.#count}`,
      name,
      trace: this.trace,
      proxy,
    });
    this.#clients.push(client);
    return client;
  }

  /** A page that is registered, and known to all. */
  async registered(name, balancer = 0, how = {}) {
    const client = await this.client(name, balancer, how);
    await client.register();
    return client;
  }

  /** Two that are registered, each at its own balancer. */
  async pair(callee = {}) {
    const [alice, bob] = await Promise.all([this.registered('alice', 0), this.registered('bob', 1, callee)]);
    await this.untilListed([alice, bob]);
    return { alice, bob };
  }

  /** They talk. */
  async connect(caller, callee) {
    const outgoing = await caller.call(callee);
    const incoming = await callee.incoming();
    await incoming.answer();
    await Promise.all([outgoing.until('connected'), incoming.until('connected')]);
    await Promise.all([outgoing.hearsBeeps(), incoming.hearsBeeps()]);
    return { outgoing, incoming };
  }

  /** Waits until each node that runs lists these clients, and no other, and each once. */
  async untilListed(clients, ms, at = [0, 1, 2]) {
    const wanted = clients.map(({ id }) => id).sort().join();
    const nodes = at.map((place) => this.nodes[place]).filter((node) => node.isRunning);
    await eventually(`${nodes.length} nodes list [${wanted}]`, async () => {
      const lists = await Promise.all(nodes.map((node) => node.registeredClients(this.#props.account)));
      return lists.every((list) => list.map(({ client_id }) => client_id).sort().join() === wanted);
    }, ms);
  }

  /** The one record of the call, once it has an end: `ask` tells a node that can be asked. */
  async record(caller, callee, ask = 2) {
    const mine = async () => {
      const all = await this.nodes[ask].calls(this.#props.account);
      return all.filter((call) => call.caller === caller.id && call.callee === callee.id);
    };
    await eventually('the record has an end', async () => (await mine()).some(({ ended }) => ended), 20_000);
    const records = await mine();
    if (records.length !== 1) throw new Error(`not one record: ${JSON.stringify(records)}`);
    return records[0];
  }

  async #untilReached(others, what) {
    await eventually(what, async () => {
      const all = await Promise.all(this.nodes.map((node) => node.status()));
      return all.every(({ cluster }) => cluster.others === others);
    });
  }

  async close() {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

async function raise(props) {
  [props.redis, props.postgres, props.site] = await Promise.all([Redis.start(), Postgres.start(), servePage()]);
  const environment = { OFFHOOK_STORE: props.postgres.url, OFFHOOK_BUS: props.redis.url };
  const first = await Server.prepare([], { environment });
  props.nodes.push(first);
  while (props.nodes.length < NODES) props.nodes.push(await Server.prepare([], { environment, like: first }));
  props.account = await first.createAccount('a@b.c');
  await Promise.all(props.nodes.map((node) => node.start()));
  for (let at = 0; at < 2; at += 1) {
    const proxy = await Proxy.listen(first);
    props.balancers.push({ proxy, browser: await launch(proxy.port) });
  }
}

async function strike({ redis, postgres, site, nodes, balancers }) {
  await Promise.all(balancers.map(({ browser }) => browser.close()));
  await Promise.all([site?.close(), ...balancers.map(({ proxy }) => proxy.close())]);
  await Promise.all(nodes.map((node) => node.discard()));
  await Promise.all([redis?.close(), postgres?.close()]);
}
