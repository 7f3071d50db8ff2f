// Ties the scenarios together: one server for the file, for each scenario agents of its own, ended afterwards, and what they
// wrote, told when it fails.
import { after, before, test } from 'node:test';

import { Agent } from './agent.mjs';
import { PlainServer } from './plain_server.mjs';

const LONGEST_MS = 60_000;
/** Below the messages a second that the server takes from one connection, at three or four for each call. */
const CALLS_PER_SECOND = 7;

let server;
let count = 0;

before(async () => {
  server = await PlainServer.start();
}, { timeout: LONGEST_MS });
after(() => server?.stop(), { timeout: LONGEST_MS });

/** A test with agents of its own, whose stories are told when it fails. */
export function scenario(title, body) {
  count += 1;
  const stage = new Stage(count);
  test(title, { timeout: LONGEST_MS }, async () => {
    try {
      await body(stage);
    } catch (error) {
      console.log(`--- ${title}\n${await stage.story()}\n--- the server's last words\n${server.lastOutput()}\n---`);
      throw error;
    } finally {
      await stage.close();
    }
  });
}

class Stage {
  #number;
  #agents = [];

  constructor(number) {
    this.#number = number;
  }

  token(clientId) {
    return server.token(clientId);
  }

  /** Starts SIPp with the scenario `name`. */
  async agent(name, keys, options) {
    const agent = await Agent.start(server, name, keys, options);
    this.#agents.push(agent);
    return agent;
  }

  /** Alice, who may call bob. */
  async caller(name, options) {
    const bearer = await server.token('alice', { callClient: 'bob' });
    return this.agent(name, { own_id: 'alice', peer_id: 'bob', bearer }, options);
  }

  /** Plays both sides of a call, or of `times` calls, and wants both to be content. */
  async call(name, times = 1) {
    const callIds = `%u-of-${this.#number}@sipp.invalid`;
    const bob = await this.agent(`${name}_callee`, { own_id: 'bob', bearer: await server.token('bob') }, { times, callIds });
    await bob.registered(times);
    const alice = await this.caller(`${name}_caller`, { times, callIds, oneAfterAnother: CALLS_PER_SECOND });
    await Promise.all([alice.verdict(), bob.verdict()]);
  }

  async story() {
    return (await Promise.all(this.#agents.map((agent) => agent.story()))).join('\n');
  }

  close() {
    return Promise.all(this.#agents.map((agent) => agent.discard()));
  }
}
