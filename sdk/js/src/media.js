// The media of one call: a PeerConnection, the local streams, the remote ones. It makes and takes session descriptions,
// and waits for candidates, since none are trickled. It knows nothing of SIP; SDP is the browser's own, not a byte of
// it is changed.
import { gathered } from './gathering.js';

const DTMF_MS = 100;
const DTMF_GAP_MS = 70;

/** What a call was asked for, with the defaults of the published interface. */
export function mediaOptions(options = {}) {
  const constraints = options.constraints ?? { audio: true, video: false };
  const localStreams = options.localStreams ?? (options.localStream ? [options.localStream] : undefined);
  const sends = (kind) => {
    if (localStreams) return localStreams.some((stream) => stream.getTracks().some((track) => track.kind === kind));
    return Boolean(constraints[kind]);
  };
  return {
    ...options,
    constraints,
    localStreams,
    receive: { audio: options.receiveAudio ?? sends('audio'), video: options.receiveVideo ?? sends('video') },
  };
}

export class Media {
  #options;
  #told;
  #pc;
  /** From a stream as the application has it to the clone that is sent: by the application's id. */
  #clones = new Map();
  #local = [];
  #remote = new Map();
  #isHeld = false;
  #isHeldByOther = false;
  /** What a hold on our side alone took away: from sender to its track, and whether the other direction was heard. */
  #silenced = new Map();
  /** Remote tracks that ended with the last description. */
  #gone = new Set();
  /** The directions that the call wishes for, which a hold overrides for a while. */
  #directions = new Map();
  /** Senders that had a track of ours, or may have one: addTrack takes only those that are new. */
  #used = new WeakSet();
  #isClosed = false;

  /**
   * `told`: { onLocal(stream), onLocalRemove(stream), onRemote(stream), onRemoteRemove(stream), onRemoteMute(stream,
   * track), onIceState(state) }.
   */
  constructor(configuration, options, told) {
    this.#options = options;
    this.#told = told;
    this.#pc = new RTCPeerConnection(configuration);
    this.#pc.ontrack = (event) => this.#remoteTrack(event);
    this.#pc.oniceconnectionstatechange = () => told.onIceState(this.#pc.iceConnectionState);
  }

  get pc() {
    return this.#pc;
  }

  get localStreams() {
    return [...this.#local];
  }

  get remoteStreams() {
    return [...this.#remote.values()];
  }

  get isIceConnected() {
    return ['connected', 'completed'].includes(this.#pc.iceConnectionState);
  }

  /** Microphone and camera, or clones of the streams that the application gave. */
  static async capture(options) {
    if (options.localStreams)
      return options.localStreams.map((stream) => ({ original: stream.id, stream: stream.clone() }));
    const { audio, video } = options.constraints;
    if (!audio && !video) return [];
    const stream = await navigator.mediaDevices.getUserMedia(options.constraints);
    return [{ original: stream.id, stream }];
  }

  /** Sends what was captured, too. */
  add({ original, stream }) {
    this.#clones.set(original, stream);
    this.#local.push(stream);
    for (const track of stream.getTracks()) this.#sendTrack(track, stream);
    this.#told.onLocal(stream);
  }

  /** Stops sending a stream: the clone, or the one that it was made of. */
  remove(stream) {
    const ours = this.findLocal(stream);
    if (!ours) return;
    for (const track of ours.getTracks()) this.#stopTrack(track);
    this.#local = this.#local.filter((each) => each !== ours);
    for (const [original, clone] of this.#clones) if (clone === ours) this.#clones.delete(original);
    this.#told.onLocalRemove(ours);
  }

  findLocal(stream) {
    return this.#local.find(({ id }) => id === stream?.id) ?? this.#clones.get(stream?.id);
  }

  findRemote(stream) {
    return this.remoteStreams.find(({ id }) => id === stream?.id);
  }

  /** Adds a camera to the first stream, or takes it away. */
  addCamera(track) {
    const [first] = this.#local;
    if (first) {
      first.addTrack(track);
      this.#sendTrack(track, first);
      this.#told.onLocal(first);
      return;
    }
    const stream = new MediaStream([track]);
    this.add({ original: stream.id, stream });
  }

  removeCamera(track) {
    this.#stopTrack(track);
    for (const stream of [...this.#local]) {
      stream.removeTrack(track);
      if (stream.getTracks().length > 0) continue;
      this.#local = this.#local.filter((each) => each !== stream);
      this.#told.onLocalRemove(stream);
    }
  }

  /** An offer with all candidates in it. */
  async offer({ iceRestart = false, isFirst = false } = {}) {
    if (isFirst) this.#addReceivers();
    this.#applyDirections();
    this.#preferCodecs();
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart }));
    await gathered(this.#pc);
    this.#check();
    return this.#pc.localDescription.sdp;
  }

  /** The answer to an offer, with all candidates in it. */
  async answer(sdp, addTracks = () => {}) {
    const before = new Set(this.#pc.getTransceivers());
    await this.#pc.setRemoteDescription({ type: 'offer', sdp });
    this.#settleRemote();
    addTracks();
    for (const transceiver of this.#pc.getTransceivers()) {
      if (!before.has(transceiver)) this.#allowReceiving(transceiver, before.size > 0);
    }
    this.#applyDirections();
    this.#preferCodecs();
    await this.#pc.setLocalDescription(await this.#pc.createAnswer());
    await gathered(this.#pc);
    this.#check();
    await this.#limitBitrates();
    return this.#pc.localDescription.sdp;
  }

  async accept(sdp, type = 'answer') {
    await this.#pc.setRemoteDescription({ type, sdp });
    this.#settleRemote();
    if (type === 'answer') await this.#limitBitrates();
  }

  /** Takes an offer back that was not accepted. */
  async rollback() {
    if (this.#pc.signalingState === 'have-local-offer') await this.#pc.setLocalDescription({ type: 'rollback' });
    if (this.#pc.signalingState === 'have-remote-offer') await this.#pc.setRemoteDescription({ type: 'rollback' });
  }

  /** While held nothing is sent and nothing played. */
  hold(held) {
    this.#isHeld = held;
  }

  /** On hold by the other side tracks go and come back: until then the application keeps its streams. */
  set isHeldByOther(held) {
    this.#isHeldByOther = held;
  }

  /** Hold that the other side is not told of: it could not come back from it. */
  async holdAlone(held) {
    for (const { sender, receiver } of this.#pc.getTransceivers()) {
      if (held) {
        this.#silenced.set(sender, { track: sender.track, isHeard: receiver.track.enabled });
        await sender.replaceTrack(null);
        receiver.track.enabled = false;
      } else if (this.#silenced.has(sender)) {
        const { track, isHeard } = this.#silenced.get(sender);
        this.#silenced.delete(sender);
        await sender.replaceTrack(track?.readyState === 'live' ? track : null);
        receiver.track.enabled = isHeard;
      }
    }
  }

  configure(configuration) {
    this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), ...configuration });
  }

  sendDtmf(digits) {
    const sender = this.#pc.getSenders().find(({ track, dtmf }) => track?.kind === 'audio' && dtmf);
    if (!sender?.dtmf.canInsertDTMF) throw 'DTMF send error';
    sender.dtmf.insertDTMF(sender.dtmf.toneBuffer + digits.toUpperCase(), DTMF_MS, DTMF_GAP_MS);
  }

  close() {
    this.#isClosed = true;
    this.#pc.ontrack = this.#pc.oniceconnectionstatechange = null;
    for (const stream of this.#local) for (const track of stream.getTracks()) track.stop();
    for (const { receiver } of this.#pc.getTransceivers()) receiver.track.stop();
    this.#pc.close();
  }

  #check() {
    if (this.#isClosed) throw new DOMException('the call is over', 'AbortError');
  }

  #sendTrack(track, stream) {
    const receives = this.#options.receiveAudio;
    const free = this.#pc
      .getTransceivers()
      .find(
        ({ sender, receiver, stopped }) =>
          !stopped && !sender.track && receiver.track.kind === track.kind && this.#used.has(sender),
      );
    if (free) {
      free.sender.replaceTrack(track);
      free.sender.setStreams?.(stream);
    }
    const transceiver = free ?? this.#transceiverOf(this.#pc.addTrack(track, stream));
    const wishes = { audio: receives ?? true, video: this.#options.receiveVideo ?? true };
    this.#want(transceiver, {
      send: true,
      receive: this.#pc.remoteDescription ? wishes[track.kind] : this.#options.receive[track.kind],
    });
  }

  #stopTrack(track) {
    track.stop();
    const sender = this.#pc.getSenders().find((each) => each.track === track);
    if (!sender) return;
    this.#used.add(sender);
    sender.replaceTrack(null);
    this.#want(this.#transceiverOf(sender), { send: false });
  }

  #transceiverOf(sender) {
    return this.#pc.getTransceivers().find((each) => each.sender === sender);
  }

  #want(transceiver, { send, receive }) {
    const known = this.#directions.get(transceiver) ?? { send: false, receive: true };
    this.#directions.set(transceiver, { send: send ?? known.send, receive: receive ?? known.receive });
  }

  #allowReceiving(transceiver, isLater) {
    const { kind } = transceiver.receiver.track;
    const { receive, receiveAudio, receiveVideo } = this.#options;
    // What is added in a running call is taken, unless that was excluded.
    const later = { audio: receiveAudio ?? true, video: receiveVideo ?? true };
    this.#want(transceiver, { receive: (isLater ? later : receive)[kind] });
  }

  #applyDirections() {
    for (const [transceiver, { send, receive }] of this.#directions) {
      if (transceiver.stopped || transceiver.direction === 'stopped') continue;
      const wish = send ? (receive ? 'sendrecv' : 'sendonly') : receive ? 'recvonly' : 'inactive';
      const direction = this.#isHeld ? 'inactive' : wish;
      if (transceiver.direction !== direction) transceiver.direction = direction;
    }
  }

  /** A first offer also asks for what is received and not sent. */
  #addReceivers() {
    for (const kind of ['audio', 'video']) {
      const has = this.#pc.getTransceivers().some(({ receiver }) => receiver.track.kind === kind);
      if (has || !this.#options.receive[kind]) continue;
      const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' });
      // A camera that comes later may use it.
      this.#used.add(transceiver.sender);
      this.#want(transceiver, { send: false, receive: true });
    }
  }

  #preferCodecs() {
    for (const transceiver of this.#pc.getTransceivers()) {
      const codecs = this.#options.codecs?.[transceiver.receiver.track.kind];
      if (codecs?.length && !transceiver.stopped) transceiver.setCodecPreferences?.(codecs);
    }
  }

  async #limitBitrates() {
    const limits = { audio: this.#options.maxBitrateAudio, video: this.#options.maxBitrateVideo };
    for (const sender of this.#pc.getSenders()) {
      const limit = limits[sender.track?.kind];
      if (limit === undefined) continue;
      const parameters = sender.getParameters();
      for (const encoding of parameters.encodings ?? []) {
        if (Number.isFinite(limit) && limit >= 0) encoding.maxBitrate = limit;
        else delete encoding.maxBitrate;
      }
      // A browser that does not know this limit sends without one.
      await sender.setParameters(parameters).catch(() => {});
    }
  }

  #remoteTrack({ track, streams }) {
    const id = streams[0]?.id ?? 'none';
    const known = this.#remote.get(id);
    const stream = known ?? new MediaStream();
    this.#remote.set(id, stream);
    if (!stream.getTracks().includes(track)) stream.addTrack(track);
    if (track.kind === 'video') {
      track.onmute = () => this.#told.onRemoteMute(stream, track, true);
      track.onunmute = () => this.#told.onRemoteMute(stream, track, false);
    }
    this.#gone.delete(track);
    streams[0]?.addEventListener('removetrack', (event) => {
      if (event.track === track) this.#gone.add(track);
    });
    if (!known) this.#told.onRemote(stream);
  }

  #settleRemote() {
    if (this.#isHeld || this.#isHeldByOther) return;
    for (const [id, stream] of this.#remote) {
      for (const track of stream.getTracks()) if (this.#gone.has(track)) stream.removeTrack(track);
      if (stream.getTracks().length > 0) continue;
      this.#remote.delete(id);
      this.#told.onRemoteRemove(stream);
    }
    this.#gone.clear();
  }
}
