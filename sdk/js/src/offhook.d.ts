// The types of offhook.js: those of the published interface (3.x and 4.x) and what offhook adds.

/** What an application may say when it makes the client. */
export interface Options {
  /** Where the server is: http(s)://host[:port] or ws(s)://host[:port]. Default: where this library was loaded from. */
  server?: string | URL;
  /** Gives a token whenever one is needed; `why` tells for what. With it, tokens need not be passed anywhere. */
  tokenProvider?: (why: 'register' | 'call' | 'renew') => Promise<string>;
  /** Whether a lost connection may be resumed (docs/resume.md). Default: true. */
  resume?: boolean;
  /** Another WebSocket than the browser's own. */
  webSocket?: typeof WebSocket;
}

export type ErrorCode =
  | 'INVALIDTOKEN' | 'FORBIDDEN' | 'FAILED' | 'DISCONNECTED' | 'TIMEOUT' | 'ABORTED' | 'CLOSED'
  | 'NOTCONNECTED' | 'NOTALLOWED' | 'BADSERVER' | Cause;

/** What promises are rejected with: a code for programs, a sentence for people, the SIP status where there was one. */
export class OffhookError extends Error {
  constructor(code: ErrorCode, message: string, status?: number);
  readonly code: ErrorCode;
  readonly status: number | undefined;
}

export type Cause =
  | 'NORMAL' | 'BUSY' | 'UNOBTAINABLE' | 'MOVED' | 'REJECTED' | 'NOANSWER' | 'FAILED' | 'ERROR' | 'DEVICE_ERROR' | 'MIC_ERROR';

export interface CallOptions {
  localStream?: MediaStream;
  localStreams?: MediaStream[];
  /** For getUserMedia; default `{ audio: true, video: false }`. */
  constraints?: MediaStreamConstraints;
  receiveAudio?: boolean;
  receiveVideo?: boolean;
  codecs?: { audio?: RTCRtpCodecCapability[]; video?: RTCRtpCodecCapability[] };
  /** Bits per second; Infinity for no limit. */
  maxBitrateAudio?: number;
  maxBitrateVideo?: number;
  /** "X-Name: value" each. */
  extraSipHeaders?: string[];
}
export type AculabCloudCallOptions = CallOptions;

export interface CallObj { call: AculabCloudCall }
export interface MediaCallObj extends CallObj { stream: MediaStream }
export interface MuteObj extends MediaCallObj { track: MediaStreamTrack }
export interface DisconnectedCallObj extends CallObj {
  cause: Cause;
  /** The SIP status that ended the call; 200 for an ordinary end, 0 where there was none. */
  status: number;
  /** Plain words, such as "bob hung up". It may contain what the other side said: text, never HTML. */
  reason: string;
}
export interface OnIncomingStateObj {
  ready: boolean;
  cause: 'NORMAL' | 'DISCONNECTED' | 'INVALIDTOKEN' | 'FAILED';
  retry: boolean;
  /** Why it is not ready, in words; ours. */
  reason: string;
}
export interface OnIncomingObj {
  call: AculabCloudIncomingCall;
  from: string;
  type: 'client' | 'service' | 'other';
  offeringAudio: boolean;
  canReceiveAudio: boolean;
  offeringVideo: boolean;
  canReceiveVideo: boolean;
}
export interface OnSignallingObj {
  /** 'resuming': the connection was lost and is coming back; calls go on. 'lost': it is gone, a new one is being made or was given up. */
  state: 'idle' | 'connecting' | 'connected' | 'resuming' | 'lost';
  reason: string;
  /** How long calls wait for the connection from its loss on; with 'resuming'. */
  window_s?: number;
}
export interface OnTokenWillExpireObj {
  expires: Date;
  secondsLeft: number;
  /** Registers again with this token, without a gap. */
  renew: (token: string) => Promise<void>;
}
export interface HoldObj extends CallObj { by: 'local' | 'remote'; held: boolean }
export interface MediaQuality {
  /** Kilobits per second. */
  kbps_in: number;
  kbps_out: number;
  jitter_ms: number;
  loss_percent: number;
}
export interface VideoQuality extends MediaQuality { width: number; height: number; fps: number }
export interface QualityObj extends CallObj {
  /** null until the browser has measured it. */
  rtt_ms: number | null;
  jitter_ms: number;
  loss_percent: number;
  /** 1 to 4.5, estimated (docs/sdk.md says how). */
  mos: number;
  level: 'good' | 'fair' | 'poor';
  audio: MediaQuality | null;
  video: VideoQuality | null;
}
export interface Check {
  name: 'signalling' | 'registration' | 'turn-udp' | 'turn-tcp' | 'turn-tls' | 'microphone' | 'media';
  /** null: there is nothing of the kind to be tested. */
  ok: boolean | null;
  words: string;
  /** How long it took; null where nothing had to be done. */
  ms: number | null;
}
export interface Report { ok: boolean; checks: Check[] }
export interface IsMutedResponse { mic: boolean; output_audio: boolean; camera: boolean; output_video: boolean }

export class AculabCloudClient {
  constructor(cloudId: string, webRtcAccessKey: string, clientId: string, logLevel?: number, options?: Options);
  static isSupported(): boolean;
  static getCodecList(mediaType: 'audio' | 'video'): RTCRtpCodecCapability[];

  loglevel: number;
  maxConcurrent: number;
  iceServers: RTCIceServer[] | null;
  onIncoming: ((event: OnIncomingObj) => void) | null | undefined;
  onIncomingState: ((event: OnIncomingStateObj) => void) | null | undefined;
  onSignalling: ((event: OnSignallingObj) => void) | null | undefined;
  onTokenWillExpire: ((event: OnTokenWillExpireObj) => void) | null | undefined;
  /** The present state of the connection, as onSignalling told it last. */
  readonly signalling: OnSignallingObj;
  readonly clientId: string;
  /** The calls that are not over. */
  readonly calls: AculabCloudCall[];

  callService(serviceName: string, options?: CallOptions): AculabCloudOutgoingCall;
  /** @deprecated the same as callService */
  makeOutgoing(serviceName: string): AculabCloudOutgoingCall;
  callClient(clientId: string, token?: string | null, options?: CallOptions): AculabCloudOutgoingCall;
  /** Resolves when registered. Throws the string 'Invalid token' at once where the token has not the form of one. */
  enableIncoming(token?: string): Promise<void>;
  disableIncoming(): Promise<void>;
  setPeerConnectionConfiguration(configuration: RTCConfiguration): void;
  /** Makes the connection anew, at once. */
  reconnect(): void;
  /** Ends registration and connection; calls end with it. */
  closeConnection(): void;
  /** Hangs up all calls, ends the registration, closes the connection. */
  close(): Promise<void>;
  testConnection(options?: { microphone?: boolean; signal?: AbortSignal }): Promise<Report>;
}
export default AculabCloudClient;

export class AculabCloudCall {
  readonly client: AculabCloudClient;
  readonly callUuid: string;
  readonly theCallId: string | undefined;
  /** Whose call it is: the client id or service name of the other side. Hostile text. */
  readonly remoteId: string;
  readonly localStreams: MediaStream[];
  readonly remoteStreams: MediaStream[];
  /** The RTCPeerConnection; null before there is one and after the call. */
  readonly peerConnection: RTCPeerConnection | null;
  readonly state: 'connecting' | 'ringing' | 'connected' | 'ended';
  /** Rejected with the cause when the call ends before it is connected. */
  readonly connected: Promise<void>;
  readonly ended: Promise<{ cause: Cause; status: number; reason: string }>;
  readonly isHeld: boolean;
  readonly isHeldByOther: boolean;
  readonly isSharing: boolean;
  /** Whether an own camera is in the call (see setVideo). */
  readonly hasVideo: boolean;

  onDisconnect: ((event: DisconnectedCallObj) => void) | null | undefined;
  onRinging: ((event: CallObj) => void) | null | undefined;
  onMedia: ((event: MediaCallObj) => void) | null | undefined;
  onMediaRemove: ((event: MediaCallObj) => void) | null | undefined;
  onLocalMedia: ((event: MediaCallObj) => void) | null | undefined;
  onLocalMediaRemove: ((event: MediaCallObj) => void) | null | undefined;
  /** @deprecated onLocalMedia; called only where that is not set */
  onConnecting: ((event: MediaCallObj) => void) | null | undefined;
  onConnected: ((event: CallObj) => void) | null | undefined;
  onLocalVideoMute: ((event: MuteObj) => void) | null | undefined;
  onLocalVideoUnmute: ((event: MuteObj) => void) | null | undefined;
  onRemoteVideoMute: ((event: MuteObj) => void) | null | undefined;
  onRemoteVideoUnmute: ((event: MuteObj) => void) | null | undefined;
  /** Older names of the four above. */
  onLocalVideoMuteCB: ((event: MuteObj) => void) | null | undefined;
  onLocalVideoUnMuteCB: ((event: MuteObj) => void) | null | undefined;
  onRemoteVideoMuteCB: ((event: MuteObj) => void) | null | undefined;
  onRemoteVideoUnMuteCB: ((event: MuteObj) => void) | null | undefined;
  onHold: ((event: HoldObj) => void) | null | undefined;
  onQuality: ((event: QualityObj) => void) | null | undefined;

  callId(): string | undefined;
  getSipHeaders(name: string): string[];
  mute(mic: boolean, outputAudio: boolean, camera?: boolean, outputVideo?: boolean): void;
  muteStream(stream: MediaStream, mic: boolean, outputAudio: boolean, camera?: boolean, outputVideo?: boolean): void;
  muteLocalStream(stream: MediaStream, mic: boolean, camera?: boolean): void;
  muteRemoteStream(stream: MediaStream, outputAudio: boolean, outputVideo?: boolean): void;
  isMuted(stream?: MediaStream): IsMutedResponse;
  sendDtmf(digits: string): void;
  /** Resolves when the other side has agreed; throws a string at once where it cannot be tried. */
  addStream(stream: MediaStream): Promise<void>;
  removeStream(stream: MediaStream): Promise<void>;
  /** Replaces the local streams by `options.localStreams`. */
  reinvite(options: CallOptions): Promise<void>;
  disconnect(): void;
  getStats(reportsToCollect?: string[]): Promise<AculabCloudCallStatistics>;
  getConnectionInfo(): Promise<string>;

  hold(): Promise<void>;
  resume(): Promise<void>;
  setVideo(on: boolean): Promise<void>;
  shareScreen(): Promise<MediaStream>;
  stopSharing(): Promise<void>;
  restartIce(): Promise<void>;
}

export class AculabCloudOutgoingCall extends AculabCloudCall {}

export class AculabCloudIncomingCall extends AculabCloudCall {
  answer(options?: CallOptions): void;
  ringing(options?: { extraSipHeaders?: string[] }): void;
  reject(cause?: number | string): void;
}

/** What getStats gives, sorted by track and kind. */
export class AculabCloudCallStatistics {
  constructor(input: { reports: RTCStatsReport; reportsToCollect?: string[] });
  readonly reports: RTCStatsReport;
  readonly reportsById: Map<string, Record<string, unknown>[]>;
  readonly inboundReportsByKind: Map<string, Record<string, unknown>>;
  readonly outboundReportsByKind: Map<string, Record<string, unknown>>;
  getReportFromTrackId(trackId: string): Record<string, unknown>[] | undefined;
  getInboundReportsFromKind(kind: 'audio' | 'video'): Record<string, unknown> | undefined;
  getOutboundReportsFromKind(kind: 'audio' | 'video'): Record<string, unknown> | undefined;
}

/** The interface of version 1: one call to a service. */
export class AculabCloudCaller {
  logLevel: number;
  iceServers: RTCIceServer[] | null;
  /** Where the server is; default as for AculabCloudClient. */
  server: string | URL | undefined;
  onDisconnect?: (event: DisconnectedCallObj) => void;
  onRinging?: () => void;
  onMedia?: (event: MediaCallObj) => void;
  onConnecting?: () => void;
  onConnected?: () => void;
  /** Never called: version 1 named them, and nothing told them. */
  onError?: () => void;
  onIncoming?: () => void;
  onRegistered?: () => void;
  onUnregistered?: () => void;
  onRegisterFail?: () => void;
  makeCall(cloudId: string, service: string, callerId: string): void;
  isSupported(): boolean;
  sendDtmf(digits: string): void;
  disconnect(): void;
  attachMediaStreamToElement(element: HTMLMediaElement, stream: MediaStream): void;
  detachMediaStreamFromElement(element: HTMLMediaElement): void;
}

/** A WebSocket that comes back (docs/resume.md); with a server that cannot, a plain one. */
export class ResumingSocket extends EventTarget {
  constructor(url: string | URL, webSocket?: typeof WebSocket);
  readonly readyState: number;
  readonly protocol: string;
  readonly url: string;
  send(message: string | ArrayBuffer | ArrayBufferView): void;
  close(code?: number, reason?: string): void;
}
export const version: string;
