// Transactions (RFC 3261 §17) on a reliable transport: nothing is sent twice, answers find their requests, requests
// that come twice are answered as before, and whatever waits for an answer has an end. It knows neither calls nor
// registrations.
import { Headers, parse, printRequest, printResponse, split } from './message.js';
import { randomWord } from './random.js';

/** 64 * T1: how long an answer may take, and how long a finished transaction is remembered. */
const TRANSACTION_MS = 32_000;
/** How long an INVITE may ring. */
const RINGING_MS = 600_000;
const MOST_TRANSACTIONS = 1000;

export const USER_AGENT = `offhook/${OFFHOOK_VERSION}`;
export const ALLOW = 'ACK, BYE, CANCEL, INFO, INVITE, OPTIONS';

export class Agent {
  #send;
  #isPaused;
  #onRequest;
  #onAck;
  #transport;
  #clients = new Map();
  #servers = new Map();
  /** The host of this user agent: the same as long as it lives. */
  sentBy = `${randomWord(12)}.invalid`;

  /**
   * `send(text)`; `isPaused()`: while the connection is coming back nothing times out; `onRequest(request,
   * transaction)`; `onAck(request)`: the ACK of a 2xx.
   */
  constructor({ transport, send, isPaused, onRequest, onAck }) {
    this.#transport = transport;
    this.#send = send;
    this.#isPaused = isPaused;
    this.#onRequest = onRequest;
    this.#onAck = onAck;
  }

  /** Whether an answer is still being waited for. */
  get isBusy() {
    return [...this.#clients.values()].some(({ final }) => !final);
  }

  /**
   * Sends a request `{ method, uri, headers, body }`. `onProvisional(response)`; `onFinal(response)` exactly once, with
   * status 408 if none comes and 0 if the connection is lost; `onLateSuccess(response)` for each further 2xx to an
   * INVITE.
   */
  request(message, handlers) {
    const transaction = { ...handlers, message, branch: `z9hG4bK${randomWord(16)}`, final: null, isProceeding: false };
    this.#begin(transaction);
    return {
      /** Sends the CANCEL as soon as it may be sent (§9.1). */
      cancel: (reason) => this.#cancel(transaction, reason),
    };
  }

  /** Sends an ACK for a 2xx: a request that gets no answer. */
  acknowledge(message) {
    this.#transmit(message, `z9hG4bK${randomWord(16)}`);
  }

  /** What came in on the connection. */
  receive(text) {
    // RFC 5626 keep-alives are empty lines.
    if (/^[\r\n]*$/.test(text)) return;
    const message = parse(text);
    if (!message) return;
    if (message.status) this.#response(message);
    else this.#request(message);
  }

  /** The connection is gone: nothing that waits will be answered, and nobody asks again. */
  lost() {
    const waiting = [...this.#clients.values()];
    for (const transaction of [...waiting, ...this.#servers.values()]) clearTimeout(transaction.timer);
    this.#clients.clear();
    this.#servers.clear();
    for (const transaction of waiting) {
      if (!transaction.final) this.#finish(transaction, failed(0, 'the connection was lost'));
    }
  }

  #begin(transaction) {
    const { message, branch } = transaction;
    this.#clients.set(clientKey(branch, message.method), transaction);
    this.#arm(transaction, TRANSACTION_MS);
    this.#transmit(message, branch);
  }

  #transmit({ method, uri, headers, body }, branch) {
    const all = new Headers().add('Via', `SIP/2.0/${this.#transport} ${this.sentBy};branch=${branch}`);
    all.add('Max-Forwards', '70');
    for (const [name, value] of headers) all.add(name, value);
    all.add('User-Agent', USER_AGENT);
    this.#send(printRequest({ method, uri, headers: all, body }));
  }

  #arm(transaction, ms) {
    clearTimeout(transaction.timer);
    transaction.timer = setTimeout(() => {
      if (this.#isPaused()) this.#arm(transaction, TRANSACTION_MS);
      else if (transaction.final) this.#clients.delete(clientKey(transaction.branch, transaction.message.method));
      else this.#finish(transaction, failed(408, 'no answer came'));
    }, ms);
  }

  #response(response) {
    const transaction = this.#clients.get(clientKey(response.branch, response.cseq.method));
    if (!transaction) return;
    const isInvite = transaction.message.method === 'INVITE';
    if (response.status < 200) {
      if (transaction.final) return;
      transaction.isProceeding = true;
      if (isInvite) this.#arm(transaction, RINGING_MS);
      if (transaction.cancelled) this.#sendCancel(transaction);
      else transaction.onProvisional?.(response);
      return;
    }
    if (isInvite && response.status >= 300) this.#acknowledgeRefusal(transaction, response);
    if (!transaction.final) this.#finish(transaction, response);
    else if (isInvite && response.status < 300) transaction.onLateSuccess?.(response);
  }

  #finish(transaction, response) {
    transaction.final = response;
    const key = clientKey(transaction.branch, transaction.message.method);
    // A 2xx may come again, and from another branch of a fork: it is remembered for a while (§13.2.2.4).
    if (transaction.message.method === 'INVITE' && response.status) this.#arm(transaction, TRANSACTION_MS);
    else {
      clearTimeout(transaction.timer);
      this.#clients.delete(key);
    }
    transaction.onFinal?.(response);
  }

  /** §17.1.1.3: same branch, the To of the answer. */
  #acknowledgeRefusal({ message, branch }, response) {
    const headers = new Headers();
    for (const [name, value] of message.headers) {
      if (/^(From|Call-ID|Route)$/i.test(name)) headers.add(name, value);
    }
    headers.add('To', response.headers.get('to')).add('CSeq', `${response.cseq.number} ACK`);
    this.#transmit({ method: 'ACK', uri: message.uri, headers }, branch);
  }

  #cancel(transaction, reason) {
    if (transaction.final || transaction.cancelled) return;
    transaction.cancelled = reason ?? true;
    if (transaction.isProceeding) this.#sendCancel(transaction);
  }

  #sendCancel(transaction) {
    if (transaction.isCancelSent) return;
    transaction.isCancelSent = true;
    const { message, branch, cancelled } = transaction;
    const headers = new Headers();
    for (const [name, value] of message.headers) {
      if (/^(From|To|Call-ID|Route)$/i.test(name)) headers.add(name, value);
      if (/^CSeq$/i.test(name)) headers.add('CSeq', value.replace('INVITE', 'CANCEL'));
    }
    if (typeof cancelled === 'string') headers.add('Reason', cancelled);
    this.#begin({ message: { method: 'CANCEL', uri: message.uri, headers }, branch, final: null });
    // §9.1: a server that knows nothing of it sends no 487.
    this.#arm(transaction, TRANSACTION_MS);
  }

  #request(request) {
    const key = `${request.branch} ${split(request.headers.get('via'))[0].split(/[\s;]+/)[1] ?? ''}`;
    const invite = this.#servers.get(`${key} INVITE`);
    if (request.method === 'ACK') {
      if (invite?.status >= 300) invite.isAcknowledged = true;
      else this.#onAck(request);
      return;
    }
    const known = this.#servers.get(`${key} ${request.method}`);
    if (known) {
      if (known.last) this.#send(known.last);
      return;
    }
    if (this.#servers.size >= MOST_TRANSACTIONS) {
      this.#send(answerTo(request, 503, {}));
      return;
    }
    const transaction = this.#serve(request, `${key} ${request.method}`);
    if (request.method !== 'CANCEL') {
      this.#onRequest(request, transaction);
    } else if (invite) {
      transaction.respond(200);
      if (invite.status < 200) invite.onCancel?.(request);
    } else {
      transaction.respond(481);
    }
  }

  #serve(request, key) {
    const transaction = {
      request,
      status: 0,
      last: null,
      onCancel: null,
      /** The tag of this user agent in the dialog that the request opens. */
      tag: randomWord(10),
      respond: (status, answer = {}) => {
        if (transaction.status >= 200) return;
        transaction.status = status;
        transaction.last = answerTo(request, status, { tag: transaction.tag, ...answer });
        this.#send(transaction.last);
        if (status >= 200) transaction.timer = setTimeout(() => this.#servers.delete(key), TRANSACTION_MS);
      },
    };
    this.#servers.set(key, transaction);
    return transaction;
  }
}

function answerTo(request, status, { tag, phrase, headers = [], body }) {
  const all = new Headers();
  for (const value of request.headers.all('via')) all.add('Via', value);
  all.add('From', request.headers.get('from'));
  const to = request.headers.get('to');
  all.add('To', status > 100 && tag && !request.to.tag ? `${to};tag=${tag}` : to);
  all.add('Call-ID', request.callId).add('CSeq', request.headers.get('cseq'));
  if (request.method === 'INVITE' && status > 100 && status < 300) {
    for (const value of request.headers.all('record-route')) all.add('Record-Route', value);
  }
  for (const [name, value] of headers) all.add(name, value);
  all.add('User-Agent', USER_AGENT);
  return printResponse({ status, phrase, headers: all, body });
}

function clientKey(branch, method) {
  return `${branch} ${method}`;
}

/** What stands for an answer where none came. */
function failed(status, phrase) {
  return { status, phrase, headers: new Headers(), body: '', isLocal: true };
}
