// One user agent: a SIPp that plays a scenario over one connection through a bridge of its own.
import { Bridge } from './bridge.mjs';
import { Sipp } from './sipp.mjs';

export class Agent {
  #scenario;
  #bridge;
  #sipp;

  /**
   * Starts SIPp with `keys` for the words in square brackets of its scenario. It plays `times` calls, all at once or, with
   * `oneAfterAnother`, no more than so many a second.
   */
  static async start(server, scenario, keys, { times = 1, callIds = 'call-%u-%p@sipp.invalid', oneAfterAnother = null } = {}) {
    const agent = new Agent();
    agent.#scenario = scenario;
    agent.#bridge = await Bridge.listen(server.port);
    const words = [`127.0.0.1:${agent.#bridge.port}`, '-t', 't1', '-i', '127.0.0.1', '-ci', '127.0.0.1', '-cid_str', callIds];
    words.push('-m', times, '-l', oneAfterAnother ? 1 : times, '-r', oneAfterAnother ?? 1_000);
    agent.#sipp = await Sipp.start(scenario, words, { sip_domain: server.domain, ...keys });
    return agent;
  }

  /** Waits until the server has accepted so many REGISTERs of this agent. */
  registered(count = 1) {
    const accepts = (text) => /^SIP\/2\.0 200 /.test(text) && /^CSeq: *\d+ REGISTER/im.test(text);
    return this.#bridge.received(`${count} REGISTERs of ${this.#scenario} are accepted`, accepts, count);
  }

  /** Waits until SIPp has played its scenario to the end, and fails unless every call of it went as written. */
  async verdict() {
    await this.#sipp.verdict();
    const faults = this.#bridge.faults();
    if (faults.length > 0) throw new Error(`${this.#scenario}: ${faults.join('\n')}`);
  }

  /** What SIPp wrote, for people. */
  story() {
    return this.#sipp.story({ faults: this.#bridge.faults().join('\n') });
  }

  /** Ends SIPp if it still runs, and removes what it wrote. */
  async discard() {
    await this.#sipp.discard();
    await this.#bridge.close();
  }
}
