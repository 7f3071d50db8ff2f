// Changing a running call by re-INVITE (RFC 3261 §14): one at a time, ours after each other, theirs in between; glare
// is answered with 491 and tried again. It does not know what is changed, nor why.
import { OffhookError, quiet } from './error.js';
import { takesNoAudio } from './sdp.js';
import { ALLOW } from './sip/agent.js';

const MOST_TRIES = 8;

export class Negotiation {
  #session;
  #queue = Promise.resolve();
  #isOffering = false;
  #isAnswering = false;
  #answered = Promise.resolve();
  #tookAudio = true;
  #lateAnswer = null;
  isHeldByOther = false;

  /**
   * `session`: { agent, dialog, media, isCaller, isEnded, confirmed, contact, onGone(response), onHeldByOther(held) }.
   */
  constructor(session) {
    this.#session = session;
  }

  /** The other side's description when the call was set up: whoever took no sound then does not hold now. */
  begun(sdp) {
    this.#tookAudio = !takesNoAudio(sdp);
  }

  /**
   * Makes a change, and agrees on it with the other side unless it `isLocal`; `undo` takes it back where it is refused.
   */
  change({ apply = () => {}, undo = () => {}, iceRestart = false, isLocal = false } = {}) {
    const run = this.#queue.then(() => this.#change({ apply, undo, iceRestart, isLocal }));
    this.#queue = run.catch(() => {});
    return quiet(run);
  }

  async #change({ apply, undo, iceRestart, isLocal }) {
    await this.#session.confirmed;
    this.#alive();
    await apply();
    if (isLocal) return;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      while (this.#isAnswering) await this.#answered;
      const response = await this.#offer(iceRestart);
      if (response.status >= 200 && response.status < 300) return;
      if (response.status !== 491) {
        await undo();
        throw this.#refusal(response);
      }
      await pauseAfterGlare(this.#session.isCaller);
      this.#alive();
    }
    await undo();
    throw new OffhookError('FAILED', 'both sides kept changing the call at the same time', 491);
  }

  async #offer(iceRestart) {
    const { media } = this.#session;
    this.#isOffering = true;
    try {
      const response = await this.#reinvite(await media.offer({ iceRestart }));
      if (response.status < 200 || response.status >= 300) {
        if (!this.#session.isEnded) await media.rollback();
        return response;
      }
      this.#session.dialog.retarget(response);
      await media.accept(response.body);
      this.#lookForHold(response.body);
      return response;
    } finally {
      this.#isOffering = false;
    }
  }

  #reinvite(sdp) {
    const { agent, dialog, contact } = this.#session;
    this.#alive();
    const headers = [
      ['Contact', contact],
      ['Allow', ALLOW],
      ['Content-Type', 'application/sdp'],
    ];
    const request = dialog.request('INVITE', { headers: headers.slice(1), body: sdp });
    const acknowledge = () => agent.acknowledge(dialog.request('ACK', { sequence: request.sequence }));
    return new Promise((resolve) => {
      const onFinal = (response) => {
        if (response.status >= 200 && response.status < 300) {
          dialog.retarget(response);
          acknowledge();
        }
        resolve(response);
      };
      agent.request(request, { onFinal, onLateSuccess: acknowledge });
    });
  }

  #refusal(response) {
    const { status } = response;
    if (status === 0) return new OffhookError('DISCONNECTED', 'the connection was lost before the change was agreed');
    // §12.2.1.2: the other side has no such call, or is gone.
    if (status === 481 || status === 408) this.#session.onGone(response);
    return new OffhookError('REJECTED', `the other side did not agree to the change (${status})`, status);
  }

  /** A re-INVITE of the other side. */
  async invited(request, transaction) {
    if (this.#isAnswering) {
      transaction.respond(500, { headers: [['Retry-After', String(Math.floor(Math.random() * 10))]] });
      return;
    }
    if (this.#isOffering) {
      transaction.respond(491);
      return;
    }
    this.#isAnswering = true;
    this.#answered = this.#answer(request, transaction).finally(() => {
      this.#isAnswering = false;
    });
    await this.#answered;
  }

  async #answer(request, transaction) {
    const { media, contact, dialog } = this.#session;
    try {
      if (request.body) {
        media.isHeldByOther = this.#tookAudio && takesNoAudio(request.body);
        const sdp = await media.answer(request.body);
        dialog.retarget(request);
        respond(transaction, contact, sdp);
        this.#lookForHold(request.body);
      } else {
        // §14.2: without an offer, ours goes into the answer, and theirs comes with the ACK.
        respond(transaction, contact, await media.offer());
        this.#lateAnswer = request.cseq.number;
      }
    } catch (error) {
      if (this.#session.isEnded) return;
      await media.rollback().catch(() => {});
      transaction.respond(488, {
        headers: [['Warning', `399 offhook "${String(error?.name ?? 'the offer was not understood')}"`]],
      });
    }
  }

  /** The ACK of a 2xx of ours. */
  async acknowledged(request) {
    if (this.#lateAnswer !== request.cseq.number) return;
    this.#lateAnswer = null;
    const { media } = this.#session;
    await media.accept(request.body).catch(() => media.rollback());
  }

  #lookForHold(sdp) {
    const { media, isHeld } = this.#session;
    // While we hold, the answer must take nothing: it says nothing of the other's own wish.
    const held = isHeld && !this.#isAnswering ? this.isHeldByOther : this.#tookAudio && takesNoAudio(sdp);
    media.isHeldByOther = held;
    if (held === this.isHeldByOther) return;
    this.isHeldByOther = held;
    this.#session.onHeldByOther(held);
  }

  #alive() {
    if (this.#session.isEnded) throw new OffhookError('NOTCONNECTED', 'the call is over');
  }
}

function respond(transaction, contact, sdp) {
  const headers = [
    ['Contact', contact],
    ['Allow', ALLOW],
    ['Content-Type', 'application/sdp'],
  ];
  transaction.respond(200, { headers, body: sdp });
}

/** §14.1: the owner of the Call-ID waits longer, so that the two do not meet again. */
function pauseAfterGlare(isCaller) {
  const ms = isCaller ? 2100 + Math.random() * 1900 : Math.random() * 2000;
  return new Promise((over) => setTimeout(over, ms));
}
