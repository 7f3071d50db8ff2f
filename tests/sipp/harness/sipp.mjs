// One SIPp: it plays a scenario, and its exit status is the verdict.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { bounded } from '../../browser/harness/bounded.mjs';

const SCENARIOS = fileURLToPath(new URL('../scenarios/', import.meta.url));
/** How long SIPp waits for a message. */
const RECEIVE_MS = 8_000;
const LONGEST_MS = 40_000;
const KEPT_CHARACTERS = 12_000;

export class Sipp {
  #scenario;
  #folder;
  #process;
  #ended;
  #printed = '';

  /** Starts SIPp with `words` of its command line, and `keys` for the words in square brackets of its scenario. */
  static async start(scenario, words, keys = {}) {
    const sipp = new Sipp();
    sipp.#scenario = scenario;
    sipp.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-sipp-agent-'));
    const all = [...words, '-sf', path.join(SCENARIOS, `${scenario}.xml`), '-nostdin'];
    // Whatever a scenario does not expect fails it.
    all.push('-default_behaviors', 'none,abortunexp');
    all.push('-recv_timeout', RECEIVE_MS, '-timeout', `${LONGEST_MS / 1_000}s`, '-timeout_error');
    all.push('-trace_err', '-error_file', sipp.#path('errors'), '-trace_msg', '-message_file', sipp.#path('messages'));
    for (const [word, value] of Object.entries(keys)) all.push('-key', word, value);
    sipp.#run(all.map(String));
    return sipp;
  }

  /** Waits until SIPp has played its scenario to the end, and fails unless every call of it went as written. */
  async verdict() {
    const status = await bounded(this.#ended, `SIPp ends ${this.#scenario}`, LONGEST_MS + 5_000);
    if (status !== 0) throw new Error(`SIPp is not content with ${this.#scenario}: it ended with ${status}`);
  }

  /** Every message that it has sent and received, once it has ended. */
  messages() {
    return readFile(this.#path('messages'), 'utf8');
  }

  /** What SIPp wrote, for people; with `more` that others have to say of it. */
  async story(more = {}) {
    const logs = await Promise.all(['errors', 'messages'].map((name) => readFile(this.#path(name), 'utf8').catch(() => '')));
    const parts = { ...more, errors: logs[0], messages: logs[1], printed: this.#printed };
    return Object.entries(parts)
      .filter(([, text]) => text.trim() !== '')
      .map(([name, text]) => `--- ${this.#scenario}: ${name}\n${text.slice(-KEPT_CHARACTERS)}`)
      .join('\n');
  }

  /** Ends SIPp if it still runs, and removes what it wrote. */
  async discard() {
    this.#process.kill('SIGKILL');
    await this.#ended;
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
