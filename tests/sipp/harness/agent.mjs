// One user agent: a SIPp that plays a scenario over one connection through a bridge of its own, and whose exit status is
// the verdict.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { bounded } from '../../browser/harness/bounded.mjs';
import { Bridge } from './bridge.mjs';

const SCENARIOS = fileURLToPath(new URL('../scenarios/', import.meta.url));
/** How long SIPp waits for a message. */
const RECEIVE_MS = 8_000;
const LONGEST_MS = 40_000;
const KEPT_CHARACTERS = 12_000;

export class Agent {
  #scenario;
  #bridge;
  #folder;
  #process;
  #ended;
  #printed = '';

  /**
   * Starts SIPp with `keys` for the words in square brackets of its scenario. It plays `times` calls, all at once or, with
   * `oneAfterAnother`, no more than so many a second.
   */
  static async start(server, scenario, keys, { times = 1, callIds = 'call-%u-%p@sipp.invalid', oneAfterAnother = null } = {}) {
    const agent = new Agent();
    agent.#scenario = scenario;
    agent.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-sipp-agent-'));
    agent.#bridge = await Bridge.listen(server.port);
    const words = [`127.0.0.1:${agent.#bridge.port}`, '-sf', path.join(SCENARIOS, `${scenario}.xml`)];
    words.push('-t', 't1', '-i', '127.0.0.1', '-ci', '127.0.0.1', '-nostdin', '-cid_str', callIds);
    words.push('-m', times, '-l', oneAfterAnother ? 1 : times, '-r', oneAfterAnother ?? 1_000);
    // Whatever a scenario does not expect fails it.
    words.push('-default_behaviors', 'none,abortunexp');
    words.push('-recv_timeout', RECEIVE_MS, '-timeout', `${LONGEST_MS / 1_000}s`, '-timeout_error');
    words.push('-trace_err', '-error_file', agent.#path('errors'), '-trace_msg', '-message_file', agent.#path('messages'));
    for (const [word, value] of Object.entries({ sip_domain: server.domain, ...keys })) words.push('-key', word, value);
    agent.#run(words.map(String));
    return agent;
  }

  /** Waits until the server has accepted so many REGISTERs of this agent. */
  registered(count = 1) {
    const accepts = (text) => /^SIP\/2\.0 200 /.test(text) && /^CSeq: *\d+ REGISTER/im.test(text);
    return this.#bridge.received(`${count} REGISTERs of ${this.#scenario} are accepted`, accepts, count);
  }

  /** Waits until SIPp has played its scenario to the end, and fails unless every call of it went as written. */
  async verdict() {
    const status = await bounded(this.#ended, `SIPp ends ${this.#scenario}`, LONGEST_MS + 5_000);
    if (status !== 0) throw new Error(`SIPp is not content with ${this.#scenario}: it ended with ${status}`);
    const faults = this.#bridge.faults();
    if (faults.length > 0) throw new Error(`${this.#scenario}: ${faults.join('\n')}`);
  }

  /** What SIPp wrote, for people. */
  async story() {
    const logs = await Promise.all(['errors', 'messages'].map((name) => readFile(this.#path(name), 'utf8').catch(() => '')));
    const parts = { faults: this.#bridge.faults().join('\n'), errors: logs[0], messages: logs[1], printed: this.#printed };
    return Object.entries(parts)
      .filter(([, text]) => text.trim() !== '')
      .map(([name, text]) => `--- ${this.#scenario}: ${name}\n${text.slice(-KEPT_CHARACTERS)}`)
      .join('\n');
  }

  /** Ends SIPp if it still runs, and removes what it wrote. */
  async discard() {
    this.#process.kill('SIGKILL');
    await this.#ended;
    await this.#bridge.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #run(words) {
    const child = spawn('sipp', words, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    this.#ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        process.removeListener('exit', dieTogether);
        resolve(signal ?? code);
      });
      child.once('error', (error) => resolve(error.message));
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        this.#printed = (this.#printed + text).slice(-KEPT_CHARACTERS);
      });
    }
  }

  #path(name) {
    return path.join(this.#folder, `${name}.log`);
  }
}
