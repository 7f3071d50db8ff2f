// A program that a test runs: in the server's room or in another, with what it prints kept, and ended by its own id.
import { spawn } from 'node:child_process';

import { bounded, Happenings } from '../../browser/harness/bounded.mjs';

const KEPT_LINES = 80;

export class Program {
  #child;
  #lines = new Happenings();
  #name;
  /** Settles with how it ended: its exit status, or the signal. */
  ended;

  /** Starts `words`; `room` is where, if it is not the server's. */
  constructor(words, { room, env } = {}) {
    this.#name = words[0];
    const [file, ...rest] = room ? room.inside(words) : words;
    const child = spawn(file, rest.map(String), { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        process.removeListener('exit', dieTogether);
        this.#lines.add(`(ended: ${signal ?? code})`);
        resolve(signal ?? code);
      });
      child.once('error', (error) => {
        this.#lines.add(`(ended: ${error.message})`);
        resolve(error.message);
      });
    });
    child.stdin.on('error', () => {});
    for (const stream of [child.stdout, child.stderr]) this.#keepLines(stream);
  }

  /** Waits for a line that matches, and gives back the match. */
  async says(pattern, ms) {
    const settled = (line) => pattern.test(line) || line.startsWith('(ended');
    const { happening } = await this.#lines.first(`${this.#name} says ${pattern}`, settled, { ms });
    const match = pattern.exec(happening);
    if (!match) throw new Error(`${this.#name} ended before it said ${pattern}:\n${this.output}`);
    return match;
  }

  /** Waits until it has ended by itself, and gives back how. */
  async status(ms) {
    return bounded(this.ended, `${this.#name} ends`, ms);
  }

  /** Everything that it printed, or the end of it. */
  get output() {
    return this.#lines.all.slice(-KEPT_LINES).join('\n');
  }

  get lines() {
    return this.#lines.all;
  }

  /** Ends what it does when it waits for its input to end, and gives back how it ended. */
  async finish(ms) {
    this.#child.stdin.end();
    return this.status(ms);
  }

  async kill(signal = 'SIGKILL') {
    this.#child.kill(signal);
    await bounded(this.ended, `${this.#name} ends by ${signal}`);
  }

  #keepLines(stream) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.#lines.add(line);
    });
    stream.on('end', () => rest && this.#lines.add(rest));
  }
}
