// Kamailio, an independent proxy, between the trunk of a server and SIPp on the other side.
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { eventually } from '../../browser/harness/bounded.mjs';

const KEPT_CHARACTERS = 6_000;

export class Kamailio {
  #folder;
  #process;
  #ended;
  #printed = '';

  /** Starts one at `port`, and waits until it answers: what the server sends goes to `callee`, what others send to the server. */
  static async start({ port, server, callee }) {
    const proxy = new Kamailio();
    proxy.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-kamailio-'));
    const file = path.join(proxy.#folder, 'kamailio.cfg');
    const text = await readFile(new URL('kamailio.cfg', import.meta.url), 'utf8');
    const ports = { PORT: port, SERVER: server, CALLEE: callee };
    await writeFile(file, text.replace(/@([A-Z]+)@/g, (_, name) => ports[name]));
    proxy.#run(['-f', file, '-DD', '-E', '-m', '32', '-M', '8', '-P', path.join(proxy.#folder, 'pid')]);
    await eventually('Kamailio answers', () => answers(port));
    return proxy;
  }

  story() {
    return `--- Kamailio\n${this.#printed}`;
  }

  async discard() {
    this.#kill();
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #kill() {
    try {
      process.kill(-this.#process.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }

  #run(words) {
    // A group of its own: what it forks ends with it.
    const child = spawn('kamailio', words, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#process = child;
    const dieTogether = () => this.#kill();
    process.once('exit', dieTogether);
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        process.removeListener('exit', dieTogether);
        resolve();
      });
      child.once('error', resolve);
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => {
      this.#printed = (this.#printed + text).slice(-KEPT_CHARACTERS);
    });
  }
}

/** Whether somebody answers OPTIONS at this port of loopback. */
function answers(port) {
  const socket = dgram.createSocket('udp4');
  return new Promise((resolve) => {
    const settle = (is) => {
      clearTimeout(patience);
      socket.close();
      resolve(is);
    };
    const patience = setTimeout(() => settle(false), 100);
    socket.once('error', () => settle(false));
    socket.once('message', () => settle(true));
    socket.bind(0, '127.0.0.1', () => {
      const at = `127.0.0.1:${socket.address().port}`;
      const rows = [
        `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
        `Via: SIP/2.0/UDP ${at};branch=z9hG4bK-ask-${port};rport`,
        `From: <sip:test@${at}>;tag=1`,
        `To: <sip:127.0.0.1:${port}>`,
        `Call-ID: ask-${port}`,
        'CSeq: 1 OPTIONS',
        'Max-Forwards: 70',
        'Content-Length: 0',
      ];
      socket.send(`${rows.join('\r\n')}\r\n\r\n`, port, '127.0.0.1');
    });
  });
}
