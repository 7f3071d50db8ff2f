// The server under test, without TLS, with a store of its own; accounts and tokens come from its command line.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { bounded, Happenings } from '../../browser/harness/bounded.mjs';
import { CLOUD_ID } from '../../browser/harness/server.mjs';

const run = promisify(execFile);

const READY = /^offhook serves http:\/\/127\.0\.0\.1:([0-9]+)$/;
const KEPT_LINES = 40;
const PATIENCE_MS = 15_000;

export class PlainServer {
  #binary;
  #folder;
  #account;
  #process;
  #output = new Happenings();
  port;

  /** Makes a store with one account, starts the process and waits until it says where it serves. */
  static async start() {
    const binary = process.env.OFFHOOK_BIN;
    if (!binary) throw new Error('OFFHOOK_BIN names no server; `cargo xtask test sipp` sets it');
    const server = new PlainServer();
    server.#binary = path.resolve(binary);
    server.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-sipp-'));
    try {
      const words = ['account', 'create', '--cloud-id', CLOUD_ID, '--username', 'a@b.c', '--type', 'production'];
      server.#account = await server.#json(words);
      await server.#serve();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** The SIP domain of the account, as existing clients build it. */
  get domain() {
    return `${this.#account.webrtc_access_key}.webrtc-${CLOUD_ID}.aculabcloud.net`;
  }

  /** A token of the client, with further words for `token create`. */
  async token(clientId, ...words) {
    return (await this.#json(['token', 'create', '--client-id', clientId, ...words])).token;
  }

  lastOutput() {
    return this.#output.all.slice(-KEPT_LINES).join('\n');
  }

  /** Ends the process and removes its store. */
  async stop() {
    const child = this.#process;
    try {
      if (child?.pid && child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await bounded(gone, 'the server ends', PATIENCE_MS);
      }
    } finally {
      child?.kill('SIGKILL');
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #serve() {
    const words = ['serve', '--data', this.#store, '--listen', '127.0.0.1:0'];
    const child = spawn(this.#binary, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    child.once('exit', (code, signal) => {
      process.removeListener('exit', dieTogether);
      this.#output.add(`(ended: ${signal ?? code})`);
    });
    child.once('error', (error) => this.#output.add(`(ended: ${error.message})`));
    for (const stream of [child.stdout, child.stderr]) this.#keepLines(stream);
    const settled = (line) => READY.test(line) || line.startsWith('(ended');
    const { happening } = await this.#output.first('the server says where it serves', settled, { ms: PATIENCE_MS });
    const ready = READY.exec(happening);
    if (!ready) throw new Error(`the server did not start:\n${this.lastOutput()}`);
    this.port = Number(ready[1]);
  }

  #keepLines(stream) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.#output.add(line);
    });
  }

  async #json(words) {
    const { stdout } = await run(this.#binary, [...words, '--data', this.#store, '--json']);
    return JSON.parse(stdout);
  }

  get #store() {
    return path.join(this.#folder, 'store');
  }
}
