// A call as applications hold it: the members and callbacks of the published interface, and what offhook adds.
// Callbacks are called one by one; what they throw is logged, and never reaches the call.
import { OffhookError, deferred, quiet } from './error.js';
import { Session, byeReason } from './session.js';
import { AculabCloudCallStatistics, connectionInfo } from './statistics.js';
import { watchQuality } from './quality.js';

const DTMF = /^[0-9A-Da-d#*]+$/;

/** The session of a call, for the classes of this library alone. */
export const session = Symbol('session');

/** "X-Name: value" each; anything else is refused at once. */
export function extraHeaders(options) {
  return (options?.extraSipHeaders ?? []).map((line) => {
    const [, name, value] = /^(X-[A-Za-z0-9\-.!%*_+`'~]*)\s*:\s*([^\r\n\0]*)$/.exec(line) ?? [];
    if (!name) throw new Error("extraSipHeader must start with 'X-'");
    return [name, value.trim()];
  });
}

export class AculabCloudCall {
  client;
  onDisconnect;
  onRinging;
  onMedia;
  onMediaRemove;
  onLocalMedia;
  onLocalMediaRemove;
  onConnecting;
  onConnected;
  onLocalVideoMute;
  onLocalVideoUnmute;
  onRemoteVideoMute;
  onRemoteVideoUnmute;
  onHold;
  onQuality;
  #core;
  #uuid = crypto.randomUUID?.() ?? uuidV4();
  #state = 'connecting';
  #connected = deferred();
  #ended = deferred();
  #canReinvite;
  #muted = { audio: false, video: false };
  #camera = null;
  #screen = null;
  #video = Promise.resolve();
  #sharing = null;
  #isIceUp = false;
  #toldLocal = new Set();
  #toldRemote = new Set();
  #stopQuality = () => {};

  constructor(core, { isCaller, remoteId, callId, canReinvite }) {
    this.#core = core;
    this.client = core.client;
    this.#canReinvite = canReinvite;
    if (!isCaller) this.#state = 'ringing';
    const told = {
      onRinging: () => this.#rings(),
      onLocal: (stream) => this.#local(stream),
      onLocalRemove: (stream) => {
        if (this.#toldLocal.delete(stream)) this.#tell('onLocalMediaRemove', { stream });
      },
      onRemote: () => this.#remote(),
      // Early media has it before the call is answered.
      onIceUp: () => {
        this.#isIceUp = true;
        this.#remote();
      },
      onRemoteRemove: (stream) => {
        if (this.#toldRemote.delete(stream)) this.#tell('onMediaRemove', { stream });
      },
      onRemoteMute: (stream, track, isMuted) =>
        this.#tell(isMuted ? 'onRemoteVideoMute' : 'onRemoteVideoUnmute', { stream, track }),
      onConnected: () => this.#up(),
      onHeld: (by, held) => this.#tell('onHold', { by, held }),
      onEnded: (end) => this.#over(end),
    };
    this[session] = new Session(core, { isCaller, remoteId, callId, told });
  }

  get callUuid() {
    return this.#uuid;
  }

  get theCallId() {
    return this[session].callId;
  }

  callId() {
    return this[session].callId;
  }

  get remoteId() {
    return this[session].remoteId;
  }

  get state() {
    return this.#state;
  }

  get localStreams() {
    return this[session].media?.localStreams ?? [];
  }

  get remoteStreams() {
    return this[session].media?.remoteStreams ?? [];
  }

  get peerConnection() {
    return this[session].isEnded ? null : (this[session].media?.pc ?? null);
  }

  get connected() {
    return this.#connected.promise;
  }

  get ended() {
    return this.#ended.promise;
  }

  get isHeld() {
    return this[session].isHeld;
  }

  get isHeldByOther() {
    return this[session].negotiation.isHeldByOther;
  }

  get isSharing() {
    return this.#screen !== null;
  }

  get hasVideo() {
    return this.#cameraTrack() !== undefined;
  }

  // The older names of four callbacks.

  get onLocalVideoMuteCB() {
    return this.onLocalVideoMute;
  }

  set onLocalVideoMuteCB(callback) {
    this.onLocalVideoMute = callback;
  }

  get onLocalVideoUnMuteCB() {
    return this.onLocalVideoUnmute;
  }

  set onLocalVideoUnMuteCB(callback) {
    this.onLocalVideoUnmute = callback;
  }

  get onRemoteVideoMuteCB() {
    return this.onRemoteVideoMute;
  }

  set onRemoteVideoMuteCB(callback) {
    this.onRemoteVideoMute = callback;
  }

  get onRemoteVideoUnMuteCB() {
    return this.onRemoteVideoUnmute;
  }

  set onRemoteVideoUnMuteCB(callback) {
    this.onRemoteVideoUnmute = callback;
  }

  getSipHeaders(name) {
    return this[session].headersOf(name);
  }

  disconnect() {
    this[session].hangUp();
  }

  sendDtmf(digits) {
    if (!DTMF.test(digits)) throw 'Invalid DTMF string';
    if (!this[session].media || this.#state === 'ended') throw 'DTMF send error';
    this[session].media.sendDtmf(digits);
  }

  // Muting.

  mute(mic, outputAudio, camera = mic, outputVideo = outputAudio) {
    this.#muted = { audio: Boolean(mic), video: Boolean(camera) };
    for (const stream of this.remoteStreams) this.muteRemoteStream(stream, outputAudio, outputVideo);
    for (const stream of this.localStreams) this.muteLocalStream(stream, mic, camera);
  }

  muteStream(stream, mic, outputAudio, camera = mic, outputVideo = outputAudio) {
    if (this[session].media?.findLocal(stream)) this.muteLocalStream(stream, mic, camera);
    else this.muteRemoteStream(stream, outputAudio, outputVideo);
  }

  muteLocalStream(stream, mic, camera = mic) {
    const ours = this[session].media?.findLocal(stream);
    if (!ours) return;
    for (const track of ours.getAudioTracks()) track.enabled = !mic;
    for (const track of ours.getVideoTracks()) {
      track.enabled = !camera;
      this.#tell(camera ? 'onLocalVideoMute' : 'onLocalVideoUnmute', { stream: ours, track });
    }
  }

  muteRemoteStream(stream, outputAudio, outputVideo = outputAudio) {
    const theirs = this[session].media?.findRemote(stream);
    for (const track of theirs?.getAudioTracks() ?? []) track.enabled = !outputAudio;
    for (const track of theirs?.getVideoTracks() ?? []) track.enabled = !outputVideo;
  }

  isMuted(stream) {
    const muted = (streams, kind) => {
      const tracks = streams.flatMap((each) => each.getTracks()).filter((track) => track.kind === kind);
      return tracks.every(({ enabled }) => !enabled);
    };
    const remote = stream ? [stream] : this.remoteStreams;
    return {
      mic: muted(this.localStreams, 'audio'),
      camera: muted(this.localStreams, 'video'),
      output_audio: muted(remote, 'audio'),
      output_video: muted(remote, 'video'),
    };
  }

  // Streams that come and go.

  addStream(stream) {
    this.#mayReinvite('addStream');
    if (this[session].media.findLocal(stream)) throw 'Stream already exists';
    const added = { original: stream.id, stream: stream.clone() };
    return this.#change({
      apply: () => this[session].media.add(added),
      undo: () => this[session].media.remove(added.stream),
    });
  }

  removeStream(stream) {
    this.#mayReinvite('removeStream');
    if (!this[session].media.findLocal(stream)) throw 'Stream does not exist';
    if (this.localStreams.length < 2) throw 'Not enough streams to remove';
    return this.#change({ apply: () => this[session].media.remove(stream) });
  }

  reinvite(options) {
    this.#mayReinvite('Reinvite');
    const wanted = options?.localStreams ?? [];
    if (wanted.length === 0) throw 'At least one MediaStream needed in options.localStreams';
    const { media } = this[session];
    const apply = () => {
      const kept = wanted.map((stream) => media.findLocal(stream));
      for (const stream of media.localStreams) if (!kept.includes(stream)) media.remove(stream);
      for (const stream of wanted)
        if (!media.findLocal(stream)) media.add({ original: stream.id, stream: stream.clone() });
    };
    return this.#change({ apply, iceRestart: true });
  }

  /** Adds the own camera to the running call, or takes it away. */
  setVideo(on) {
    this.#video = this.#video.catch(() => {}).then(() => this.#setVideo(on));
    return quiet(this.#video);
  }

  async #setVideo(on) {
    this.#mustBeConnected();
    const { media } = this[session];
    const present = this.#cameraTrack();
    if (Boolean(on) === (present !== undefined)) return;
    if (!on) {
      this.#camera = null;
      await this.#change({ apply: () => media.removeCamera(present) });
      return;
    }
    const [track] = (await captured(() => navigator.mediaDevices.getUserMedia({ video: true }))).getVideoTracks();
    this.#camera = track;
    this.#muted.video = false;
    const undo = () => media.removeCamera(track);
    await this.#change({ apply: () => (this[session].isEnded ? track.stop() : media.addCamera(track)), undo });
  }

  /** Shows a screen, a window or a tab to the other side. */
  shareScreen() {
    this.#sharing ??= this.#share().catch((error) => {
      this.#sharing = null;
      throw error;
    });
    return quiet(this.#sharing);
  }

  async #share() {
    this.#mustBeConnected();
    const stream = await captured(() => navigator.mediaDevices.getDisplayMedia({ video: true, audio: false }));
    const { media } = this[session];
    const stop = () => media.remove(stream);
    this.#screen = stream;
    // The browser's own bar has a button to stop it.
    stream.getVideoTracks()[0].addEventListener('ended', () => quiet(this.stopSharing()));
    try {
      await this.#change({ apply: () => media.add({ original: stream.id, stream }), undo: stop });
    } catch (error) {
      this.#screen = null;
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    return stream;
  }

  async stopSharing() {
    const stream = this.#screen;
    if (!stream || this.#state === 'ended') return;
    this.#screen = this.#sharing = null;
    for (const track of stream.getTracks()) track.stop();
    await this.#change({ apply: () => this[session].media.remove(stream) });
  }

  hold() {
    return quiet(this[session].hold(true));
  }

  resume() {
    return quiet(this[session].hold(false));
  }

  restartIce() {
    if (this[session].phase !== 'accepted') return quiet(Promise.reject(notConnected()));
    return this[session].restartIce();
  }

  async getStats(reportsToCollect) {
    if (!this.peerConnection) throw 'No peer connection available';
    return new AculabCloudCallStatistics({ reports: await this.peerConnection.getStats(), reportsToCollect });
  }

  async getConnectionInfo() {
    if (!this.peerConnection) return 'No peer connection';
    return this.peerConnection.getStats().then(connectionInfo, () => 'Failed to get stats');
  }

  #cameraTrack() {
    const tracks = this.localStreams
      .filter((stream) => stream !== this.#screen)
      .flatMap((stream) => stream.getVideoTracks());
    return tracks.find((track) => track === this.#camera) ?? tracks[0];
  }

  #mayReinvite(what) {
    if (!this.#canReinvite) throw `${what} not available`;
    if (this[session].phase !== 'accepted') throw 'Not connected error';
  }

  #mustBeConnected() {
    if (this[session].phase !== 'accepted') throw notConnected();
    if (!this.#canReinvite)
      throw new OffhookError('NOTALLOWED', 'the streams of a call to a service cannot be changed');
  }

  #change(change) {
    return this[session].negotiation.change(change);
  }

  #rings() {
    if (this.#state === 'connecting') this.#state = 'ringing';
    this.#tell('onRinging');
  }

  #local(stream) {
    for (const track of stream.getTracks()) if (this.#muted[track.kind]) track.enabled = false;
    // A camera that joins a stream that is known already is no new stream.
    if (this.#toldLocal.has(stream)) return;
    this.#toldLocal.add(stream);
    this.#tell(this.onLocalMedia ? 'onLocalMedia' : 'onConnecting', { stream });
  }

  /** Remote media is told when it can arrive: when ICE is connected. */
  #remote() {
    if (!this.#isIceUp) return;
    for (const stream of this.remoteStreams) {
      if (this.#toldRemote.has(stream)) continue;
      this.#toldRemote.add(stream);
      this.#tell('onMedia', { stream });
    }
  }

  #up() {
    this.#state = 'connected';
    this.#connected.resolve();
    this.#tell('onConnected');
    this.#stopQuality = watchQuality(this[session].media.pc, (found) => {
      if (this.onQuality) this.#tell('onQuality', found);
    });
  }

  #over(end) {
    this.#stopQuality();
    this.#state = 'ended';
    this.#connected.reject(new OffhookError(end.cause, end.reason, end.status));
    for (const track of this.#screen?.getTracks() ?? []) track.stop();
    this.#screen = null;
    this.#core.removed(this);
    this.#ended.resolve(end);
    this.#tell('onDisconnect', end);
  }

  #tell(name, event = {}) {
    this.#core.tell(this, name, { call: this, ...event });
  }
}

export class AculabCloudOutgoingCall extends AculabCloudCall {}

export class AculabCloudIncomingCall extends AculabCloudCall {
  answer(options) {
    quiet(this[session].answer(options, extraHeaders(options)));
  }

  ringing(options) {
    this[session].ring(extraHeaders(options));
  }

  reject(cause) {
    const given = Number.parseInt(cause, 10);
    const status = given >= 400 && given <= 699 ? given : 486;
    const { phase } = this[session];
    if (phase === 'ringing' || phase === 'accepting') this[session].reject(status);
    else this[session].hangUp(undefined, byeReason(status, 'Rejected'));
  }
}

async function captured(capture) {
  try {
    return await capture();
  } catch (error) {
    throw new OffhookError('DEVICE_ERROR', `it could not be captured: ${error?.message ?? error}`);
  }
}

function notConnected() {
  return new OffhookError('NOTCONNECTED', 'the call is not connected');
}

/** For pages without a secure context, where randomUUID is not. */
function uuidV4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
