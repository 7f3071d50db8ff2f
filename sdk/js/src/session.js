// One call between SIP and media: set up either way, changed, ended; each end is told once. The objects that
// applications hold (call.js) sit on top of it; the transactions lie below it.
import { cancelled, causeOf, hungUp, refused } from './causes.js';
import { OffhookError, deferred, quiet } from './error.js';
import { Media, mediaOptions } from './media.js';
import { Negotiation } from './negotiation.js';
import { ALLOW } from './sip/agent.js';
import { Dialog } from './sip/dialog.js';
import { Headers, plain } from './sip/message.js';
import { randomWord } from './sip/random.js';

const MEDIA_MS = 30_000;
const DISCONNECTED_MS = 4000;
const CALLEE_WAITS_MS = 3000;
const RESTART_EVERY_MS = 10_000;
const MOST_RESTARTS = 6;
const ACK_MS = 32_000;
/** SDKs of which we know that they drop a held stream for good. */
const CANNOT_HOLD = /^AculabCloudClient/;

export class Session {
  callId;
  remoteId;
  isCaller;
  /** 'new', 'offering', 'ringing', 'accepting', 'accepted', 'ended' */
  phase = 'new';
  isHeld = false;
  hasRung = false;
  media = null;
  dialog = null;
  negotiation = new Negotiation(this);
  /** When the ACK is there, and re-INVITE and BYE may be sent. */
  #confirmed = deferred();
  #core;
  #told;
  #options = mediaOptions();
  #localTag = randomWord(10);
  #request = null;
  #transaction = null;
  #remoteHeaders = null;
  #userAgent = '';
  #isConnected = false;
  #iceTimer;
  #mediaTimer;
  #restarts = 0;
  #restarting = null;
  #hold = { wish: false, done: Promise.resolve() };
  #captured = [];
  #networkType;
  #network = (event) => this.#networkChanged(event);

  /**
   * `told`: { onRinging, onLocal, onLocalRemove, onRemote, onRemoteRemove, onRemoteMute, onIceUp,
   * onConnected, onHeld(by, held), onEnded(end) }.
   */
  constructor(core, { isCaller, remoteId, callId, told }) {
    this.#core = core;
    this.#told = told;
    this.isCaller = isCaller;
    this.remoteId = plain(remoteId) || 'the other side';
    this.callId = callId ?? randomWord(20);
    core.sessions.add(this);
  }

  get agent() {
    return this.#core.agent;
  }

  get isEnded() {
    return this.phase === 'ended';
  }

  get isConnected() {
    return this.#isConnected;
  }

  get confirmed() {
    return this.#confirmed.promise;
  }

  get contact() {
    return `<${this.#core.contact}>`;
  }

  get options() {
    return this.#options;
  }

  /** What the other side said when the call was set up. */
  headersOf(name) {
    return this.#remoteHeaders?.all(name) ?? [];
  }

  // Calling.

  /** Calls `uri`. `token()` gives the token to send, again where the first is refused, or null. */
  async call({ uri, to, options, token, extraHeaders }) {
    this.#options = mediaOptions(options);
    try {
      await Promise.all([this.#capture(), this.#core.signalling.open()]);
      const bearer = await token('call');
      await this.#openMedia();
      this.phase = this.isEnded ? 'ended' : 'offering';
      const offer = await this.media.offer({ isFirst: true });
      await this.#core.signalling.open();
      if (!this.isEnded) this.#invite({ uri, to, offer, bearer, token, extraHeaders });
    } catch (error) {
      this.#failed(error);
    }
  }

  #invite({ uri, to, offer, bearer, token, extraHeaders }) {
    const sequence = (this.#request?.sequence ?? 0) + 1;
    const headers = new Headers()
      .add('From', `<${this.#core.identity.aor}>;tag=${this.#localTag}`)
      .add('To', `<${to}>`);
    headers.add('Call-ID', this.callId).add('CSeq', `${sequence} INVITE`);
    if (bearer) headers.add('Authorization', `Bearer ${bearer}`);
    for (const [name, value] of extraHeaders) headers.add(name, value);
    headers.add('Contact', `<${this.#core.contact};ob>`).add('Allow', ALLOW).add('Supported', 'outbound');
    headers.add('Content-Type', 'application/sdp');
    this.#request = { method: 'INVITE', uri, headers, body: offer, sequence };
    this.#transaction = this.agent.request(this.#request, {
      onProvisional: (response) => this.#progress(response),
      onFinal: (response) => {
        if (response.status >= 200 && response.status < 300) this.#answered(response);
        else if (this.#isTokenRefused(response) && bearer)
          this.#askAgain({ uri, to, offer, token, extraHeaders }, response);
        else this.finish(refused(response, this.remoteId));
      },
      onLateSuccess: (response) => this.#answeredAgain(response),
    });
  }

  #isTokenRefused(response) {
    return response.headers.all('www-authenticate').some((value) => value.includes('error="invalid_token"'));
  }

  /** The token was refused: where there is a provider, it is asked for another one, once. */
  async #askAgain(invitation, response) {
    try {
      const bearer = await invitation.token('renew');
      if (this.isEnded) return;
      if (!bearer) throw new OffhookError('INVALIDTOKEN', 'there is no other token');
      this.#invite({ ...invitation, bearer, token: () => null });
    } catch {
      this.finish(refused(response, this.remoteId));
    }
  }

  #progress(response) {
    if (this.isEnded || response.status === 100) return;
    this.#remoteHeaders = response.headers;
    if (response.body && response.headers.get('content-type')?.startsWith('application/sdp')) {
      // Early media; the 2xx brings the answer that counts.
      this.media.accept(response.body, 'pranswer').catch(() => {});
    }
    if (response.status !== 180) return;
    this.phase = 'ringing';
    this.#told.onRinging();
  }

  async #answered(response) {
    const invite = this.#request;
    const dialog = Dialog.ofCaller({ invite, localTag: this.#localTag, contact: this.contact, response });
    this.agent.acknowledge(dialog.request('ACK', { sequence: invite.sequence }));
    if (this.isEnded) {
      // The CANCEL has crossed the answer (RFC 3261 §9.1): what came up is hung up.
      this.agent.request(dialog.request('BYE'), {});
      return;
    }
    this.dialog = dialog;
    this.#remoteHeaders = response.headers;
    this.#userAgent = response.headers.get('user-agent') ?? '';
    this.#confirmed.resolve();
    try {
      await this.media.accept(response.body);
    } catch {
      const words = 'the answer of the other side was not understood';
      this.hangUp({ cause: 'FAILED', status: 488, reason: words }, byeReason(488, words));
      return;
    }
    this.negotiation.begun(response.body);
    this.#accept();
  }

  /** A 2xx that comes again is acknowledged again; one of another branch of a fork is hung up (§13.2.2.4). */
  #answeredAgain(response) {
    const invite = this.#request;
    const dialog = Dialog.ofCaller({ invite, localTag: this.#localTag, contact: this.contact, response });
    this.agent.acknowledge(dialog.request('ACK', { sequence: invite.sequence }));
    if (dialog.remoteTag !== this.dialog?.remoteTag) this.agent.request(dialog.request('BYE'), {});
  }

  // Being called.

  /** A call that came in: it rings until it is answered, rejected or cancelled. */
  incoming(request, transaction) {
    this.#request = request;
    this.#transaction = transaction;
    this.#remoteHeaders = request.headers;
    this.#userAgent = request.headers.get('user-agent') ?? '';
    this.#localTag = transaction.tag;
    this.phase = 'ringing';
    this.dialog = Dialog.ofCallee({ request, localTag: transaction.tag, contact: this.contact });
    transaction.onCancel = (cancel) => {
      transaction.respond(487);
      this.finish(cancelled(cancel, this.remoteId));
    };
    transaction.respond(100);
  }

  ring(extraHeaders = []) {
    if (this.phase !== 'ringing') return;
    this.hasRung = true;
    this.#transaction.respond(180, { headers: [['Contact', this.contact], ...extraHeaders] });
  }

  async answer(options, extraHeaders) {
    if (this.phase !== 'ringing') return;
    this.phase = 'accepting';
    this.#options = mediaOptions(options);
    try {
      await this.#capture();
      const offer = this.#request.body;
      const sdp = await this.#openMedia((add) => this.media.answer(offer, add));
      if (this.isEnded) return;
      const headers = [['Contact', this.contact], ['Allow', ALLOW], ['Supported', 'outbound'], ...extraHeaders];
      this.#transaction.respond(200, { headers: [...headers, ['Content-Type', 'application/sdp']], body: sdp });
      this.negotiation.begun(offer);
      this.#awaitAck();
      this.#accept();
    } catch (error) {
      this.#failed(error, () => this.#transaction.respond(error?.code === 'DEVICE_ERROR' ? 480 : 500));
    }
  }

  reject(status) {
    this.#transaction.respond(status);
    this.finish({ cause: 'NORMAL', status, reason: 'you rejected the call' });
  }

  /** §13.3.1.4: a 2xx that is never acknowledged is no call. */
  #awaitAck() {
    const timer = setTimeout(() => {
      this.#confirmed.resolve();
      this.hangUp(
        { cause: 'FAILED', status: 408, reason: 'the other side did not confirm the call' },
        byeReason(408, 'No ACK'),
      );
    }, ACK_MS);
    this.confirmed.then(() => clearTimeout(timer));
  }

  // What comes in during the call.

  owns(request) {
    return this.dialog?.owns(request) ?? false;
  }

  acknowledged(request) {
    this.#confirmed.resolve();
    this.negotiation.acknowledged(request);
  }

  /** A request of the other side inside the call. */
  requested(request, transaction) {
    if (this.isEnded) {
      transaction.respond(request.method === 'BYE' ? 200 : 481);
    } else if (!this.dialog.takes(request)) {
      transaction.respond(500);
    } else if (request.method === 'BYE') {
      transaction.respond(200);
      this.finish(hungUp(request, this.remoteId));
    } else if (request.method === 'INVITE' && this.phase === 'accepted') {
      quiet(this.negotiation.invited(request, transaction));
    } else if (request.method === 'INVITE') {
      transaction.respond(491);
    } else if (request.method === 'INFO' || request.method === 'OPTIONS') {
      transaction.respond(200, { headers: [['Allow', ALLOW]] });
    } else {
      transaction.respond(405, { headers: [['Allow', ALLOW]] });
    }
  }

  // Ending.

  /** Ends the call from this side, whatever it is doing. */
  hangUp(end, reasonHeader) {
    if (this.isEnded) return;
    const { phase } = this;
    const early = { cause: 'NOANSWER', status: 487, reason: 'you hung up before the call was answered' };
    if (phase === 'accepted' || (this.isCaller && this.dialog)) {
      this.#bye(reasonHeader);
      this.finish(end ?? { cause: 'NORMAL', status: 200, reason: 'you hung up' });
    } else if (this.isCaller) {
      this.#transaction?.cancel?.(reasonHeader);
      this.finish(end ?? early);
    } else {
      this.reject(486);
    }
  }

  #bye(reasonHeader) {
    const headers = reasonHeader ? [['Reason', reasonHeader]] : [];
    // §15: whoever answered waits for the ACK before it hangs up.
    this.#core.finishing(
      this.confirmed.then(() => {
        if (this.#core.signalling.isUsable) this.agent.request(this.dialog.request('BYE', { headers }), {});
      }),
    );
  }

  /** The connection is gone for good. */
  lost(reason) {
    // Not yet on the wire: it goes out on the next connection.
    if (!this.#transaction) return;
    this.#confirmed.resolve();
    this.finish({ cause: 'FAILED', status: 0, reason });
  }

  /** The other side has no such call any more. */
  onGone(response) {
    this.hangUp({ ...refused(response, this.remoteId), cause: causeOf(response.status) });
  }

  finish(end) {
    if (this.isEnded) return;
    const wasAccepted = this.phase === 'accepted';
    this.phase = 'ended';
    clearTimeout(this.#iceTimer);
    clearTimeout(this.#mediaTimer);
    this.#listen('removeEventListener');
    this.#stopCapture();
    this.media?.close();
    // The BYE of one who answered still waits for the ACK.
    if (!this.isCaller && wasAccepted) this.confirmed.then(() => this.#core.sessions.delete(this));
    else this.#core.sessions.delete(this);
    this.#told.onEnded(end);
  }

  #failed(error, answer = () => {}) {
    if (this.isEnded) return;
    answer();
    this.#core.log(2, `the call failed: ${error}`);
    const cause = error?.code === 'DEVICE_ERROR' ? 'DEVICE_ERROR' : error?.code === 'DISCONNECTED' ? 'FAILED' : 'ERROR';
    const isToken = ['INVALIDTOKEN', 'FORBIDDEN'].includes(error?.code);
    this.finish({
      cause: isToken ? 'FAILED' : cause,
      status: error?.status ?? 0,
      reason: plain(String(error?.message ?? error)),
    });
  }

  // Media.

  async #capture() {
    try {
      this.#captured = await Media.capture(this.#options);
      if (!this.isEnded) return;
      this.#stopCapture();
    } catch (error) {
      throw new OffhookError('DEVICE_ERROR', deviceWords(error, this.#options.constraints));
    }
    throw new OffhookError('ABORTED', 'the call is over');
  }

  #stopCapture() {
    for (const { stream } of this.#captured) for (const track of stream.getTracks()) track.stop();
  }

  async #openMedia(then = (add) => add()) {
    const configuration = await this.#core.configuration();
    if (this.isEnded) throw new OffhookError('ABORTED', 'the call is over');
    this.media = new Media(configuration, this.#options, {
      ...this.#told,
      onIceState: (state) => this.#iceState(state),
    });
    return then(() => this.#captured.forEach((each) => this.media.add(each)));
  }

  #accept() {
    this.phase = 'accepted';
    this.#listen('addEventListener');
    const words = 'the media could not be connected: a firewall may be in the way';
    this.#mediaTimer = setTimeout(() => {
      if (!this.#isConnected) this.hangUp({ cause: 'FAILED', status: 0, reason: words }, byeReason(500, 'No media'));
    }, MEDIA_MS);
    this.#lookIfConnected();
  }

  #lookIfConnected() {
    if (this.phase !== 'accepted' || this.#isConnected || !this.media.isIceConnected) return;
    this.#isConnected = true;
    clearTimeout(this.#mediaTimer);
    this.#told.onConnected();
  }

  #iceState(state) {
    clearTimeout(this.#iceTimer);
    if (state === 'connected' || state === 'completed') {
      this.#restarts = 0;
      this.#told.onIceUp();
    }
    this.#lookIfConnected();
    if (this.phase !== 'accepted') return;
    // Both sides notice: the caller goes first.
    const patience = this.isCaller ? 0 : CALLEE_WAITS_MS;
    if (state === 'disconnected') this.#iceTimer = setTimeout(() => this.#mend(), DISCONNECTED_MS + patience);
    if (state === 'failed') this.#iceTimer = setTimeout(() => this.#mend(), patience);
  }

  /** Media is lost: tries to bring it back, and gives the call up after a minute. */
  #mend() {
    if (this.isEnded || this.media.isIceConnected) return;
    this.#restarts += 1;
    if (this.#restarts > MOST_RESTARTS) {
      const words = 'the media connection was lost and did not come back';
      this.hangUp({ cause: 'FAILED', status: 0, reason: words }, byeReason(500, 'Media lost'));
      return;
    }
    quiet(this.restartIce());
    this.#iceTimer = setTimeout(() => this.#mend(), RESTART_EVERY_MS);
  }

  /**
   * What browsers tell of the network: online again, or another kind of it. That its speed has changed is nothing to
   * us.
   */
  #listen(how) {
    globalThis[how]?.('online', this.#network);
    globalThis.navigator?.connection?.[how]?.('change', this.#network);
    this.#networkType = globalThis.navigator?.connection?.type;
  }

  #networkChanged({ type }) {
    const networkType = globalThis.navigator?.connection?.type;
    const isSame = type === 'change' && networkType === this.#networkType;
    this.#networkType = networkType;
    if (this.phase === 'accepted' && !isSame) quiet(this.restartIce());
  }

  /** New candidates for a network that has changed. */
  restartIce() {
    this.#restarting ??= this.negotiation
      .change({
        iceRestart: true,
        apply: async () => this.media.configure({ iceServers: (await this.#core.configuration()).iceServers }),
      })
      .finally(() => {
        this.#restarting = null;
      });
    return quiet(this.#restarting);
  }

  onHeldByOther(held) {
    this.#told.onHeld('remote', held);
  }

  /** Wishes are fulfilled one after the other; one that is the last already is not asked for again. */
  hold(held) {
    if (this.phase !== 'accepted') return Promise.reject(new OffhookError('NOTCONNECTED', 'the call is not connected'));
    if (held === this.#hold.wish) return this.#hold.done;
    const done = this.#setHold(held);
    this.#hold = { wish: held, done };
    done.catch(() => {
      this.#hold = { wish: this.isHeld, done: Promise.resolve() };
    });
    return done;
  }

  async #setHold(held) {
    const set = (is) => {
      this.isHeld = is;
      this.media.hold(is);
    };
    const alone = async () => {
      this.isHeld = held;
      await this.media.holdAlone(held);
    };
    const together = { apply: () => set(held), undo: () => set(!held) };
    await this.negotiation.change(CANNOT_HOLD.test(this.#userAgent) ? { apply: alone, isLocal: true } : together);
    this.#told.onHeld('local', held);
  }
}

export function byeReason(status, text) {
  return `SIP;cause=${status};text="${text.replace(/["\\]/g, '\\$&')}"`;
}

function deviceWords(error, { audio, video }) {
  const device = audio && video ? 'microphone or camera' : video ? 'camera' : 'microphone';
  if (error?.name === 'NotAllowedError') return `the browser was not allowed to use the ${device}`;
  if (error?.name === 'NotFoundError') return `there is no ${device}`;
  if (error?.name === 'NotReadableError') return `the ${device} is used by another program`;
  if (!globalThis.navigator?.mediaDevices)
    return 'the browser gives no microphone to this page: it must come by https or from localhost';
  return `the ${device} could not be opened: ${plain(String(error?.message ?? error))}`;
}
