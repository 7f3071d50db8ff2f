// The client: one user agent with its connection, its registration and its calls, and the members of the published
// interface.
import { AculabCloudIncomingCall, AculabCloudOutgoingCall, extraHeaders, session } from './call.js';
import { testConnection } from './connection_test.js';
import { OffhookError, quiet } from './error.js';
import { IceServers } from './ice_servers.js';
import { Registration } from './registration.js';
import { offered } from './sdp.js';
import { Signalling } from './signalling.js';
import { ALLOW, Agent } from './sip/agent.js';
import { plain } from './sip/message.js';
import { isTokenLike } from './token.js';

const CLOUD_ID = /^[0-9]+-[0-9]+-[0-9]+$/;
const ACCESS_KEY = /^[a-z0-9]{1,63}$/;
const NAME = /^[A-Za-z0-9+\-_.]+$/;
const LOADED_FROM = import.meta.url;
/** How long `close` waits for answers, and how long the connection is kept for them where nobody waits. */
const FINISH_MS = 3000;
const LONGEST_FINISH_MS = 35_000;
const [ERRORS, STEPS, WIRE] = [1, 2, 6];

export class AculabCloudClient {
  loglevel;
  maxConcurrent = 1;
  iceServers = null;
  onIncoming;
  onIncomingState;
  onSignalling;
  onTokenWillExpire;
  #options;
  #cloudId;
  #accessKey;
  #clientId;
  #core;
  #calls = new Set();
  #configuration = {};
  #finishing = new Set();
  #isClosing = false;

  constructor(cloudId, webRtcAccessKey, clientId, logLevel = 0, options = {}) {
    if (!CLOUD_ID.test(cloudId)) throw 'Invalid cloudId';
    if (!ACCESS_KEY.test(webRtcAccessKey)) throw 'Invalid webRtcAccessKey';
    this.#clientId = bareName(clientId);
    if (!NAME.test(this.#clientId)) throw 'Invalid clientId';
    this.loglevel = Math.max(0, Number(logLevel) || 0);
    this.#cloudId = cloudId;
    this.#accessKey = webRtcAccessKey;
    // Older versions had a boolean in this place.
    this.#options = typeof options === 'object' && options ? options : {};
    this.#core = this.#makeCore();
  }

  static isSupported() {
    return Boolean(
      globalThis.navigator?.mediaDevices?.getUserMedia && globalThis.WebSocket && globalThis.RTCPeerConnection,
    );
  }

  static getCodecList(mediaType) {
    const canChoose = globalThis.RTCRtpTransceiver && 'setCodecPreferences' in RTCRtpTransceiver.prototype;
    return (canChoose && RTCRtpReceiver.getCapabilities(mediaType)?.codecs) || [];
  }

  get clientId() {
    return this.#clientId;
  }

  get calls() {
    return [...this.#calls];
  }

  get signalling() {
    return this.#core.signalling.state;
  }

  callService(serviceName, options) {
    const name = bareName(serviceName);
    if (!NAME.test(name)) throw 'Invalid serviceName';
    const uri = `sip:${name}@sip-${this.#cloudId}.aculab.com`;
    return this.#call({ uri, remoteId: name, options, token: async () => null, canReinvite: false });
  }

  makeOutgoing(serviceName) {
    return this.callService(serviceName);
  }

  callClient(clientId, token, options) {
    if (typeof clientId !== 'string') throw 'clientId is not a string';
    const name = bareName(clientId);
    if (!NAME.test(name)) throw 'Invalid clientId';
    if (token && typeof token === 'object') return this.callClient(clientId, null, token);
    if (!isTokenLike(token) && (token || !this.#options.tokenProvider)) throw 'Invalid token';
    const uri = `sip:${name}@${this.#core.identity.domain}`;
    const provided = (why) => (token && why === 'call' ? Promise.resolve(token) : this.#provideToken(why));
    return this.#call({ uri, remoteId: name, options, token: provided, canReinvite: true });
  }

  enableIncoming(token) {
    if (token !== undefined && token !== null) {
      if (!isTokenLike(token)) throw 'Invalid token';
      return quiet(this.#core.registration.enable(token));
    }
    if (!this.#options.tokenProvider) throw 'Invalid token';
    return quiet(this.#provideToken('register').then((provided) => this.#core.registration.enable(provided)));
  }

  disableIncoming() {
    return quiet(this.#core.registration.disable().finally(() => this.#closeIfIdle()));
  }

  setPeerConnectionConfiguration(configuration) {
    this.#configuration = { ...configuration };
  }

  reconnect() {
    this.#core.signalling.renew('the connection is made anew');
  }

  closeConnection() {
    quiet(this.#core.registration.disable());
    this.#lost('the connection was closed');
    this.#disconnect();
  }

  async close() {
    for (const call of this.calls) call.disconnect();
    await this.#core.registration.disable();
    await this.#settled(FINISH_MS);
    this.#disconnect();
  }

  testConnection(options = {}) {
    return quiet(testConnection(this.#core, options).finally(() => this.#closeIfIdle()));
  }

  #makeCore() {
    const host = `webrtc-${this.#cloudId}.aculabcloud.net`;
    const domain = `${this.#accessKey}.${host}`;
    const core = {
      client: this,
      identity: { host, domain, aor: `sip:${this.#clientId}@${domain}` },
      sessions: new Set(),
      log: (level, words) => this.#log(level, words),
      tell: (whom, name, event) => this.#tell(whom, name, event),
      removed: (call) => {
        this.#calls.delete(call);
        this.#callsChanged();
      },
      finishing: (work) => this.#finish(work),
      configuration: () => this.#peerConfiguration(),
    };
    core.signalling = new Signalling(this.#options.server ?? originOf(LOADED_FROM), this.#options, {
      onOpen: () => core.registration.connected(),
      onMessage: (text) => {
        this.#log(WIRE, `<- ${text}`);
        core.agent.receive(text);
      },
      onLost: (reason) => this.#lost(reason),
      onState: (state) => this.#tell(this, 'onSignalling', state),
    });
    core.agent = new Agent({
      transport: core.signalling.url.startsWith('wss:') ? 'WSS' : 'WS',
      send: (text) => {
        this.#log(WIRE, `-> ${text.replace(/^(Authorization: Bearer ).*$/im, '$1(not shown)')}`);
        core.signalling.send(text);
      },
      isPaused: () => core.signalling.state.state === 'resuming',
      onRequest: (request, transaction) => this.#requested(request, transaction),
      onAck: (request) => this.#sessionOf(request)?.acknowledged(request),
    });
    core.iceServers = new IceServers(core);
    core.registration = new Registration({ ...core, told: this.#registrationTold() });
    core.contact = core.registration.contact;
    return core;
  }

  #registrationTold() {
    return {
      onState: (state) => {
        this.#tell(this, 'onIncomingState', state);
        if (!state.ready && !state.retry) this.#closeIfIdle();
        // What is lent to whom has shown a token is better than what is lent to anybody.
        if (state.ready) this.#core.iceServers.forget();
      },
      onTokenWillExpire: (token, expires) => this.#tokenWillExpire(expires),
      renewToken: () => (this.#options.tokenProvider ? this.#provideToken('renew') : null),
    };
  }

  async #tokenWillExpire(expires) {
    if (this.#options.tokenProvider) {
      try {
        await this.#core.registration.enable(await this.#provideToken('renew'));
        return;
      } catch (error) {
        this.#log(ERRORS, `the token could not be renewed: ${error?.message ?? error}`);
      }
    }
    const secondsLeft = Math.max(0, Math.round((expires - Date.now()) / 1000));
    const renew = (token) => this.enableIncoming(token);
    this.#tell(this, 'onTokenWillExpire', { expires: new Date(expires), secondsLeft, renew });
  }

  async #provideToken(why) {
    const { tokenProvider } = this.#options;
    if (!tokenProvider) return null;
    let token;
    try {
      token = await tokenProvider(why);
    } catch (cause) {
      const error = new OffhookError('INVALIDTOKEN', `the tokenProvider failed: ${cause?.message ?? cause}`);
      throw Object.assign(error, { cause });
    }
    if (!isTokenLike(token)) throw new OffhookError('INVALIDTOKEN', 'what the tokenProvider gave is no token');
    return token;
  }

  /** The configuration of a call's PeerConnection; the server's TURN servers unless the application has its own. */
  async #peerConfiguration() {
    const { iceServers, ...rest } = this.#configuration;
    const own = iceServers ?? this.iceServers;
    return { ...rest, iceServers: own ?? (await this.#core.iceServers.fresh()) };
  }

  #call({ uri, remoteId, options, token, canReinvite }) {
    if (!AculabCloudClient.isSupported()) throw 'WebRTC is not supported by this browser';
    if (this.#calls.size >= this.maxConcurrent) throw 'Too many calls';
    const headers = extraHeaders(options);
    const call = new AculabCloudOutgoingCall(this.#core, { isCaller: true, remoteId, canReinvite });
    this.#calls.add(call);
    this.#callsChanged();
    // The application sets its callbacks first.
    queueMicrotask(() => {
      if (!call[session].isEnded) quiet(call[session].call({ uri, to: uri, options, token, extraHeaders: headers }));
    });
    return call;
  }

  #requested(request, transaction) {
    const owner = this.#sessionOf(request);
    if (owner) owner.requested(request, transaction);
    else if (request.to.tag) transaction.respond(481);
    else if (request.method === 'INVITE') this.#invited(request, transaction);
    else if (request.method === 'OPTIONS')
      transaction.respond(200, {
        headers: [
          ['Allow', ALLOW],
          ['Accept', 'application/sdp'],
        ],
      });
    else if (request.method === 'BYE') transaction.respond(481);
    else transaction.respond(405, { headers: [['Allow', ALLOW]] });
  }

  #invited(request, transaction) {
    const media = offered(request.body);
    const required = request.headers.get('require');
    if (required) transaction.respond(420, { headers: [['Unsupported', required]] });
    else if (!/^application\/sdp/i.test(request.headers.get('content-type') ?? '')) {
      transaction.respond(request.body ? 415 : 488, { headers: [['Accept', 'application/sdp']] });
    } else if (!Object.values(media).includes(true) && !/^m=(audio|video)/m.test(request.body))
      transaction.respond(488);
    else if (this.#calls.size >= this.maxConcurrent) transaction.respond(486);
    else if (typeof this.onIncoming !== 'function') transaction.respond(480);
    else this.#ring(request, transaction, media);
  }

  #ring(request, transaction, media) {
    const { host } = request.from;
    const user = plain(request.from.user);
    const remoteId = user || host;
    const call = new AculabCloudIncomingCall(this.#core, {
      isCaller: false,
      remoteId,
      callId: request.callId,
      canReinvite: true,
    });
    this.#calls.add(call);
    this.#callsChanged();
    call[session].incoming(request, transaction);
    const types = { [this.#core.identity.domain]: 'client', [`sip-${this.#cloudId}.aculab.com`]: 'service' };
    try {
      this.onIncoming({ call, from: user, type: types[host] ?? 'other', ...media });
      if (!call[session].hasRung) call[session].ring();
    } catch (error) {
      this.#log(ERRORS, `onIncoming threw: ${error}`);
      call.reject(500);
    }
  }

  #sessionOf(request) {
    return [...this.#core.sessions].find((each) => each.owns(request));
  }

  /** The connection is gone for good, and all that lived on it. */
  #lost(reason) {
    this.#core.agent.lost();
    this.#core.iceServers.forget();
    for (const each of [...this.#core.sessions]) each.lost(reason);
    this.#core.registration.lost();
    this.#closeIfIdle();
  }

  #callsChanged() {
    this.#core.signalling.isAttentive = this.#calls.size > 0 || this.#finishing.size > 0;
    this.#closeIfIdle();
  }

  /** Something is left to be said before the connection may be closed. */
  #finish(work) {
    this.#finishing.add(work);
    const done = () => {
      this.#finishing.delete(work);
      this.#closeIfIdle();
    };
    work.then(done, done);
  }

  /** Closes the connection that nobody needs, once all is answered that was asked. */
  async #closeIfIdle() {
    if (this.#isNeeded || this.#isClosing) return;
    this.#isClosing = true;
    await this.#settled(LONGEST_FINISH_MS);
    this.#isClosing = false;
    if (!this.#isNeeded && this.#core.signalling.state.state !== 'idle') this.#disconnect();
  }

  #disconnect() {
    this.#core.signalling.close();
    this.#core.agent.lost();
  }

  get #isNeeded() {
    return this.#calls.size > 0 || this.#core.registration.isWanted || this.#core.isTesting;
  }

  async #settled(ms) {
    const end = performance.now() + ms;
    const isBusy = () => this.#core.signalling.isUsable && (this.#finishing.size > 0 || this.#core.agent.isBusy);
    while (isBusy() && performance.now() < end && !this.#isNeeded) await new Promise((next) => setTimeout(next, 20));
  }

  #tell(whom, name, event) {
    if (typeof whom[name] !== 'function') return;
    this.#log(STEPS, `calling ${name}`);
    try {
      whom[name](event);
    } catch (error) {
      this.#log(ERRORS, `${name} threw: ${error}`);
    }
  }

  #log(level, words) {
    if (this.loglevel < level) return;
    if (level === ERRORS) console.error(`offhook: ${words}`);
    else console.log(`offhook: ${words}`);
  }
}

/** Some applications write `sip:` or `webrtc:` before a name. */
function bareName(name) {
  return String(name)
    .replace(/^sip(:|%3a)/i, '')
    .replace(/^webrtc(:|%3a)/i, '');
}

function originOf(url) {
  try {
    return new URL(url).origin;
  } catch {
    return '';
  }
}
