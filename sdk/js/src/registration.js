// The registration (RFC 3261 §10) with a Bearer token sent up front (RFC 8898): made, renewed before it ends, made
// again on a new connection, taken back. One REGISTER at a time. It reports; what an application is told of it is the
// client's business.
import { OffhookError, deferred } from './error.js';
import { Headers, parameter, split, warning } from './sip/message.js';
import { plainly } from './causes.js';
import { ALLOW } from './sip/agent.js';
import { randomWord } from './sip/random.js';
import { lifetime } from './token.js';

const EXPIRES_S = 600;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/** One that was good before is refused: an account that was disabled is mostly enabled again. */
const LONGEST_REFUSED_PAUSE_MS = 10_000;
const MOST_LENGTHENINGS = 3;
const CLOCKS_DIFFER_S = 30;
const UNREGISTER_MS = 3000;

export class Registration {
  #agent;
  #signalling;
  #identity;
  #told;
  #token = null;
  #wanted = false;
  #isReady = false;
  #isPending = false;
  #leaving = 0;
  #isAgain = false;
  #isRenewed = false;
  /** Whether the server has agreed with this token before. */
  #wasAccepted = false;
  #callId = randomWord(20);
  #tag = randomWord(10);
  #sequence = 1;
  #expires = EXPIRES_S;
  #lengthenings = 0;
  #pauses = 0;
  #refreshTimer;
  #tokenTimer;
  #waiting = [];
  #announce = false;
  /** The user part of the Contact: the same as long as the client lives. */
  contactUser = randomWord(8);

  /**
   * `identity`: { aor, domain }; `told`: { onState({ ready, cause, retry, reason }), onTokenWillExpire(token, expires),
   * renewToken(): Promise<string> | null }.
   */
  constructor({ agent, signalling, identity, told }) {
    this.#agent = agent;
    this.#signalling = signalling;
    this.#identity = identity;
    this.#told = told;
  }

  /** Whether the connection is needed for it. */
  get isWanted() {
    return this.#wanted || this.#isPending || this.#leaving > 0;
  }

  get isReady() {
    return this.#isReady;
  }

  get contact() {
    return `sip:${this.contactUser}@${this.#agent.sentBy};transport=ws`;
  }

  get token() {
    return this.#token;
  }

  /** Registers with this token, or goes on with it; resolves when the server has agreed. */
  enable(token) {
    if (token !== this.#token) this.#wasAccepted = false;
    this.#token = token;
    this.#wanted = true;
    this.#announce = true;
    this.#isRenewed = false;
    this.#pauses = 0;
    const waiting = deferred();
    this.#waiting.push(waiting);
    this.#go();
    return waiting.promise;
  }

  /** Takes the registration back; resolves when the server knows, or cannot be told. */
  async disable() {
    const wasWanted = this.#wanted;
    const isKnown = this.#signalling.isUsable && (this.#isReady || this.#isPending);
    this.#stop();
    // No answer ends it as well: the binding dies with the connection.
    const left = isKnown ? this.#leave() : Promise.resolve();
    this.#settle(new OffhookError('CLOSED', 'the registration was taken back'));
    if (wasWanted) this.#told.onState({ ready: false, cause: 'NORMAL', retry: false, reason: '' });
    await left;
  }

  #leave() {
    this.#leaving += 1;
    const done = deferred();
    const timer = setTimeout(done.resolve, UNREGISTER_MS);
    this.#request(0, done.resolve);
    return done.promise.then(() => {
      clearTimeout(timer);
      this.#leaving -= 1;
    });
  }

  /** The connection is open: registers if that is wanted. */
  connected() {
    this.#isPending = false;
    if (this.#wanted) this.#go();
  }

  /** The connection is gone, and the registration with it. */
  lost() {
    clearTimeout(this.#refreshTimer);
    this.#isPending = false;
    if (!this.#wanted) return;
    const wasReady = this.#isReady;
    this.#isReady = false;
    const reason = 'the connection to the server was lost';
    if (wasReady) this.#told.onState({ ready: false, cause: 'DISCONNECTED', retry: true, reason });
    this.#announce = true;
  }

  #go() {
    if (!this.#signalling.isUsable) {
      this.#signalling.open().catch(() => {});
      return;
    }
    if (this.#isPending) {
      this.#isAgain = true;
      return;
    }
    this.#isPending = true;
    this.#isAgain = false;
    clearTimeout(this.#refreshTimer);
    this.#request(this.#expires, (response) => this.#answered(response));
  }

  #request(expires, onFinal) {
    const { aor, domain } = this.#identity;
    this.#sequence += 1;
    const headers = new Headers().add('From', `<${aor}>;tag=${this.#tag}`).add('To', `<${aor}>`);
    headers.add('Call-ID', this.#callId).add('CSeq', `${this.#sequence} REGISTER`);
    if (expires > 0) headers.add('Authorization', `Bearer ${this.#token}`);
    headers
      .add('Contact', `<${this.contact}>;expires=${expires}`)
      .add('Allow', ALLOW)
      .add('Supported', 'outbound, path, gruu');
    this.#agent.request({ method: 'REGISTER', uri: `sip:${domain}`, headers }, { onFinal });
  }

  #answered(response) {
    this.#isPending = false;
    if (!this.#wanted || response.status === 0) return;
    if (response.status === 200) this.#accepted(response);
    else this.#refused(response);
  }

  #accepted(response) {
    const expires = this.#grantedExpires(response);
    if (!expires) {
      this.#giveUp('FAILED', new OffhookError('FAILED', 'the server registered another address than ours', 200));
      return;
    }
    this.#lengthenings = this.#pauses = 0;
    this.#isRenewed = false;
    this.#later(1000 * this.#refreshAfter(expires), () => this.#go());
    if (this.#isAgain) {
      this.#go();
      return;
    }
    const tells = this.#announce || !this.#isReady;
    this.#isReady = this.#wasAccepted = true;
    this.#announce = false;
    this.#watchToken();
    if (tells) this.#told.onState({ ready: true, cause: 'NORMAL', retry: true, reason: '' });
    this.#settle();
  }

  /** The seconds that the 200 gives our own Contact. */
  #grantedExpires(response) {
    const ours = response.headers
      .all('contact')
      .flatMap(split)
      .find((each) => each.includes(`:${this.contactUser}@`));
    if (!ours) return 0;
    const seconds = Number(
      parameter(ours.slice(ours.indexOf('>')), 'expires') ?? response.headers.get('expires') ?? this.#expires,
    );
    return Number.isFinite(seconds) && seconds > 0 ? seconds : 0;
  }

  /**
   * Half a minute before the end; of a short registration, when half of it is over. One that ends with its token cannot
   * be made longer by it: that is tried when it ends, and until then another token may come.
   */
  #refreshAfter(expires) {
    const tokenLeft = ((lifetime(this.#token)?.expires ?? Infinity) - Date.now()) / 1000;
    const endsWithToken = expires < this.#expires && tokenLeft < expires + CLOCKS_DIFFER_S;
    if (endsWithToken) return Math.max(expires - 1, expires / 2);
    return expires > 60 ? expires - 30 : expires / 2;
  }

  #refused(response) {
    const { status, headers } = response;
    const longer = Number(headers.get('min-expires'));
    if (status === 423 && longer > this.#expires && this.#lengthenings < MOST_LENGTHENINGS) {
      this.#lengthenings += 1;
      this.#expires = longer;
      this.#go();
    } else if (headers.all('www-authenticate').some((value) => value.includes('error="invalid_token"'))) {
      this.#tokenRefused(response);
    } else if (status === 503 || status === 408) {
      this.#tryLater('DISCONNECTED', errorOf('DISCONNECTED', response), response);
    } else if (status === 403 && this.#wasAccepted) {
      this.#tryLater('FAILED', errorOf('FORBIDDEN', response), response);
    } else {
      this.#giveUp('FAILED', errorOf(status === 403 ? 'FORBIDDEN' : 'FAILED', response));
    }
  }

  /** Asks for another token once; a second refusal is final. */
  #tokenRefused(response) {
    const refusal = errorOf('INVALIDTOKEN', response);
    const renewed = this.#isRenewed ? null : this.#told.renewToken();
    if (!renewed) {
      this.#giveUp('INVALIDTOKEN', refusal);
      return;
    }
    this.#isRenewed = true;
    renewed.then(
      (token) => {
        if (!this.#wanted) return;
        this.#token = token;
        this.#go();
      },
      () => this.#wanted && this.#giveUp('INVALIDTOKEN', refusal),
    );
  }

  #tryLater(cause, { message }, { headers }) {
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (wasReady || this.#announce) this.#told.onState({ ready: false, cause, retry: true, reason: message });
    this.#announce = false;
    const asked = Number.parseInt(headers.get('retry-after') ?? '', 10) * 1000;
    const longest = cause === 'FAILED' ? LONGEST_REFUSED_PAUSE_MS : LONGEST_PAUSE_MS;
    const pause = Math.min(longest, FIRST_PAUSE_MS * 2 ** this.#pauses);
    this.#pauses += 1;
    this.#later(Math.min(LONGEST_PAUSE_MS, Math.max(asked || 0, pause * (0.5 + Math.random() / 2))), () => this.#go());
  }

  #giveUp(cause, error) {
    this.#stop();
    this.#told.onState({ ready: false, cause, retry: false, reason: error.message });
    this.#settle(error);
  }

  #stop() {
    clearTimeout(this.#refreshTimer);
    clearTimeout(this.#tokenTimer);
    this.#wanted = this.#isReady = this.#isAgain = false;
    this.#token = null;
  }

  #settle(error) {
    for (const waiting of this.#waiting.splice(0)) {
      if (error) waiting.reject(error);
      else waiting.resolve();
    }
  }

  #watchToken() {
    clearTimeout(this.#tokenTimer);
    const token = this.#token;
    const life = lifetime(token);
    if (!life) return;
    const wait = life.warnAt - Date.now();
    this.#tokenTimer = setTimeout(
      () => {
        if (wait > LONGEST_TIMER_MS) this.#watchToken();
        else if (this.#wanted && this.#token === token) this.#told.onTokenWillExpire(token, life.expires);
      },
      Math.min(Math.max(0, wait), LONGEST_TIMER_MS),
    );
  }

  #later(ms, then) {
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(then, ms);
  }
}

function errorOf(code, response) {
  const description = parameter(
    `;${response.headers.get('www-authenticate') ?? ''}`.replace(/,/g, ';'),
    'error_description',
  );
  const words = plainly(warning(response.headers)) || description || `the server refused the registration (${response.status})`;
  return new OffhookError(code, words, response.status);
}
