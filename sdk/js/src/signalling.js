// The connection to the server: open as long as somebody wants it, made anew after a loss with growing, jittered
// pauses. What goes over it is not looked at. Coming back within a session is the resuming socket's; this is for what
// lies beyond.
import { OffhookError, deferred } from './error.js';
import { ResumingSocket } from './resuming_socket.js';

const CONNECT_MS = 10_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 5000;
const ATTENTIVE_MS = 10_000;
const CALM_MS = 25_000;
const OPEN = 1;
/** What a server says that does not know the session (docs/resume.md). */
const GONE = /^the session has ended\b/;

/** `<server>/sipproxy` as a WebSocket's address. */
export function socketUrl(server) {
  let url;
  try {
    url = new URL(server);
  } catch {
    url = null;
  }
  if (!url || !/^(https?|wss?):$/.test(url.protocol)) {
    const wrong = 'the option `server` is missing or wrong: it should be an address like https://calls.example.com';
    throw new OffhookError('BADSERVER', wrong);
  }
  const secure = /^(https|wss):$/.test(url.protocol);
  return `${secure ? 'wss' : 'ws'}://${url.host}${url.pathname.replace(/\/$/, '')}/sipproxy`;
}

export class Signalling {
  url;
  #options;
  #told;
  #socket = null;
  #state = { state: 'idle', reason: '' };
  #wanted = false;
  #timer;
  #pauses = 0;
  #waiting = [];
  #isAttentive = false;

  /** `told`: { onOpen, onMessage(text), onLost(reason), onState(state) }. */
  constructor(server, options, told) {
    this.url = socketUrl(server);
    this.#options = options;
    this.#told = told;
    const again = () => this.#state.state === 'lost' && this.#wanted && this.#connect();
    globalThis.addEventListener?.('online', again);
    // Timers of a page that nobody looks at are slow.
    globalThis.document?.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && again());
  }

  get state() {
    return this.#state;
  }

  get isConnected() {
    return this.#state.state === 'connected';
  }

  /** The connection may be used: what is sent while it comes back is sent then. */
  get isUsable() {
    return this.isConnected || this.#state.state === 'resuming';
  }

  /** While there are calls a loss is looked for more often. */
  set isAttentive(is) {
    this.#isAttentive = is;
    this.#setSilence();
  }

  /** Opens the connection, unless it is open; resolves when it is, and rejects after `ms`. */
  open(ms = CONNECT_MS + 5000) {
    this.#wanted = true;
    if (this.isUsable) return Promise.resolve();
    const waiting = deferred();
    this.#waiting.push(waiting);
    const timer = setTimeout(() => waiting.reject(unreachable(this.url)), ms);
    waiting.promise
      .catch(() => {})
      .then(() => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
      });
    if (!this.#socket) this.#connect();
    return waiting.promise;
  }

  send(text) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(text);
  }

  /** Closes the connection, and makes no other. */
  close() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#drop();
    for (const waiting of this.#waiting) waiting.reject(new OffhookError('CLOSED', 'the connection was closed'));
    this.#become('idle', 'nothing needs the connection');
  }

  /** Makes the connection anew, at once. */
  renew(reason) {
    if (this.#socket) this.#lost(reason, true);
    else if (this.#wanted) this.#connect();
  }

  #connect() {
    clearTimeout(this.#timer);
    const { resume = true, webSocket = globalThis.WebSocket } = this.#options;
    this.#become('connecting', '');
    let socket;
    try {
      socket = resume ? new ResumingSocket(this.url, webSocket) : new webSocket(this.url, ['sip']);
    } catch (error) {
      this.#lost(String(error?.message ?? error));
      return;
    }
    this.#socket = socket;
    // The agent's own timers wait while the connection is coming back.
    socket.patience = Infinity;
    socket.binaryType = 'arraybuffer';
    const when = (type, then) => {
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) then(event);
      });
    };
    when('open', () => this.#opened());
    when('message', ({ data }) =>
      this.#told.onMessage(typeof data === 'string' ? data : new TextDecoder().decode(data)),
    );
    when('close', ({ reason }) =>
      this.#lost(GONE.test(reason) ? 'the server was restarted, or had given the connection up' : reason),
    );
    when('suspend', () => {
      const more = { window_s: socket.windowMs / 1000 };
      this.#become('resuming', 'the connection was lost and is coming back', more);
    });
    when('resume', () => this.#become('connected', 'the connection is back'));
    this.#setSilence();
    this.#timer = setTimeout(() => this.#lost('the server did not answer in time'), CONNECT_MS);
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#pauses = 0;
    this.#become('connected', '');
    for (const waiting of this.#waiting) waiting.resolve();
    this.#told.onOpen();
  }

  #lost(reason, atOnce = false) {
    clearTimeout(this.#timer);
    const wasUsable = this.isUsable;
    this.#drop();
    const words = reason || (wasUsable ? 'the connection to the server was lost' : 'the server cannot be reached');
    this.#become('lost', words);
    if (wasUsable) this.#told.onLost(words);
    if (!this.#wanted || this.#socket) return;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#pauses);
    this.#pauses += 1;
    // Half of it for sure, so that a server that is down is not asked in a hurry.
    const ms = atOnce ? 0 : pause * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), ms);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #setSilence() {
    if (this.#socket) this.#socket.silence = this.#isAttentive ? ATTENTIVE_MS : CALM_MS;
  }

  #become(state, reason, more) {
    if (this.#state.state === state && this.#state.reason === reason) return;
    this.#state = { state, reason, ...more };
    this.#told.onState(this.#state);
  }
}

function unreachable(url) {
  return new OffhookError('DISCONNECTED', `the server at ${new URL(url).host} cannot be reached`);
}
