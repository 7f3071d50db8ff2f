// A bot for streams: tells what it hears and was told, and says what a test wants. Every control message is held against its schema.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';

import { streams } from '../../../examples/applications/bot_socket.mjs';
import { Happenings } from './bounded.mjs';
import { faults } from './schema.mjs';

export class Bot {
  #server;
  #scheme;
  #words = new Happenings();
  #line = null;
  /** The rate of the stream, when it is known, and all that was heard. */
  rate = 0;
  heard = [];
  sizes = new Set();

  /** Takes streams that are signed with this secret; by TLS, if it has an identity (`{ cert, key }`). */
  static async listen(secret, identity) {
    const bot = new Bot();
    const refuse = (_, response) => response.writeHead(404).end();
    bot.#server = identity ? https.createServer(identity, refuse) : http.createServer(refuse);
    bot.#scheme = identity ? 'wss' : 'ws';
    streams(bot.#server, (line) => bot.#begin(line), secret);
    await new Promise((resolve) => bot.#server.listen(0, '127.0.0.1', resolve));
    return bot;
  }

  get address() {
    return `${this.#scheme}://127.0.0.1:${this.#server.address().port}/audio`;
  }

  tell(word) {
    if (word.event !== 'dance') assert.equal(faults('stream-bot', word), '', JSON.stringify(word));
    this.#line.tell(word);
  }

  /** A tone of so many seconds, all of it at once. */
  sings(hz, seconds) {
    const turn = (at) => Math.sin((at * hz * 2 * Math.PI) / this.rate);
    this.#line.say(Int16Array.from({ length: this.rate * seconds }, (_, at) => turn(at) * 8_000));
  }

  close(code) {
    this.#line.close(code);
  }

  /** What it is told of this kind the next time, or was told already and nobody has looked at. */
  async told(event) {
    const wanted = (word) => word.event === event && !word.isSeen;
    const { happening } = await this.#words.first(`the bot is told ${event}`, wanted);
    happening.isSeen = true;
    return happening;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#line?.close(1001);
    return new Promise((resolve) => this.#server.close(resolve));
  }

  #begin(line) {
    this.#line = line;
    line.onWord = (word) => {
      assert.equal(faults('stream-told', word), '', JSON.stringify(word));
      if (word.event === 'start') this.rate = word.sample_rate;
      this.#words.add(word);
    };
    line.onSound = (samples) => {
      this.sizes.add(samples.byteLength);
      this.heard.push(...samples);
    };
    line.onEnd = () => this.#words.add({ event: '(gone)' });
  }
}
