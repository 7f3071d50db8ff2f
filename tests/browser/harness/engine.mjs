// A real Redis and a real PostgreSQL of the tests' own, by the scripts with which the store's tests start theirs: they end with
// whoever started them, however that ends.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { bounded, Happenings } from './bounded.mjs';

const SCRIPTS = new URL('../../../crates/store/tests/', import.meta.url);
const START_MS = 30_000;
/** Somebody may take a port between its being found and its being used. */
const TRIES = 5;
/** PostgreSQL refuses to run as root; Debian's package makes this user. */
const AS_POSTGRES = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'];

/** A server that a script runs, and that does what it is told by a word. */
class Engine {
  #child;
  #lines = new Happenings();
  #said = 1;

  /** Gives back the first line of the script. */
  async begin(name, words, as = []) {
    // As text: another user may not read our folder.
    const script = await readFile(new URL(`${name}/server.sh`, SCRIPTS), 'utf8');
    const [program, ...rest] = [...as, 'sh', '-c', script, 'server.sh', ...words];
    this.#child = spawn(program, rest, { cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child.once('error', (error) => this.#lines.add(`(ended: ${error.message})`));
    this.#child.once('exit', (code) => this.#lines.add(`(ended: ${code})`));
    this.#child.stdin.on('error', () => {});
    let text = '';
    this.#child.stdout.setEncoding('utf8').on('data', (more) => {
      const lines = (text + more).split('\n');
      text = lines.pop();
      for (const line of lines) this.#lines.add(line);
    });
    const { happening } = await this.#lines.first(`${name} is started`, () => true, { ms: START_MS });
    if (happening.startsWith('(ended')) throw new Error(`${name} does not start: ${happening}`);
    return happening;
  }

  /** Says a word to the script, and waits until it is done. */
  async tell(word) {
    const from = this.#said;
    this.#said += 1;
    this.#child.stdin.write(`${word}\n`);
    await this.#lines.first(`${word} is done`, (line) => line === 'done', { from, ms: START_MS });
  }

  async close() {
    const child = this.#child;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    await bounded(gone, 'a server of the tests ends');
  }
}

export class Redis extends Engine {
  url;

  static async start() {
    for (let left = TRIES; ; left -= 1) {
      const redis = new Redis();
      const port = await freePort();
      const folder = await mkdtemp(path.join(tmpdir(), 'offhook-redis-'));
      await writeFile(path.join(folder, 'redis.conf'), `bind 127.0.0.1\nport ${port}\ndir ${folder}\nsave ""\n`);
      redis.url = `redis://127.0.0.1:${port}`;
      try {
        await redis.begin('bus', [folder]);
        return redis;
      } catch (error) {
        await rm(folder, { recursive: true, force: true });
        if (left === 1) throw error;
      }
    }
  }
}

export class Postgres extends Engine {
  url;

  static async start() {
    const postgres = new Postgres();
    const folder = await postgres.begin('postgres', [programs()], process.getuid() === 0 ? AS_POSTGRES : []);
    postgres.url = `postgres://offhook@${encodeURIComponent(folder)}/postgres`;
    return postgres;
  }
}

/** Where Debian has the newest. */
function programs() {
  const folder = '/usr/lib/postgresql';
  const newest = Math.max(...readdirSync(folder).map(Number).filter(Number.isFinite));
  return path.join(folder, String(newest), 'bin');
}

async function freePort() {
  const listener = net.createServer();
  await new Promise((listening) => listener.listen(0, '127.0.0.1', listening));
  const { port } = listener.address();
  await new Promise((closed) => listener.close(closed));
  return port;
}
