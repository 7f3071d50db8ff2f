// The signed-in client: its connection, its token and its calls, of which at most one is heard at a time. It shows
// nothing; views listen to 'change', 'incoming', 'ended' and 'token'.

import { Line, mediaOptions, noteOf } from './line.js';
import { readToken } from './token.js';
import { barred, refusal } from './words.js';
import { faultOf } from './text.js';

/** One that is talked on, one that waits: a third caller is told that the line is busy. */
const MOST_LINES = 2;
const FRESH_MS = 60_000;

export class Phone extends EventTarget {
  #client;
  #token;
  #newToken;
  #renewal = null;
  lines = [];
  /** The line on the stage. */
  active = null;
  signalling = { state: 'idle', reason: '' };
  incoming = { ready: false, cause: 'NORMAL', retry: false, reason: '' };

  /** `newToken`, where there is one, is asked for a token of the same client when the old one ends. */
  constructor({ AculabCloudClient }, claims, newToken = null) {
    super();
    this.#token = claims;
    this.#newToken = newToken;
    const options = newToken ? { tokenProvider: (why) => this.#provide(why) } : {};
    this.#client = new AculabCloudClient(claims.cloudId, claims.accessKey, claims.clientId, 1, options);
    this.#client.maxConcurrent = MOST_LINES;
    this.#listen();
  }

  get clientId() {
    return this.#token.clientId;
  }

  get claims() {
    return this.#token;
  }

  /** 'signedIn' | 'callsOnly' | 'connecting' | 'resuming' | 'lost' | 'refused' | 'barred' */
  get standing() {
    const { state } = this.signalling;
    if (state === 'resuming') return 'resuming';
    if (!this.#token.mayRegister) return state === 'lost' ? 'lost' : 'callsOnly';
    if (this.incoming.ready && state === 'connected') return 'signedIn';
    if (this.incoming.cause === 'INVALIDTOKEN') return 'refused';
    if (state === 'lost') return 'lost';
    if (this.incoming.cause === 'FAILED') return 'barred';
    if (state === 'idle') return 'lost';
    return 'connecting';
  }

  get ringing() {
    return this.lines.find(({ state }) => state === 'incoming') ?? null;
  }

  get waiting() {
    return this.lines.filter((line) => line !== this.active && line.state !== 'incoming');
  }

  get mayCallMore() {
    return this.lines.length < MOST_LINES && this.ringing === null && this.#settled;
  }

  /** Resolves when the server has let us in; rejects with a sentence why not. */
  async register() {
    if (!this.#token.mayRegister) return;
    try {
      await this.#client.enableIncoming(this.#token.token);
    } catch (error) {
      throw new Error(refusal(error?.code, faultOf(error)));
    }
  }

  /** Goes on with another token of the same client. */
  async renew(pasted) {
    const claims = readToken(pasted);
    if (claims.clientId !== this.#token.clientId || claims.accessKey !== this.#token.accessKey) {
      throw new Error('This token is for somebody else. To be somebody else, sign out first.');
    }
    this.#token = claims;
    await (this.#renewal ? this.#renewal(claims.token) : this.register());
    this.#changed();
  }

  /** Calls somebody; a call that goes on is put on hold first. */
  async call(other, { video = false, note = '' } = {}) {
    if (this.standing === 'barred') throw new Error(barred(this.incoming.reason));
    if (!this.mayCallMore) throw new Error('Two calls at a time are enough: hang one up first.');
    await this.#holdActive();
    const options = mediaOptions(video);
    if (note) options.extraSipHeaders = [`X-Note: ${note}`];
    const token = this.#newToken ? await this.#provide('call') : this.#token.token;
    const line = new Line(this.#client.callClient(other, token, options), {
      direction: 'outgoing',
      other,
      video,
      note,
    });
    this.#follow(line);
    this.active = line;
    this.#changed();
    return line;
  }

  async answer(line, video) {
    await this.#holdActive();
    this.active = line;
    line.answer(video);
    this.#changed();
  }

  /** Puts the line on the stage on hold and takes up another. */
  async switchTo(line) {
    await this.#holdActive();
    this.active = line;
    this.#changed();
    if (line.isHeld) await line.hold(false);
  }

  reconnect() {
    this.#client.reconnect();
    return this.register();
  }

  test(signal) {
    return this.#client.testConnection({ microphone: true, signal });
  }

  close() {
    return this.#client.close();
  }

  /** No line is in a state in which it could not be put on hold. */
  get #settled() {
    return this.active === null || this.active.state === 'talking';
  }

  async #holdActive() {
    const line = this.active;
    if (line?.state === 'talking' && !line.isHeld) await line.hold(true);
  }

  #listen() {
    const client = this.#client;
    client.onSignalling = (signalling) => {
      this.signalling = signalling;
      this.#changed();
    };
    client.onIncomingState = (state) => {
      this.incoming = state;
      this.#changed();
    };
    client.onTokenWillExpire = ({ expires, renew }) => {
      this.#renewal = renew;
      this.dispatchEvent(new CustomEvent('token', { detail: { expires } }));
    };
    client.onIncoming = ({ call, from, offeringVideo }) => {
      const line = new Line(call, { direction: 'incoming', other: from, video: offeringVideo, note: noteOf(call) });
      this.#follow(line);
      call.ringing();
      this.dispatchEvent(new CustomEvent('incoming', { detail: line }));
      this.#changed();
    };
  }

  #follow(line) {
    this.lines.push(line);
    line.addEventListener('change', () => this.#changed());
    line.addEventListener('ended', () => {
      this.lines = this.lines.filter((other) => other !== line);
      const wasActive = this.active === line;
      if (wasActive) this.active = this.waiting[0] ?? null;
      this.dispatchEvent(new CustomEvent('ended', { detail: { line, wasActive } }));
      this.#changed();
    });
  }

  /** The token that is there, while it lasts; then a new one. */
  async #provide(why) {
    const lasts = this.#token.expires - Date.now() > FRESH_MS;
    if (why === 'renew' || !lasts) this.#token = readToken(await this.#newToken(this.clientId));
    return this.#token.token;
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
