// One call as the page sees it: the library's call object with its events gathered into a state. It shows nothing.

import { nameOf, sentenceOf } from './text.js';
import { ending } from './words.js';

const CAMERA = { width: { ideal: 960 }, height: { ideal: 540 } };
/** RFC 3261 §21.6.2: whoever calls is told that the call was rejected, and tries nobody else. */
const DECLINE = 603;

/**
 * What is asked of the library for a call with or without own video. With `receive` the other side's picture is asked
 * for; without it, it may still come later.
 */
export function mediaOptions(video, receive = video) {
  const options = { constraints: { audio: true, video: video ? CAMERA : false }, receiveAudio: true };
  return receive ? { ...options, receiveVideo: true } : options;
}

export class Line extends EventTarget {
  #call;
  #watched = new WeakSet();
  #connectedAt = null;
  /** 'calling' | 'ringing' | 'incoming' | 'answering' | 'talking' | 'ended' */
  state;
  direction;
  other;
  offeredVideo;
  note;
  isMuted = false;
  quality = null;
  end = null;
  /** What is being done and not finished yet, such as 'hold': its button waits. */
  pending = new Set();

  constructor(call, { direction, other, video, note = '' }) {
    super();
    this.#call = call;
    this.direction = direction;
    this.other = other;
    this.offeredVideo = video;
    this.note = note;
    this.state = direction === 'incoming' ? 'incoming' : 'calling';
    this.#listen();
  }

  get otherName() {
    return nameOf(this.other);
  }

  get seconds() {
    return this.#connectedAt === null ? 0 : (performance.now() - this.#connectedAt) / 1000;
  }

  get localStreams() {
    return this.#call.localStreams;
  }

  get remoteStreams() {
    return this.#call.remoteStreams;
  }

  get hasCamera() {
    return this.#call.hasVideo;
  }

  get isSharing() {
    return this.#call.isSharing;
  }

  get isHeld() {
    return this.#call.isHeld;
  }

  get isHeldByOther() {
    return this.#call.isHeldByOther;
  }

  /** Answers; with `video`, the own camera is sent too. What the other side shows is received either way. */
  answer(video) {
    this.#become('answering');
    this.#call.answer(mediaOptions(video, video || this.offeredVideo));
  }

  reject() {
    this.#call.reject(DECLINE);
  }

  hangUp() {
    this.#call.disconnect();
  }

  mute(on) {
    this.isMuted = on;
    // The camera is not touched, nor what is received.
    this.#call.mute(on, false, false, false);
    this.#changed();
  }

  hold(on) {
    return this.#doing('hold', () => (on ? this.#call.hold() : this.#call.resume()));
  }

  camera(on) {
    return this.#doing('camera', () => this.#call.setVideo(on));
  }

  share(on) {
    return this.#doing('share', async () => {
      if (!on) return this.#call.stopSharing();
      const stream = await this.#call.shareScreen();
      // The browser has a button of its own to stop sharing.
      stream.getVideoTracks().forEach((track) => this.#watch(track));
    });
  }

  dtmf(digit) {
    this.#call.sendDtmf(digit);
  }

  #listen() {
    const call = this.#call;
    call.onRinging = () => this.#become('ringing');
    call.onConnected = () => {
      this.#connectedAt ??= performance.now();
      this.#become('talking');
    };
    call.onDisconnect = ({ cause, reason }) => this.#ended(cause, reason);
    call.onMedia = ({ stream }) => this.#came(stream);
    call.onLocalMedia = ({ stream }) => this.#came(stream);
    const seen = ['onMediaRemove', 'onLocalMediaRemove', 'onRemoteVideoMute', 'onRemoteVideoUnmute', 'onHold'];
    for (const event of seen) call[event] = () => this.#changed();
    call.onQuality = (quality) => {
      this.quality = quality;
      this.#changed();
    };
  }

  #become(state) {
    if (this.state === 'ended' || (this.state === 'talking' && state === 'ringing')) return;
    this.state = state;
    this.#changed();
  }

  #ended(cause, reason) {
    if (this.state === 'ended') return;
    const wasTalking = this.#connectedAt !== null;
    this.end = { cause, reason: ending({ cause, reason }, this.otherName), seconds: this.seconds, wasTalking };
    this.#become('ended');
    this.dispatchEvent(new Event('ended'));
  }

  async #doing(what, act) {
    if (this.pending.has(what) || this.state === 'ended') return;
    this.pending.add(what);
    this.#changed();
    try {
      await act();
    } finally {
      this.pending.delete(what);
      this.#changed();
    }
  }

  #came(stream) {
    if (!this.#watched.has(stream)) {
      this.#watched.add(stream);
      stream.addEventListener('addtrack', ({ track }) => this.#watch(track));
      stream.addEventListener('removetrack', () => this.#changed());
    }
    stream.getTracks().forEach((track) => this.#watch(track));
  }

  #watch(track) {
    if (!this.#watched.has(track)) {
      this.#watched.add(track);
      for (const event of ['mute', 'unmute', 'ended']) track.addEventListener(event, () => this.#changed());
    }
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

/** The track that makes a picture now, if there is one. */
export function videoOf(stream) {
  return stream.getVideoTracks().find((track) => track.readyState === 'live' && !track.muted);
}

/** Whether a local stream shows a screen and not a camera. */
export function isScreen(stream) {
  return stream.getVideoTracks().some((track) => track.getSettings().displaySurface !== undefined);
}

/** The note that a caller sent along, as text to be shown. */
export function noteOf(call) {
  return sentenceOf(call.getSipHeaders?.('X-Note')?.[0]);
}
