// Runs in the page: wraps one AculabCloudClient, of whichever SDK. Calls are named by number, since objects cannot leave the
// page; whatever the SDK tells the app goes to `window.report` and stays in `window.events`.

export const CAUSES_ONLY = 1;

/** Many calls share two cores with their encoders. */
const SMALL = { width: 320, height: 240, frameRate: 15 };

export class Phone {
  #AculabCloudClient;
  #client;
  #calls = [];
  #shared = new Map();
  #ears = new Map();

  constructor(AculabCloudClient) {
    this.#AculabCloudClient = AculabCloudClient;
    window.events = [];
  }

  get client() {
    return this.#client;
  }

  get calls() {
    return this.#calls;
  }

  open(cloudId, accessKey, clientId) {
    this.use(new this.#AculabCloudClient(cloudId, accessKey, clientId, CAUSES_ONLY));
  }

  /** Takes this client for its own. */
  use(client) {
    this.#client = client;
    this.#client.onIncomingState = ({ ready, cause, retry }) => tell('state', { ready, cause, retry });
    this.#client.onIncoming = ({ call, from, type, ...offer }) => {
      const number = this.adopt(call);
      tell('incoming', { call: number, from, kind: type, ...offer });
      call.ringing();
    };
  }

  enableIncoming(token) {
    this.#client.enableIncoming(token);
  }

  disableIncoming() {
    this.#client.disableIncoming();
  }

  async call(clientId, token, options) {
    return this.adopt(this.#client.callClient(clientId, token, await this.sdkOptions(options)));
  }

  async callService(name, options) {
    return this.adopt(this.#client.callService(name, await this.sdkOptions(options)));
  }

  /** Calls and hangs up in the same turn of the event loop. */
  callAndHangUp(clientId, token) {
    const call = this.#client.callClient(clientId, token, { constraints: { audio: true, video: false } });
    const number = this.adopt(call);
    call.disconnect();
    return number;
  }

  /** Calls, and hangs up in the very moment in which the INVITE has left. */
  callAndCancel(clientId, token) {
    const number = this.adopt(this.#client.callClient(clientId, token, { constraints: { audio: true, video: false } }));
    const { send } = WebSocket.prototype;
    const call = this.#calls[number];
    WebSocket.prototype.send = function (message) {
      send.call(this, message);
      // Resumable signalling puts two numbers before a message.
      if (!/^(\d+ \d+\r\n)?INVITE /.test(message)) return;
      WebSocket.prototype.send = send;
      // The SDK first notes that it has sent its request.
      queueMicrotask(() => call.disconnect());
    };
    return number;
  }

  async answer(number, options) {
    this.#calls[number].answer(await this.sdkOptions(options));
  }

  reject(number, status) {
    this.#calls[number].reject(String(status));
  }

  hangUp(number) {
    this.#calls[number].disconnect();
  }

  callId(number) {
    return this.#calls[number].callId();
  }

  headers(number, name) {
    return this.#calls[number].getSipHeaders(name);
  }

  /** Adds what this tab shows to the call. */
  async share(number) {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true, preferCurrentTab: true });
    this.#shared.set(number, stream);
    this.#calls[number].addStream(stream);
  }

  stopSharing(number) {
    this.#calls[number].removeStream(this.#shared.get(number));
  }

  peerConnection(number) {
    return this.#calls[number]._session?.sessionDescriptionHandler?.peerConnection;
  }

  /** What came in so far, one entry for each RTP stream. */
  async inbound(number) {
    const connection = this.peerConnection(number);
    if (!connection) return [];
    const entries = [];
    for (const report of (await connection.getStats()).values()) {
      if (report.type !== 'inbound-rtp') continue;
      const { ssrc, kind, packetsReceived, bytesReceived, framesDecoded } = report;
      entries.push({ ssrc, kind, packetsReceived, bytesReceived, framesDecoded });
    }
    return entries;
  }

  /** Presses keys. */
  press(number, keys) {
    this.#calls[number].sendDtmf(keys);
  }

  /** What is heard now: the loudest frequency in Hz, how much of the sound it is, and how loud all of it is. */
  async listens(number) {
    const { analyser } = await this.#ear(number);
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const powers = [...bins].map((decibels) => 10 ** (decibels / 10));
    const all = powers.reduce((sum, power) => sum + power, 0);
    const at = powers.indexOf(Math.max(...powers));
    const around = powers.slice(Math.max(at - 3, 0), at + 4).reduce((sum, power) => sum + power, 0);
    const level = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    const loudest = (at * analyser.context.sampleRate) / analyser.fftSize;
    return { loudest, share: all > 0 ? around / all : 0, level };
  }

  async #ear(number) {
    let ear = this.#ears.get(number);
    if (!ear) {
      const receivers = this.peerConnection(number).getReceivers();
      const { track } = receivers.find((receiver) => receiver.track.kind === 'audio');
      const stream = new MediaStream([track]);
      // Chromium gives Web Audio nothing of a remote stream that no element plays.
      const element = new Audio();
      element.muted = true;
      element.srcObject = stream;
      await element.play();
      const context = new AudioContext();
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(stream).connect(analyser);
      await context.resume();
      ear = { element, analyser };
      this.#ears.set(number, ear);
    }
    return ear;
  }

  /** How many streams of each kind have more to show than they had `before`. */
  async grown(number, before) {
    const counts = { audio: 0, video: 0 };
    for (const now of await this.inbound(number)) {
      const then = before.find(({ ssrc }) => ssrc === now.ssrc);
      if (!then) continue;
      const counters = ['packetsReceived', 'bytesReceived', ...(now.kind === 'video' ? ['framesDecoded'] : [])];
      if (counters.every((counter) => now[counter] > then[counter])) counts[now.kind] += 1;
    }
    return counts;
  }

  async sdkOptions({ audio = true, video = false, headers, keepStream = false } = {}) {
    const options = { constraints: { audio, video: video === true ? SMALL : video } };
    if (headers) options.extraSipHeaders = headers;
    // Streams can be added later only to a call that was given its streams by the app.
    if (keepStream) options.localStreams = [await navigator.mediaDevices.getUserMedia(options.constraints)];
    return options;
  }

  /** Listens to what a call tells, and gives it its number. */
  adopt(call) {
    const number = this.#calls.push(call) - 1;
    call.onRinging = () => tell('ringing', { call: number });
    call.onConnected = () => tell('connected', { call: number });
    call.onMedia = ({ stream }) => tell('media', { call: number, tracks: stream.getTracks().map(({ kind }) => kind) });
    call.onMediaRemove = () => tell('mediaRemove', { call: number });
    call.onDisconnect = ({ cause }) => tell('disconnected', { call: number, cause });
    return number;
  }
}

export function tell(type, more) {
  const event = { type, ...more };
  window.events.push(event);
  window.report(event);
}
