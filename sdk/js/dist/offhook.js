/*! offhook 0.1.0 | MIT License | the sources are in sdk/js/src */

// src/error.js
var OffhookError = class extends Error {
  constructor(code, message, status) {
    super(message);
    this.name = "OffhookError";
    this.code = code;
    this.status = status;
  }
};
function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {
  });
  return made;
}
function quiet(promise) {
  promise.catch(() => {
  });
  return promise;
}

// src/sip/message.js
var COMPACT = {
  i: "call-id",
  m: "contact",
  e: "content-encoding",
  l: "content-length",
  c: "content-type",
  f: "from",
  s: "subject",
  k: "supported",
  t: "to",
  v: "via"
};
var LONGEST_MESSAGE = 1 << 20;
var MOST_HEADERS = 512;
var REQUEST_LINE = /^([A-Za-z0-9\-.!%*_+`'~]+) (\S+) SIP\/2\.0$/;
var STATUS_LINE = /^SIP\/2\.0 ([1-6]\d\d)(?: (.*))?$/;
var HEADER = /^([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:[ \t]*(.*?)[ \t]*$/s;
var Headers = class {
  #fields = [];
  add(name, value) {
    this.#fields.push([name, value]);
    return this;
  }
  get(name) {
    return this.all(name)[0];
  }
  all(name) {
    const wanted = canonical(name);
    return this.#fields.filter(([each]) => canonical(each) === wanted).map(([, value]) => value);
  }
  [Symbol.iterator]() {
    return this.#fields[Symbol.iterator]();
  }
};
function parse(text) {
  if (typeof text !== "string" || text.length > LONGEST_MESSAGE) return null;
  const end2 = text.indexOf("\r\n\r\n");
  const head = end2 < 0 ? text.replace(/\r\n$/, "") : text.slice(0, end2);
  const [first, ...lines] = head.replace(/\r\n[ \t]+/g, " ").split("\r\n");
  if (lines.length > MOST_HEADERS) return null;
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (!name) return null;
    headers.add(name, value);
  }
  const message = { headers, body: end2 < 0 ? "" : text.slice(end2 + 4), ...cseq(headers) };
  const request = REQUEST_LINE.exec(first);
  if (request) Object.assign(message, { method: request[1], uri: request[2] });
  const status = STATUS_LINE.exec(first);
  if (status) Object.assign(message, { status: Number(status[1]), phrase: status[2] ?? "" });
  const whole = ["from", "to", "call-id", "via"].every((name) => headers.get(name)) && message.cseq;
  if (!whole || !(request || status)) return null;
  if (request && message.cseq.method !== message.method) return null;
  message.callId = headers.get("call-id");
  message.from = address(headers.get("from"));
  message.to = address(headers.get("to"));
  message.branch = parameter(split(headers.get("via"))[0], "branch") ?? "";
  return message;
}
function printRequest({ method, uri, headers, body = "" }) {
  return print(`${method} ${uri} SIP/2.0`, headers, body);
}
function printResponse({ status, phrase, headers, body = "" }) {
  return print(`SIP/2.0 ${status} ${phrase ?? PHRASES[status] ?? ""}`, headers, body);
}
function print(first, headers, body) {
  const lines = [first];
  for (const [name, value] of headers) lines.push(`${name}: ${oneLine(value)}`);
  lines.push(`Content-Length: ${new TextEncoder().encode(body).length}`, "", body);
  return lines.join("\r\n");
}
function oneLine(value) {
  return String(value).replace(/[\r\n\0]+/g, " ");
}
function cseq(headers) {
  const [, number, method] = /^(\d{1,10})\s+(\S+)$/.exec(headers.get("cseq") ?? "") ?? [];
  return method && Number(number) < 2 ** 32 ? { cseq: { number: Number(number), method } } : {};
}
function address(text) {
  const value = text ?? "";
  const bracket = /^\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^>]*)>(.*)$/s.exec(value);
  const [uri, rest] = bracket ? [bracket[3], bracket[4]] : cutAt(value.trim(), ";");
  const [, user, host] = /^sips?:(?:([^@;?]*)@)?([^;?]*)/i.exec(uri) ?? [];
  return {
    uri,
    user: decoded(user?.split(":")[0] ?? ""),
    host: (host ?? "").toLowerCase(),
    tag: parameter(rest, "tag"),
    display: bracket ? (bracket[1] ?? bracket[2]).replace(/\\(.)/g, "$1").trim() : "",
    rest
  };
}
function cutAt(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
}
function decoded(user) {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}
function parameter(text, name) {
  const escaped = name.replace(/[-.*+]/g, "\\$&");
  const found = new RegExp(`;\\s*${escaped}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^;,\\s"]*))`, "i").exec(text ?? "");
  return found ? found[1]?.replace(/\\(.)/g, "$1") ?? found[2] : void 0;
}
function split(text) {
  const parts = [];
  let [part, quoted, bracketed] = ["", false, false];
  for (let i = 0; i < (text ?? "").length; i += 1) {
    const c = text[i];
    if (quoted && c === "\\") {
      part += c + (text[i += 1] ?? "");
      continue;
    }
    if (c === '"') quoted = !quoted;
    else if (!quoted && c === "<") bracketed = true;
    else if (!quoted && c === ">") bracketed = false;
    if (c === "," && !quoted && !bracketed) {
      parts.push(part.trim());
      part = "";
    } else {
      part += c;
    }
  }
  return [...parts, part.trim()].filter((each) => each);
}
function reason(headers) {
  for (const value of headers.all("reason").flatMap(split)) {
    if (!/^SIP\s*(;|$)/i.test(value)) continue;
    const cause = Number(parameter(value, "cause"));
    return { cause: Number.isInteger(cause) ? cause : 0, text: plain(parameter(value, "text")) };
  }
  return null;
}
function warning(headers) {
  for (const value of headers.all("warning")) {
    const found = /^\d{3}\s+\S+\s+"((?:[^"\\]|\\.)*)"/.exec(value);
    if (found) return plain(found[1].replace(/\\(.)/g, "$1"));
  }
  return "";
}
var LONGEST_WORDS = 256;
function plain(text) {
  return (text ?? "").slice(0, LONGEST_WORDS).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, " ").trim();
}
function canonical(name) {
  const lower = name.toLowerCase();
  return COMPACT[lower] ?? lower;
}
var PHRASES = {
  100: "Trying",
  180: "Ringing",
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  415: "Unsupported Media Type",
  420: "Bad Extension",
  480: "Temporarily Unavailable",
  481: "Call/Transaction Does Not Exist",
  486: "Busy Here",
  487: "Request Terminated",
  488: "Not Acceptable Here",
  491: "Request Pending",
  500: "Server Internal Error",
  600: "Busy Everywhere",
  603: "Decline",
  604: "Does Not Exist Anywhere",
  606: "Not Acceptable"
};

// src/causes.js
var BUSY = [486, 600];
var UNOBTAINABLE = [404, 410, 480, 604];
var NOANSWER = [408, 487];
var REJECTED = [403, 433];
function causeOf(status) {
  if (status >= 200 && status < 300) return "NORMAL";
  if (status >= 300 && status < 400) return "MOVED";
  if (BUSY.includes(status)) return "BUSY";
  if (UNOBTAINABLE.includes(status)) return "UNOBTAINABLE";
  if (NOANSWER.includes(status)) return "NOANSWER";
  if (REJECTED.includes(status) || status >= 600) return "REJECTED";
  return "FAILED";
}
function refused(response, who) {
  const { status } = response;
  const told = sentence(reason(response.headers)) || plainly(warning(response.headers));
  return { cause: causeOf(status), status, reason: told || wordsFor(status, who, response) };
}
function hungUp(request, who) {
  const told = reason(request.headers);
  if (!told?.cause) return { cause: "NORMAL", status: 200, reason: told?.text || `${who} hung up` };
  const { cause } = told;
  const words = cause >= 200 && cause < 300 ? `${who} hung up` : wordsFor(cause, who);
  return { cause: causeOf(cause), status: cause, reason: sentence(told) || words };
}
function cancelled(request, who) {
  const told = reason(request.headers);
  const words = `${who} hung up before the call was answered`;
  return { cause: "NORMAL", status: told?.cause || 487, reason: sentence(told) || words };
}
function plainly(text) {
  return /\bnames no active account\b/.test(text) ? "the server has no active account with this access key: it is disabled, or the key is wrong" : text;
}
function sentence(told) {
  return told && told.text !== PHRASES[told.cause] && told.text !== "Request Terminated" ? told.text : "";
}
function wordsFor(status, who, response) {
  const words = {
    0: "the connection to the server was lost",
    401: "the server did not accept the token",
    403: "the server did not permit this call",
    404: `${who} is not known`,
    408: response?.isLocal ? "the server did not answer" : `${who} did not answer`,
    410: `${who} is not known any more`,
    480: `${who} cannot be reached now`,
    481: "the other side knows nothing of this call any more",
    486: `${who} is busy`,
    487: `${who} did not answer`,
    488: `${who} cannot take this kind of call`,
    503: "the server is too busy",
    600: `${who} is busy`,
    603: `${who} rejected the call`,
    604: `${who} does not exist`
  };
  if (words[status]) return words[status];
  if (status >= 300 && status < 400) return `${who} has moved: calls should go elsewhere`;
  if (status >= 600) return `${who} rejected the call`;
  return plain(response?.phrase) || PHRASES[status] || `the call failed (${status})`;
}

// src/gathering.js
var LONGEST_MS = 5e3;
var GRACE_MS = 300;
function gathered(pc) {
  const hasCandidates = /^a=candidate:/m.test(pc.localDescription.sdp);
  if (pc.iceGatheringState === "complete" && hasCandidates) return Promise.resolve();
  const urls = (pc.getConfiguration().iceServers ?? []).flatMap(({ urls: each }) => each);
  const awaited = urls.some((url) => /^turns?:/i.test(url)) ? "relay" : "srflx";
  return new Promise((resolve) => {
    let grace;
    const done = () => {
      clearTimeout(longest);
      clearTimeout(grace);
      pc.removeEventListener("icecandidate", look);
      pc.removeEventListener("icegatheringstatechange", look);
      resolve();
    };
    const look = ({ candidate }) => {
      if (pc.iceGatheringState === "complete" || candidate === null) done();
      else if (candidate && candidateType(candidate) === awaited) grace ??= setTimeout(done, GRACE_MS);
    };
    const longest = setTimeout(done, LONGEST_MS);
    pc.addEventListener("icecandidate", look);
    pc.addEventListener("icegatheringstatechange", look);
  });
}
function candidateType({ type, candidate }) {
  return type ?? / typ (\w+)/.exec(candidate)?.[1];
}

// src/media.js
var DTMF_MS = 100;
var DTMF_GAP_MS = 70;
function mediaOptions(options = {}) {
  const constraints = options.constraints ?? { audio: true, video: false };
  const localStreams = options.localStreams ?? (options.localStream ? [options.localStream] : void 0);
  const sends = (kind) => {
    if (localStreams) return localStreams.some((stream) => stream.getTracks().some((track) => track.kind === kind));
    return Boolean(constraints[kind]);
  };
  return {
    ...options,
    constraints,
    localStreams,
    receive: { audio: options.receiveAudio ?? sends("audio"), video: options.receiveVideo ?? sends("video") }
  };
}
var Media = class {
  #options;
  #told;
  #pc;
  /** From a stream as the application has it to the clone that is sent: by the application's id. */
  #clones = /* @__PURE__ */ new Map();
  #local = [];
  #remote = /* @__PURE__ */ new Map();
  #isHeld = false;
  #isHeldByOther = false;
  /** What a hold on our side alone took away: from sender to its track, and whether the other direction was heard. */
  #silenced = /* @__PURE__ */ new Map();
  /** Remote tracks that ended with the last description. */
  #gone = /* @__PURE__ */ new Set();
  /** The directions that the call wishes for, which a hold overrides for a while. */
  #directions = /* @__PURE__ */ new Map();
  /** Senders that had a track of ours, or may have one: addTrack takes only those that are new. */
  #used = /* @__PURE__ */ new WeakSet();
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
    return ["connected", "completed"].includes(this.#pc.iceConnectionState);
  }
  /** Microphone and camera, or clones of the streams that the application gave. */
  static async capture(options) {
    if (options.localStreams)
      return options.localStreams.map((stream2) => ({ original: stream2.id, stream: stream2.clone() }));
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
  async answer(sdp, addTracks = () => {
  }) {
    const before = new Set(this.#pc.getTransceivers());
    await this.#pc.setRemoteDescription({ type: "offer", sdp });
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
  async accept(sdp, type = "answer") {
    await this.#pc.setRemoteDescription({ type, sdp });
    this.#settleRemote();
    if (type === "answer") await this.#limitBitrates();
  }
  /** Takes an offer back that was not accepted. */
  async rollback() {
    if (this.#pc.signalingState === "have-local-offer") await this.#pc.setLocalDescription({ type: "rollback" });
    if (this.#pc.signalingState === "have-remote-offer") await this.#pc.setRemoteDescription({ type: "rollback" });
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
        await sender.replaceTrack(track?.readyState === "live" ? track : null);
        receiver.track.enabled = isHeard;
      }
    }
  }
  configure(configuration) {
    this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), ...configuration });
  }
  sendDtmf(digits) {
    const sender = this.#pc.getSenders().find(({ track, dtmf }) => track?.kind === "audio" && dtmf);
    if (!sender?.dtmf.canInsertDTMF) throw "DTMF send error";
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
    if (this.#isClosed) throw new DOMException("the call is over", "AbortError");
  }
  #sendTrack(track, stream) {
    const receives = this.#options.receiveAudio;
    const free = this.#pc.getTransceivers().find(
      ({ sender, receiver, stopped }) => !stopped && !sender.track && receiver.track.kind === track.kind && this.#used.has(sender)
    );
    if (free) {
      free.sender.replaceTrack(track);
      free.sender.setStreams?.(stream);
    }
    const transceiver = free ?? this.#transceiverOf(this.#pc.addTrack(track, stream));
    const wishes = { audio: receives ?? true, video: this.#options.receiveVideo ?? true };
    this.#want(transceiver, {
      send: true,
      receive: this.#pc.remoteDescription ? wishes[track.kind] : this.#options.receive[track.kind]
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
    const later = { audio: receiveAudio ?? true, video: receiveVideo ?? true };
    this.#want(transceiver, { receive: (isLater ? later : receive)[kind] });
  }
  #applyDirections() {
    for (const [transceiver, { send, receive }] of this.#directions) {
      if (transceiver.stopped || transceiver.direction === "stopped") continue;
      const wish = send ? receive ? "sendrecv" : "sendonly" : receive ? "recvonly" : "inactive";
      const direction = this.#isHeld ? "inactive" : wish;
      if (transceiver.direction !== direction) transceiver.direction = direction;
    }
  }
  /** A first offer also asks for what is received and not sent. */
  #addReceivers() {
    for (const kind of ["audio", "video"]) {
      const has = this.#pc.getTransceivers().some(({ receiver }) => receiver.track.kind === kind);
      if (has || !this.#options.receive[kind]) continue;
      const transceiver = this.#pc.addTransceiver(kind, { direction: "recvonly" });
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
      if (limit === void 0) continue;
      const parameters = sender.getParameters();
      for (const encoding of parameters.encodings ?? []) {
        if (Number.isFinite(limit) && limit >= 0) encoding.maxBitrate = limit;
        else delete encoding.maxBitrate;
      }
      await sender.setParameters(parameters).catch(() => {
      });
    }
  }
  #remoteTrack({ track, streams }) {
    const id = streams[0]?.id ?? "none";
    const known = this.#remote.get(id);
    const stream = known ?? new MediaStream();
    this.#remote.set(id, stream);
    if (!stream.getTracks().includes(track)) stream.addTrack(track);
    if (track.kind === "video") {
      track.onmute = () => this.#told.onRemoteMute(stream, track, true);
      track.onunmute = () => this.#told.onRemoteMute(stream, track, false);
    }
    this.#gone.delete(track);
    streams[0]?.addEventListener("removetrack", (event) => {
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
};

// src/sdp.js
var DIRECTION = /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m;
function sections(sdp) {
  const [session2, ...rest] = String(sdp ?? "").split(/^m=/m);
  const general = DIRECTION.exec(session2)?.[1] ?? "sendrecv";
  return rest.map((section) => ({
    kind: /^\w+/.exec(section)?.[0],
    port: Number(/^\w+ (\d+)/.exec(section)?.[1]),
    isBundled: /^a=bundle-only\r?$/m.test(section),
    direction: DIRECTION.exec(section)?.[1] ?? general
  })).filter(({ port, isBundled }) => port !== 0 || isBundled);
}
function offered(sdp) {
  const has = (wanted, way) => sections(sdp).some(({ kind, direction }) => kind === wanted && ["sendrecv", way].includes(direction));
  return {
    offeringAudio: has("audio", "sendonly"),
    canReceiveAudio: has("audio", "recvonly"),
    offeringVideo: has("video", "sendonly"),
    canReceiveVideo: has("video", "recvonly")
  };
}
function takesNoAudio(sdp) {
  const audio = sections(sdp).filter(({ kind }) => kind === "audio");
  return audio.length > 0 && audio.every(({ direction }) => ["sendonly", "inactive"].includes(direction));
}

// src/sip/random.js
var LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
function randomWord(length) {
  let word = "";
  while (word.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < 252 && word.length < length) word += LETTERS[byte % 36];
    }
  }
  return word;
}

// src/sip/agent.js
var TRANSACTION_MS = 32e3;
var RINGING_MS = 6e5;
var MOST_TRANSACTIONS = 1e3;
var USER_AGENT = `offhook/${"0.1.0"}`;
var ALLOW = "ACK, BYE, CANCEL, INFO, INVITE, OPTIONS";
var Agent = class {
  #send;
  #isPaused;
  #onRequest;
  #onAck;
  #transport;
  #clients = /* @__PURE__ */ new Map();
  #servers = /* @__PURE__ */ new Map();
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
      cancel: (reason2) => this.#cancel(transaction, reason2)
    };
  }
  /** Sends an ACK for a 2xx: a request that gets no answer. */
  acknowledge(message) {
    this.#transmit(message, `z9hG4bK${randomWord(16)}`);
  }
  /** What came in on the connection. */
  receive(text) {
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
      if (!transaction.final) this.#finish(transaction, failed(0, "the connection was lost"));
    }
  }
  #begin(transaction) {
    const { message, branch } = transaction;
    this.#clients.set(clientKey(branch, message.method), transaction);
    this.#arm(transaction, TRANSACTION_MS);
    this.#transmit(message, branch);
  }
  #transmit({ method, uri, headers, body }, branch) {
    const all = new Headers().add("Via", `SIP/2.0/${this.#transport} ${this.sentBy};branch=${branch}`);
    all.add("Max-Forwards", "70");
    for (const [name, value] of headers) all.add(name, value);
    all.add("User-Agent", USER_AGENT);
    this.#send(printRequest({ method, uri, headers: all, body }));
  }
  #arm(transaction, ms) {
    clearTimeout(transaction.timer);
    transaction.timer = setTimeout(() => {
      if (this.#isPaused()) this.#arm(transaction, TRANSACTION_MS);
      else if (transaction.final) this.#clients.delete(clientKey(transaction.branch, transaction.message.method));
      else this.#finish(transaction, failed(408, "no answer came"));
    }, ms);
  }
  #response(response) {
    const transaction = this.#clients.get(clientKey(response.branch, response.cseq.method));
    if (!transaction) return;
    const isInvite = transaction.message.method === "INVITE";
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
    if (transaction.message.method === "INVITE" && response.status) this.#arm(transaction, TRANSACTION_MS);
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
    headers.add("To", response.headers.get("to")).add("CSeq", `${response.cseq.number} ACK`);
    this.#transmit({ method: "ACK", uri: message.uri, headers }, branch);
  }
  #cancel(transaction, reason2) {
    if (transaction.final || transaction.cancelled) return;
    transaction.cancelled = reason2 ?? true;
    if (transaction.isProceeding) this.#sendCancel(transaction);
  }
  #sendCancel(transaction) {
    if (transaction.isCancelSent) return;
    transaction.isCancelSent = true;
    const { message, branch, cancelled: cancelled2 } = transaction;
    const headers = new Headers();
    for (const [name, value] of message.headers) {
      if (/^(From|To|Call-ID|Route)$/i.test(name)) headers.add(name, value);
      if (/^CSeq$/i.test(name)) headers.add("CSeq", value.replace("INVITE", "CANCEL"));
    }
    if (typeof cancelled2 === "string") headers.add("Reason", cancelled2);
    this.#begin({ message: { method: "CANCEL", uri: message.uri, headers }, branch, final: null });
    this.#arm(transaction, TRANSACTION_MS);
  }
  #request(request) {
    const key = `${request.branch} ${split(request.headers.get("via"))[0].split(/[\s;]+/)[1] ?? ""}`;
    const invite = this.#servers.get(`${key} INVITE`);
    if (request.method === "ACK") {
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
    if (request.method !== "CANCEL") {
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
      }
    };
    this.#servers.set(key, transaction);
    return transaction;
  }
};
function answerTo(request, status, { tag, phrase, headers = [], body }) {
  const all = new Headers();
  for (const value of request.headers.all("via")) all.add("Via", value);
  all.add("From", request.headers.get("from"));
  const to = request.headers.get("to");
  all.add("To", status > 100 && tag && !request.to.tag ? `${to};tag=${tag}` : to);
  all.add("Call-ID", request.callId).add("CSeq", request.headers.get("cseq"));
  if (request.method === "INVITE" && status > 100 && status < 300) {
    for (const value of request.headers.all("record-route")) all.add("Record-Route", value);
  }
  for (const [name, value] of headers) all.add(name, value);
  all.add("User-Agent", USER_AGENT);
  return printResponse({ status, phrase, headers: all, body });
}
function clientKey(branch, method) {
  return `${branch} ${method}`;
}
function failed(status, phrase) {
  return { status, phrase, headers: new Headers(), body: "", isLocal: true };
}

// src/negotiation.js
var MOST_TRIES = 8;
var Negotiation = class {
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
  constructor(session2) {
    this.#session = session2;
  }
  /** The other side's description when the call was set up: whoever took no sound then does not hold now. */
  begun(sdp) {
    this.#tookAudio = !takesNoAudio(sdp);
  }
  /**
   * Makes a change, and agrees on it with the other side unless it `isLocal`; `undo` takes it back where it is refused.
   */
  change({ apply = () => {
  }, undo = () => {
  }, iceRestart = false, isLocal = false } = {}) {
    const run = this.#queue.then(() => this.#change({ apply, undo, iceRestart, isLocal }));
    this.#queue = run.catch(() => {
    });
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
    throw new OffhookError("FAILED", "both sides kept changing the call at the same time", 491);
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
      ["Contact", contact],
      ["Allow", ALLOW],
      ["Content-Type", "application/sdp"]
    ];
    const request = dialog.request("INVITE", { headers: headers.slice(1), body: sdp });
    const acknowledge2 = () => agent.acknowledge(dialog.request("ACK", { sequence: request.sequence }));
    return new Promise((resolve) => {
      const onFinal = (response) => {
        if (response.status >= 200 && response.status < 300) {
          dialog.retarget(response);
          acknowledge2();
        }
        resolve(response);
      };
      agent.request(request, { onFinal, onLateSuccess: acknowledge2 });
    });
  }
  #refusal(response) {
    const { status } = response;
    if (status === 0) return new OffhookError("DISCONNECTED", "the connection was lost before the change was agreed");
    if (status === 481 || status === 408) this.#session.onGone(response);
    return new OffhookError("REJECTED", `the other side did not agree to the change (${status})`, status);
  }
  /** A re-INVITE of the other side. */
  async invited(request, transaction) {
    if (this.#isAnswering) {
      transaction.respond(500, { headers: [["Retry-After", String(Math.floor(Math.random() * 10))]] });
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
        respond(transaction, contact, await media.offer());
        this.#lateAnswer = request.cseq.number;
      }
    } catch (error) {
      if (this.#session.isEnded) return;
      await media.rollback().catch(() => {
      });
      transaction.respond(488, {
        headers: [["Warning", `399 offhook "${String(error?.name ?? "the offer was not understood")}"`]]
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
    const held = isHeld && !this.#isAnswering ? this.isHeldByOther : this.#tookAudio && takesNoAudio(sdp);
    media.isHeldByOther = held;
    if (held === this.isHeldByOther) return;
    this.isHeldByOther = held;
    this.#session.onHeldByOther(held);
  }
  #alive() {
    if (this.#session.isEnded) throw new OffhookError("NOTCONNECTED", "the call is over");
  }
};
function respond(transaction, contact, sdp) {
  const headers = [
    ["Contact", contact],
    ["Allow", ALLOW],
    ["Content-Type", "application/sdp"]
  ];
  transaction.respond(200, { headers, body: sdp });
}
function pauseAfterGlare(isCaller) {
  const ms = isCaller ? 2100 + Math.random() * 1900 : Math.random() * 2e3;
  return new Promise((over) => setTimeout(over, ms));
}

// src/sip/dialog.js
var Dialog = class _Dialog {
  callId;
  #localUri;
  #localTag;
  #remoteUri;
  #remoteTag;
  #routes;
  #target;
  #contact;
  #localSequence;
  #remoteSequence = null;
  /** Of the one who calls: from its INVITE and a 2xx to it. */
  static ofCaller({ invite, localTag, contact, response }) {
    const dialog = new _Dialog();
    dialog.callId = response.callId;
    dialog.#localTag = localTag;
    dialog.#localUri = response.from.uri;
    dialog.#remoteUri = response.to.uri;
    dialog.#remoteTag = response.to.tag ?? "";
    dialog.#routes = response.headers.all("record-route").flatMap(split).reverse();
    dialog.#localSequence = invite.sequence;
    dialog.#contact = contact;
    dialog.#target = invite.uri;
    dialog.retarget(response);
    return dialog;
  }
  /** Of the one who is called: from the INVITE. */
  static ofCallee({ request, localTag, contact }) {
    const dialog = new _Dialog();
    dialog.callId = request.callId;
    dialog.#localTag = localTag;
    dialog.#localUri = request.to.uri;
    dialog.#remoteUri = request.from.uri;
    dialog.#remoteTag = request.from.tag ?? "";
    dialog.#routes = request.headers.all("record-route").flatMap(split);
    dialog.#localSequence = 0;
    dialog.#remoteSequence = request.cseq.number;
    dialog.#contact = contact;
    dialog.#target = request.from.uri;
    dialog.retarget(request);
    return dialog;
  }
  get remoteTag() {
    return this.#remoteTag;
  }
  get sequence() {
    return this.#localSequence;
  }
  /** A target refresh (§12.2): INVITE and its 2xx may bring a new Contact. */
  retarget(message) {
    const contact = message.headers.get("contact");
    if (contact) this.#target = address(split(contact)[0]).uri || this.#target;
  }
  owns(request) {
    return request.callId === this.callId && request.to.tag === this.#localTag && (request.from.tag ?? "") === this.#remoteTag;
  }
  /** Whether a request of the other side comes in its order (§12.2.2); takes note of it. */
  takes(request) {
    if (this.#remoteSequence !== null && request.cseq.number <= this.#remoteSequence) return false;
    this.#remoteSequence = request.cseq.number;
    return true;
  }
  /** The next request; an ACK has the number of the INVITE that it belongs to. */
  request(method, { headers = [], body, sequence } = {}) {
    const number = sequence ?? (this.#localSequence += 1);
    const all = new Headers();
    for (const route of this.#routes) all.add("Route", route);
    all.add("From", `<${this.#localUri}>;tag=${this.#localTag}`);
    all.add("To", `<${this.#remoteUri}>${this.#remoteTag && `;tag=${this.#remoteTag}`}`);
    all.add("Call-ID", this.callId).add("CSeq", `${number} ${method}`);
    if (method === "INVITE") all.add("Contact", this.#contact);
    for (const [name, value] of headers) all.add(name, value);
    return { method, uri: this.#target, headers: all, body, sequence: number };
  }
};

// src/session.js
var MEDIA_MS = 3e4;
var DISCONNECTED_MS = 4e3;
var CALLEE_WAITS_MS = 3e3;
var RESTART_EVERY_MS = 1e4;
var MOST_RESTARTS = 6;
var ACK_MS = 32e3;
var CANNOT_HOLD = /^AculabCloudClient/;
var Session = class {
  callId;
  remoteId;
  isCaller;
  /** 'new', 'offering', 'ringing', 'accepting', 'accepted', 'ended' */
  phase = "new";
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
  #userAgent = "";
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
    this.remoteId = plain(remoteId) || "the other side";
    this.callId = callId ?? randomWord(20);
    core.sessions.add(this);
  }
  get agent() {
    return this.#core.agent;
  }
  get isEnded() {
    return this.phase === "ended";
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
  async call({ uri, to, options, token, extraHeaders: extraHeaders2 }) {
    this.#options = mediaOptions(options);
    try {
      await Promise.all([this.#capture(), this.#core.signalling.open()]);
      const bearer = await token("call");
      await this.#openMedia();
      this.phase = this.isEnded ? "ended" : "offering";
      const offer = await this.media.offer({ isFirst: true });
      await this.#core.signalling.open();
      if (!this.isEnded) this.#invite({ uri, to, offer, bearer, token, extraHeaders: extraHeaders2 });
    } catch (error) {
      this.#failed(error);
    }
  }
  #invite({ uri, to, offer, bearer, token, extraHeaders: extraHeaders2 }) {
    const sequence = (this.#request?.sequence ?? 0) + 1;
    const headers = new Headers().add("From", `<${this.#core.identity.aor}>;tag=${this.#localTag}`).add("To", `<${to}>`);
    headers.add("Call-ID", this.callId).add("CSeq", `${sequence} INVITE`);
    if (bearer) headers.add("Authorization", `Bearer ${bearer}`);
    for (const [name, value] of extraHeaders2) headers.add(name, value);
    headers.add("Contact", `<${this.#core.contact};ob>`).add("Allow", ALLOW).add("Supported", "outbound");
    headers.add("Content-Type", "application/sdp");
    this.#request = { method: "INVITE", uri, headers, body: offer, sequence };
    this.#transaction = this.agent.request(this.#request, {
      onProvisional: (response) => this.#progress(response),
      onFinal: (response) => {
        if (response.status >= 200 && response.status < 300) this.#answered(response);
        else if (this.#isTokenRefused(response) && bearer)
          this.#askAgain({ uri, to, offer, token, extraHeaders: extraHeaders2 }, response);
        else this.finish(refused(response, this.remoteId));
      },
      onLateSuccess: (response) => this.#answeredAgain(response)
    });
  }
  #isTokenRefused(response) {
    return response.headers.all("www-authenticate").some((value) => value.includes('error="invalid_token"'));
  }
  /** The token was refused: where there is a provider, it is asked for another one, once. */
  async #askAgain(invitation, response) {
    try {
      const bearer = await invitation.token("renew");
      if (this.isEnded) return;
      if (!bearer) throw new OffhookError("INVALIDTOKEN", "there is no other token");
      this.#invite({ ...invitation, bearer, token: () => null });
    } catch {
      this.finish(refused(response, this.remoteId));
    }
  }
  #progress(response) {
    if (this.isEnded || response.status === 100) return;
    this.#remoteHeaders = response.headers;
    if (response.body && response.headers.get("content-type")?.startsWith("application/sdp")) {
      this.media.accept(response.body, "pranswer").catch(() => {
      });
    }
    if (response.status !== 180) return;
    this.phase = "ringing";
    this.#told.onRinging();
  }
  async #answered(response) {
    const invite = this.#request;
    const dialog = Dialog.ofCaller({ invite, localTag: this.#localTag, contact: this.contact, response });
    this.agent.acknowledge(dialog.request("ACK", { sequence: invite.sequence }));
    if (this.isEnded) {
      this.agent.request(dialog.request("BYE"), {});
      return;
    }
    this.dialog = dialog;
    this.#remoteHeaders = response.headers;
    this.#userAgent = response.headers.get("user-agent") ?? "";
    this.#confirmed.resolve();
    try {
      await this.media.accept(response.body);
    } catch {
      const words = "the answer of the other side was not understood";
      this.hangUp({ cause: "FAILED", status: 488, reason: words }, byeReason(488, words));
      return;
    }
    this.negotiation.begun(response.body);
    this.#accept();
  }
  /** A 2xx that comes again is acknowledged again; one of another branch of a fork is hung up (§13.2.2.4). */
  #answeredAgain(response) {
    const invite = this.#request;
    const dialog = Dialog.ofCaller({ invite, localTag: this.#localTag, contact: this.contact, response });
    this.agent.acknowledge(dialog.request("ACK", { sequence: invite.sequence }));
    if (dialog.remoteTag !== this.dialog?.remoteTag) this.agent.request(dialog.request("BYE"), {});
  }
  // Being called.
  /** A call that came in: it rings until it is answered, rejected or cancelled. */
  incoming(request, transaction) {
    this.#request = request;
    this.#transaction = transaction;
    this.#remoteHeaders = request.headers;
    this.#userAgent = request.headers.get("user-agent") ?? "";
    this.#localTag = transaction.tag;
    this.phase = "ringing";
    this.dialog = Dialog.ofCallee({ request, localTag: transaction.tag, contact: this.contact });
    transaction.onCancel = (cancel) => {
      transaction.respond(487);
      this.finish(cancelled(cancel, this.remoteId));
    };
    transaction.respond(100);
  }
  ring(extraHeaders2 = []) {
    if (this.phase !== "ringing") return;
    this.hasRung = true;
    this.#transaction.respond(180, { headers: [["Contact", this.contact], ...extraHeaders2] });
  }
  async answer(options, extraHeaders2) {
    if (this.phase !== "ringing") return;
    this.phase = "accepting";
    this.#options = mediaOptions(options);
    try {
      await this.#capture();
      const offer = this.#request.body;
      const sdp = await this.#openMedia((add) => this.media.answer(offer, add));
      if (this.isEnded) return;
      const headers = [["Contact", this.contact], ["Allow", ALLOW], ["Supported", "outbound"], ...extraHeaders2];
      this.#transaction.respond(200, { headers: [...headers, ["Content-Type", "application/sdp"]], body: sdp });
      this.negotiation.begun(offer);
      this.#awaitAck();
      this.#accept();
    } catch (error) {
      this.#failed(error, () => this.#transaction.respond(error?.code === "DEVICE_ERROR" ? 480 : 500));
    }
  }
  reject(status) {
    this.#transaction.respond(status);
    this.finish({ cause: "NORMAL", status, reason: "you rejected the call" });
  }
  /** §13.3.1.4: a 2xx that is never acknowledged is no call. */
  #awaitAck() {
    const timer = setTimeout(() => {
      this.#confirmed.resolve();
      this.hangUp(
        { cause: "FAILED", status: 408, reason: "the other side did not confirm the call" },
        byeReason(408, "No ACK")
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
      transaction.respond(request.method === "BYE" ? 200 : 481);
    } else if (!this.dialog.takes(request)) {
      transaction.respond(500);
    } else if (request.method === "BYE") {
      transaction.respond(200);
      this.finish(hungUp(request, this.remoteId));
    } else if (request.method === "INVITE" && this.phase === "accepted") {
      quiet(this.negotiation.invited(request, transaction));
    } else if (request.method === "INVITE") {
      transaction.respond(491);
    } else if (request.method === "INFO" || request.method === "OPTIONS") {
      transaction.respond(200, { headers: [["Allow", ALLOW]] });
    } else {
      transaction.respond(405, { headers: [["Allow", ALLOW]] });
    }
  }
  // Ending.
  /** Ends the call from this side, whatever it is doing. */
  hangUp(end2, reasonHeader) {
    if (this.isEnded) return;
    const { phase } = this;
    const early = { cause: "NOANSWER", status: 487, reason: "you hung up before the call was answered" };
    if (phase === "accepted" || this.isCaller && this.dialog) {
      this.#bye(reasonHeader);
      this.finish(end2 ?? { cause: "NORMAL", status: 200, reason: "you hung up" });
    } else if (this.isCaller) {
      this.#transaction?.cancel?.(reasonHeader);
      this.finish(end2 ?? early);
    } else {
      this.reject(486);
    }
  }
  #bye(reasonHeader) {
    const headers = reasonHeader ? [["Reason", reasonHeader]] : [];
    this.#core.finishing(
      this.confirmed.then(() => {
        if (this.#core.signalling.isUsable) this.agent.request(this.dialog.request("BYE", { headers }), {});
      })
    );
  }
  /** The connection is gone for good. */
  lost(reason2) {
    if (!this.#transaction) return;
    this.#confirmed.resolve();
    this.finish({ cause: "FAILED", status: 0, reason: reason2 });
  }
  /** The other side has no such call any more. */
  onGone(response) {
    this.hangUp({ ...refused(response, this.remoteId), cause: causeOf(response.status) });
  }
  finish(end2) {
    if (this.isEnded) return;
    const wasAccepted = this.phase === "accepted";
    this.phase = "ended";
    clearTimeout(this.#iceTimer);
    clearTimeout(this.#mediaTimer);
    this.#listen("removeEventListener");
    this.#stopCapture();
    this.media?.close();
    if (!this.isCaller && wasAccepted) this.confirmed.then(() => this.#core.sessions.delete(this));
    else this.#core.sessions.delete(this);
    this.#told.onEnded(end2);
  }
  #failed(error, answer = () => {
  }) {
    if (this.isEnded) return;
    answer();
    this.#core.log(2, `the call failed: ${error}`);
    const cause = error?.code === "DEVICE_ERROR" ? "DEVICE_ERROR" : error?.code === "DISCONNECTED" ? "FAILED" : "ERROR";
    const isToken = ["INVALIDTOKEN", "FORBIDDEN"].includes(error?.code);
    this.finish({
      cause: isToken ? "FAILED" : cause,
      status: error?.status ?? 0,
      reason: plain(String(error?.message ?? error))
    });
  }
  // Media.
  async #capture() {
    try {
      this.#captured = await Media.capture(this.#options);
      if (!this.isEnded) return;
      this.#stopCapture();
    } catch (error) {
      throw new OffhookError("DEVICE_ERROR", deviceWords(error, this.#options.constraints));
    }
    throw new OffhookError("ABORTED", "the call is over");
  }
  #stopCapture() {
    for (const { stream } of this.#captured) for (const track of stream.getTracks()) track.stop();
  }
  async #openMedia(then = (add) => add()) {
    const configuration = await this.#core.configuration();
    if (this.isEnded) throw new OffhookError("ABORTED", "the call is over");
    this.media = new Media(configuration, this.#options, {
      ...this.#told,
      onIceState: (state) => this.#iceState(state)
    });
    return then(() => this.#captured.forEach((each) => this.media.add(each)));
  }
  #accept() {
    this.phase = "accepted";
    this.#listen("addEventListener");
    const words = "the media could not be connected: a firewall may be in the way";
    this.#mediaTimer = setTimeout(() => {
      if (!this.#isConnected) this.hangUp({ cause: "FAILED", status: 0, reason: words }, byeReason(500, "No media"));
    }, MEDIA_MS);
    this.#lookIfConnected();
  }
  #lookIfConnected() {
    if (this.phase !== "accepted" || this.#isConnected || !this.media.isIceConnected) return;
    this.#isConnected = true;
    clearTimeout(this.#mediaTimer);
    this.#told.onConnected();
  }
  #iceState(state) {
    clearTimeout(this.#iceTimer);
    if (state === "connected" || state === "completed") {
      this.#restarts = 0;
      this.#told.onIceUp();
    }
    this.#lookIfConnected();
    if (this.phase !== "accepted") return;
    const patience = this.isCaller ? 0 : CALLEE_WAITS_MS;
    if (state === "disconnected") this.#iceTimer = setTimeout(() => this.#mend(), DISCONNECTED_MS + patience);
    if (state === "failed") this.#iceTimer = setTimeout(() => this.#mend(), patience);
  }
  /** Media is lost: tries to bring it back, and gives the call up after a minute. */
  #mend() {
    if (this.isEnded || this.media.isIceConnected) return;
    this.#restarts += 1;
    if (this.#restarts > MOST_RESTARTS) {
      const words = "the media connection was lost and did not come back";
      this.hangUp({ cause: "FAILED", status: 0, reason: words }, byeReason(500, "Media lost"));
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
    globalThis[how]?.("online", this.#network);
    globalThis.navigator?.connection?.[how]?.("change", this.#network);
    this.#networkType = globalThis.navigator?.connection?.type;
  }
  #networkChanged({ type }) {
    const networkType = globalThis.navigator?.connection?.type;
    const isSame = type === "change" && networkType === this.#networkType;
    this.#networkType = networkType;
    if (this.phase === "accepted" && !isSame) quiet(this.restartIce());
  }
  /** New candidates for a network that has changed. */
  restartIce() {
    this.#restarting ??= this.negotiation.change({
      iceRestart: true,
      apply: async () => this.media.configure({ iceServers: (await this.#core.configuration()).iceServers })
    }).finally(() => {
      this.#restarting = null;
    });
    return quiet(this.#restarting);
  }
  onHeldByOther(held) {
    this.#told.onHeld("remote", held);
  }
  /** Wishes are fulfilled one after the other; one that is the last already is not asked for again. */
  hold(held) {
    if (this.phase !== "accepted") return Promise.reject(new OffhookError("NOTCONNECTED", "the call is not connected"));
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
    this.#told.onHeld("local", held);
  }
};
function byeReason(status, text) {
  return `SIP;cause=${status};text="${text.replace(/["\\]/g, "\\$&")}"`;
}
function deviceWords(error, { audio, video }) {
  const device = audio && video ? "microphone or camera" : video ? "camera" : "microphone";
  if (error?.name === "NotAllowedError") return `the browser was not allowed to use the ${device}`;
  if (error?.name === "NotFoundError") return `there is no ${device}`;
  if (error?.name === "NotReadableError") return `the ${device} is used by another program`;
  if (!globalThis.navigator?.mediaDevices)
    return "the browser gives no microphone to this page: it must come by https or from localhost";
  return `the ${device} could not be opened: ${plain(String(error?.message ?? error))}`;
}

// src/statistics.js
var COLLECTED = ["inbound-rtp", "media-source", "outbound-rtp"];
var KINDS = ["audio", "video"];
var AculabCloudCallStatistics = class {
  reports;
  reportsById = /* @__PURE__ */ new Map();
  inboundReportsByKind = /* @__PURE__ */ new Map();
  outboundReportsByKind = /* @__PURE__ */ new Map();
  constructor({ reports, reportsToCollect = COLLECTED }) {
    this.reports = reports ?? /* @__PURE__ */ new Map();
    const collected = [...this.reports.values()].filter(({ type }) => reportsToCollect.includes(type));
    const tracks = new Map(
      collected.filter(({ type }) => type === "media-source").map((each) => [each.id, each.trackIdentifier])
    );
    for (const report of collected) {
      const track = report.trackIdentifier ?? tracks.get(report.mediaSourceId);
      if (!track) continue;
      this.reportsById.set(track, [...this.reportsById.get(track) ?? [], report]);
      if (!KINDS.includes(report.kind)) continue;
      if (report.type === "inbound-rtp") this.inboundReportsByKind.set(report.kind, report);
      if (report.type === "outbound-rtp") this.outboundReportsByKind.set(report.kind, report);
    }
  }
  getReportFromTrackId(trackId) {
    return this.reportsById.get(trackId);
  }
  getInboundReportsFromKind(kind) {
    return this.inboundReportsByKind.get(kind);
  }
  getOutboundReportsFromKind(kind) {
    return this.outboundReportsByKind.get(kind);
  }
};
function connectionInfo(reports) {
  const all = [...reports.values()];
  const selected = all.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  const pair = reports.get(selected) ?? all.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  const local = reports.get(pair?.localCandidateId);
  const remote = reports.get(pair?.remoteCandidateId);
  const place = (candidate) => candidate ? `${candidate.address ?? candidate.ip ?? "?"}:${candidate.port ?? "?"}` : "Unknown";
  const protocol = local?.relayProtocol ?? local?.protocol ?? "?";
  return `${place(local)} ${protocol} => ${place(remote)} ${remote?.candidateType ?? "?"}`;
}

// src/quality.js
var EVERY_MS = 2e3;
var BEST_R = 93.2;
var CODEC_MS = 20;
var LOSS_ROBUSTNESS = 10;
var GOOD_MOS = 4;
var FAIR_MOS = 3.1;
function mos({ delay_ms, loss_percent }) {
  const late = Math.max(0, delay_ms - 177.3);
  const delayImpairment = 0.024 * delay_ms + 0.11 * late;
  const lossImpairment = 95 * loss_percent / (loss_percent + LOSS_ROBUSTNESS);
  const r = Math.min(100, Math.max(0, BEST_R - delayImpairment - lossImpairment));
  return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
}
function level(score) {
  if (score >= GOOD_MOS) return "good";
  return score >= FAIR_MOS ? "fair" : "poor";
}
function watchQuality(pc, tell2) {
  let before = null;
  let stopped = false;
  const timer = setInterval(async () => {
    const reports = await pc.getStats().catch(() => null);
    if (!reports || stopped) return;
    const now2 = counters(reports);
    if (before) tell2(quality(before, now2));
    before = now2;
  }, EVERY_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}
function quality(before, now2) {
  const kinds = Object.fromEntries(["audio", "video"].map((kind) => [kind, ofKind(kind, before, now2)]));
  const main = kinds.audio ?? kinds.video ?? { jitter_ms: 0, loss_percent: 0 };
  const delay_ms = (now2.rtt_ms ?? 0) / 2 + 2 * main.jitter_ms + CODEC_MS;
  const score = round(mos({ delay_ms, loss_percent: main.loss_percent }), 2);
  const { jitter_ms, loss_percent } = main;
  return { rtt_ms: now2.rtt_ms, jitter_ms, loss_percent, mos: score, level: level(score), ...kinds };
}
function ofKind(kind, before, now2) {
  const [then, here] = [before[kind], now2[kind]];
  if (!here) return null;
  const seconds = Math.max(1e-3, (now2.at - before.at) / 1e3);
  const grown = (name) => Math.max(0, here[name] - (then?.[name] ?? 0));
  const expected = grown("received") + grown("lost");
  const found = {
    kbps_in: round(grown("bytesIn") * 8 / 1e3 / seconds, 1),
    kbps_out: round(grown("bytesOut") * 8 / 1e3 / seconds, 1),
    jitter_ms: round(here.jitter_ms, 1),
    loss_percent: expected ? round(100 * grown("lost") / expected, 1) : 0
  };
  if (kind === "audio") return found;
  return { ...found, width: here.width, height: here.height, fps: here.fps };
}
function counters(reports) {
  const found = { at: 0, rtt_ms: null, audio: null, video: null };
  for (const report of reports.values()) {
    found.at = Math.max(found.at, report.timestamp ?? 0);
    if (report.type === "inbound-rtp" && report.kind) addInbound(found[report.kind] ??= empty(), report);
    if (report.type === "outbound-rtp" && report.kind)
      (found[report.kind] ??= empty()).bytesOut += report.bytesSent ?? 0;
    const rtt = report.type === "candidate-pair" && report.nominated ? report.currentRoundTripTime : void 0;
    if (rtt !== void 0) found.rtt_ms = round(rtt * 1e3, 1);
  }
  return found;
}
function empty() {
  return { received: 0, lost: 0, bytesIn: 0, bytesOut: 0, jitter_ms: 0, width: 0, height: 0, fps: 0 };
}
function addInbound(sum, report) {
  sum.received += report.packetsReceived ?? 0;
  sum.lost += report.packetsLost ?? 0;
  sum.bytesIn += report.bytesReceived ?? 0;
  sum.jitter_ms = Math.max(sum.jitter_ms, (report.jitter ?? 0) * 1e3);
  if ((report.frameWidth ?? 0) < sum.width) return;
  sum.width = report.frameWidth ?? 0;
  sum.height = report.frameHeight ?? 0;
  sum.fps = report.framesPerSecond ?? 0;
}
function round(value, digits) {
  return Number(value.toFixed(digits));
}

// src/call.js
var DTMF = /^[0-9A-Da-d#*]+$/;
var session = /* @__PURE__ */ Symbol("session");
function extraHeaders(options) {
  return (options?.extraSipHeaders ?? []).map((line) => {
    const [, name, value] = /^(X-[A-Za-z0-9\-.!%*_+`'~]*)\s*:\s*([^\r\n\0]*)$/.exec(line) ?? [];
    if (!name) throw new Error("extraSipHeader must start with 'X-'");
    return [name, value.trim()];
  });
}
var AculabCloudCall = class {
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
  #state = "connecting";
  #connected = deferred();
  #ended = deferred();
  #canReinvite;
  #muted = { audio: false, video: false };
  #camera = null;
  #screen = null;
  #video = Promise.resolve();
  #sharing = null;
  #isIceUp = false;
  #toldLocal = /* @__PURE__ */ new Set();
  #toldRemote = /* @__PURE__ */ new Set();
  #stopQuality = () => {
  };
  constructor(core, { isCaller, remoteId, callId, canReinvite }) {
    this.#core = core;
    this.client = core.client;
    this.#canReinvite = canReinvite;
    if (!isCaller) this.#state = "ringing";
    const told = {
      onRinging: () => this.#rings(),
      onLocal: (stream) => this.#local(stream),
      onLocalRemove: (stream) => {
        if (this.#toldLocal.delete(stream)) this.#tell("onLocalMediaRemove", { stream });
      },
      onRemote: () => this.#remote(),
      // Early media has it before the call is answered.
      onIceUp: () => {
        this.#isIceUp = true;
        this.#remote();
      },
      onRemoteRemove: (stream) => {
        if (this.#toldRemote.delete(stream)) this.#tell("onMediaRemove", { stream });
      },
      onRemoteMute: (stream, track, isMuted) => this.#tell(isMuted ? "onRemoteVideoMute" : "onRemoteVideoUnmute", { stream, track }),
      onConnected: () => this.#up(),
      onHeld: (by, held) => this.#tell("onHold", { by, held }),
      onEnded: (end2) => this.#over(end2)
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
    return this[session].isEnded ? null : this[session].media?.pc ?? null;
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
    return this.#cameraTrack() !== void 0;
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
    if (!DTMF.test(digits)) throw "Invalid DTMF string";
    if (!this[session].media || this.#state === "ended") throw "DTMF send error";
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
      this.#tell(camera ? "onLocalVideoMute" : "onLocalVideoUnmute", { stream: ours, track });
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
      mic: muted(this.localStreams, "audio"),
      camera: muted(this.localStreams, "video"),
      output_audio: muted(remote, "audio"),
      output_video: muted(remote, "video")
    };
  }
  // Streams that come and go.
  addStream(stream) {
    this.#mayReinvite("addStream");
    if (this[session].media.findLocal(stream)) throw "Stream already exists";
    const added = { original: stream.id, stream: stream.clone() };
    return this.#change({
      apply: () => this[session].media.add(added),
      undo: () => this[session].media.remove(added.stream)
    });
  }
  removeStream(stream) {
    this.#mayReinvite("removeStream");
    if (!this[session].media.findLocal(stream)) throw "Stream does not exist";
    if (this.localStreams.length < 2) throw "Not enough streams to remove";
    return this.#change({ apply: () => this[session].media.remove(stream) });
  }
  reinvite(options) {
    this.#mayReinvite("Reinvite");
    const wanted = options?.localStreams ?? [];
    if (wanted.length === 0) throw "At least one MediaStream needed in options.localStreams";
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
    this.#video = this.#video.catch(() => {
    }).then(() => this.#setVideo(on));
    return quiet(this.#video);
  }
  async #setVideo(on) {
    this.#mustBeConnected();
    const { media } = this[session];
    const present = this.#cameraTrack();
    if (Boolean(on) === (present !== void 0)) return;
    if (!on) {
      this.#camera = null;
      await this.#change({ apply: () => media.removeCamera(present) });
      return;
    }
    const [track] = (await captured(() => navigator.mediaDevices.getUserMedia({ video: true }))).getVideoTracks();
    this.#camera = track;
    this.#muted.video = false;
    const undo = () => media.removeCamera(track);
    await this.#change({ apply: () => this[session].isEnded ? track.stop() : media.addCamera(track), undo });
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
    stream.getVideoTracks()[0].addEventListener("ended", () => quiet(this.stopSharing()));
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
    if (!stream || this.#state === "ended") return;
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
    if (this[session].phase !== "accepted") return quiet(Promise.reject(notConnected()));
    return this[session].restartIce();
  }
  async getStats(reportsToCollect) {
    if (!this.peerConnection) throw "No peer connection available";
    return new AculabCloudCallStatistics({ reports: await this.peerConnection.getStats(), reportsToCollect });
  }
  async getConnectionInfo() {
    if (!this.peerConnection) return "No peer connection";
    return this.peerConnection.getStats().then(connectionInfo, () => "Failed to get stats");
  }
  #cameraTrack() {
    const tracks = this.localStreams.filter((stream) => stream !== this.#screen).flatMap((stream) => stream.getVideoTracks());
    return tracks.find((track) => track === this.#camera) ?? tracks[0];
  }
  #mayReinvite(what) {
    if (!this.#canReinvite) throw `${what} not available`;
    if (this[session].phase !== "accepted") throw "Not connected error";
  }
  #mustBeConnected() {
    if (this[session].phase !== "accepted") throw notConnected();
    if (!this.#canReinvite)
      throw new OffhookError("NOTALLOWED", "the streams of a call to a service cannot be changed");
  }
  #change(change) {
    return this[session].negotiation.change(change);
  }
  #rings() {
    if (this.#state === "connecting") this.#state = "ringing";
    this.#tell("onRinging");
  }
  #local(stream) {
    for (const track of stream.getTracks()) if (this.#muted[track.kind]) track.enabled = false;
    if (this.#toldLocal.has(stream)) return;
    this.#toldLocal.add(stream);
    this.#tell(this.onLocalMedia ? "onLocalMedia" : "onConnecting", { stream });
  }
  /** Remote media is told when it can arrive: when ICE is connected. */
  #remote() {
    if (!this.#isIceUp) return;
    for (const stream of this.remoteStreams) {
      if (this.#toldRemote.has(stream)) continue;
      this.#toldRemote.add(stream);
      this.#tell("onMedia", { stream });
    }
  }
  #up() {
    this.#state = "connected";
    this.#connected.resolve();
    this.#tell("onConnected");
    this.#stopQuality = watchQuality(this[session].media.pc, (found) => {
      if (this.onQuality) this.#tell("onQuality", found);
    });
  }
  #over(end2) {
    this.#stopQuality();
    this.#state = "ended";
    this.#connected.reject(new OffhookError(end2.cause, end2.reason, end2.status));
    for (const track of this.#screen?.getTracks() ?? []) track.stop();
    this.#screen = null;
    this.#core.removed(this);
    this.#ended.resolve(end2);
    this.#tell("onDisconnect", end2);
  }
  #tell(name, event = {}) {
    this.#core.tell(this, name, { call: this, ...event });
  }
};
var AculabCloudOutgoingCall = class extends AculabCloudCall {
};
var AculabCloudIncomingCall = class extends AculabCloudCall {
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
    if (phase === "ringing" || phase === "accepting") this[session].reject(status);
    else this[session].hangUp(void 0, byeReason(status, "Rejected"));
  }
};
async function captured(capture) {
  try {
    return await capture();
  } catch (error) {
    throw new OffhookError("DEVICE_ERROR", `it could not be captured: ${error?.message ?? error}`);
  }
}
function notConnected() {
  return new OffhookError("NOTCONNECTED", "the call is not connected");
}
function uuidV4() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 15 | 64;
  bytes[8] = bytes[8] & 63 | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// src/connection_test.js
var PATIENCE_MS = 6e3;
var TRANSPORTS = [
  ["turn-udp", "UDP", (url) => /^turn:/i.test(url) && !/transport=tcp/i.test(url)],
  ["turn-tcp", "TCP", (url) => /^turn:/i.test(url) && /transport=tcp/i.test(url)],
  ["turn-tls", "TLS", (url) => /^turns:/i.test(url)]
];
async function testConnection(core, { microphone = true, signal } = {}) {
  const checks = [];
  const aborted = new Promise((_, reject) => {
    const abort = () => reject(new OffhookError("ABORTED", "the test was aborted"));
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
  aborted.catch(() => {
  });
  const check = async (name, look) => {
    const begun = performance.now();
    const found = await Promise.race([aborted, look().catch((error) => [false, sentence2(error)])]);
    const [ok, words, wasMeasured = true] = found;
    checks.push({ name, ok, words, ms: wasMeasured ? Math.round(performance.now() - begun) : null });
  };
  core.isTesting = true;
  try {
    await check("signalling", () => signalling(core));
    await check("registration", () => registration(core));
    const { iceServers = [] } = checks[0].ok ? await Promise.race([aborted, core.configuration()]) : {};
    for (const [name, words, fits] of TRANSPORTS) await check(name, () => relay(serversWith(iceServers, fits), words));
    await check(
      "microphone",
      () => microphone ? listen() : Promise.resolve([null, "The microphone was not tested."])
    );
    const relayed = checks.some(({ name, ok }) => name.startsWith("turn") && ok);
    await check("media", () => echo(relayed ? iceServers : [], core));
  } finally {
    core.isTesting = false;
  }
  return { ok: checks.every(({ ok }) => ok !== false), checks };
}
async function signalling({ signalling: connection }) {
  const { host } = new URL(connection.url);
  const wasThere = connection.isConnected;
  await connection.open(PATIENCE_MS);
  return [true, `The server at ${host} can be reached.`, !wasThere];
}
async function registration({ registration: current, identity }) {
  const who = identity.aor.replace(/^sip:|@.*$/g, "");
  if (current.isReady) return [true, `${who} is registered and can be called.`, false];
  if (current.isWanted) return [false, "The registration is not complete: the server has not agreed yet.", false];
  return [null, "This client did not ask to be called, so there is no registration to test.", false];
}
function serversWith(servers, fits) {
  return servers.map((server) => ({ ...server, urls: [server.urls].flat().filter(fits) })).filter(({ urls }) => urls.length > 0);
}
async function relay(iceServers, words) {
  if (iceServers.length === 0) return [null, `The server offers no TURN relay over ${words}.`];
  const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
  try {
    const found = new Promise((resolve) => {
      pc.onicecandidate = ({ candidate }) => {
        if (!candidate || candidate.candidate) resolve(Boolean(candidate));
      };
    });
    pc.createDataChannel("test");
    await pc.setLocalDescription();
    if (await within(found)) return [true, `The TURN relay works over ${words}.`];
    return [false, `The TURN relay cannot be reached over ${words}: a firewall may be in the way.`];
  } finally {
    pc.close();
  }
}
async function listen() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  try {
    const [track] = stream.getAudioTracks();
    if (track.readyState !== "live") return [false, "The microphone was opened, but gives no sound."];
    return [true, "The microphone can be used."];
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}
async function echo(iceServers, core) {
  if (iceServers.length === 0) return [null, "The server relays no media, so there is nothing to echo."];
  if (core.iceServers.lends(iceServers)) return [null, "Media through the relay can be tested during a call only."];
  const ends = [1, 2].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" }));
  try {
    const [near, far] = ends;
    near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate).catch(() => {
    });
    far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate).catch(() => {
    });
    const channel = near.createDataChannel("echo");
    far.ondatachannel = (event) => {
      event.channel.onmessage = ({ data }) => event.channel.send(data);
    };
    const heard = new Promise((resolve) => {
      channel.onopen = () => channel.send("hello");
      channel.onmessage = () => resolve(true);
    });
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);
    if (await within(heard)) return [true, "Media comes back through the relay."];
    return [false, "Media does not come back through the relay."];
  } finally {
    for (const end2 of ends) end2.close();
  }
}
function within(promise) {
  return Promise.race([promise, new Promise((late) => setTimeout(() => late(false), PATIENCE_MS))]);
}
function sentence2(error) {
  if (error?.name === "NotAllowedError") return "The browser was not allowed to use the microphone.";
  if (error?.name === "NotFoundError") return "There is no microphone.";
  const words = String(error?.message ?? error);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

// src/ice_servers.js
var FRESH_MS = 6e4;
var PATIENCE_MS2 = 5e3;
var MOST_SERVERS = 16;
var IceServers = class {
  #agent;
  #identity;
  #servers = [];
  #since = -Infinity;
  #asking = null;
  constructor({ agent, identity }) {
    this.#agent = agent;
    this.#identity = identity;
  }
  /** A list that is fresh, or what there is if the server does not say in time; the connection must be open. */
  fresh() {
    if (performance.now() - this.#since < FRESH_MS) return Promise.resolve(this.#servers);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }
  /** Whether a list is what the server lends: it relays for calls alone. */
  lends(servers) {
    return servers === this.#servers;
  }
  /** A new connection knows another client: what was lent before may be less. */
  forget() {
    this.#since = -Infinity;
  }
  #ask() {
    const { aor, host } = this.#identity;
    const headers = new Headers().add("From", `<${aor}>;tag=${randomWord(10)}`).add("To", `<sip:${host}>`);
    headers.add("Call-ID", randomWord(20)).add("CSeq", "1 OPTIONS").add("X-AculabTurnRequest", "1");
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(this.#servers), PATIENCE_MS2);
      const onFinal = (response) => {
        clearTimeout(timer);
        const servers = response.status === 200 ? read(response.body) : null;
        if (servers) {
          this.#servers = servers;
          this.#since = performance.now();
        }
        resolve(this.#servers);
      };
      this.#agent.request({ method: "OPTIONS", uri: `sip:${host}`, headers }, { onFinal });
    });
  }
};
function read(body) {
  let list;
  try {
    list = JSON.parse(body);
  } catch {
    return null;
  }
  if (!Array.isArray(list)) return null;
  const isServer = ({ urls } = {}) => [urls].flat().length > 0 && [urls].flat().every((url) => /^(stuns?|turns?):/i.test(url));
  return list.filter((each) => each && isServer(each)).slice(0, MOST_SERVERS);
}

// src/token.js
var WORD = /^[-_0-9a-zA-Z]+$/;
function isTokenLike(token) {
  if (typeof token !== "string") return false;
  const parts = token.split(".");
  return [3, 5].includes(parts.length) && parts.every((part) => WORD.test(part));
}
function lifetime(token) {
  const { exp, iat } = claims(token);
  if (!Number.isFinite(exp)) return null;
  const begun = Number.isFinite(iat) ? iat : exp - 60;
  return { expires: exp * 1e3, warnAt: Math.max(exp - 60, begun + 0.9 * (exp - begun)) * 1e3 };
}
function claims(token) {
  try {
    const read2 = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    return typeof read2 === "object" && read2 ? read2 : {};
  } catch {
    return {};
  }
}

// src/registration.js
var EXPIRES_S = 600;
var LONGEST_TIMER_MS = 2 ** 31 - 1;
var FIRST_PAUSE_MS = 1e3;
var LONGEST_PAUSE_MS = 6e4;
var LONGEST_REFUSED_PAUSE_MS = 1e4;
var MOST_LENGTHENINGS = 3;
var CLOCKS_DIFFER_S = 30;
var UNREGISTER_MS = 3e3;
var Registration = class {
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
  constructor({ agent, signalling: signalling2, identity, told }) {
    this.#agent = agent;
    this.#signalling = signalling2;
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
    const left2 = isKnown ? this.#leave() : Promise.resolve();
    this.#settle(new OffhookError("CLOSED", "the registration was taken back"));
    if (wasWanted) this.#told.onState({ ready: false, cause: "NORMAL", retry: false, reason: "" });
    await left2;
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
    const reason2 = "the connection to the server was lost";
    if (wasReady) this.#told.onState({ ready: false, cause: "DISCONNECTED", retry: true, reason: reason2 });
    this.#announce = true;
  }
  #go() {
    if (!this.#signalling.isUsable) {
      this.#signalling.open().catch(() => {
      });
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
    const headers = new Headers().add("From", `<${aor}>;tag=${this.#tag}`).add("To", `<${aor}>`);
    headers.add("Call-ID", this.#callId).add("CSeq", `${this.#sequence} REGISTER`);
    if (expires > 0) headers.add("Authorization", `Bearer ${this.#token}`);
    headers.add("Contact", `<${this.contact}>;expires=${expires}`).add("Allow", ALLOW).add("Supported", "outbound, path, gruu");
    this.#agent.request({ method: "REGISTER", uri: `sip:${domain}`, headers }, { onFinal });
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
      this.#giveUp("FAILED", new OffhookError("FAILED", "the server registered another address than ours", 200));
      return;
    }
    this.#lengthenings = this.#pauses = 0;
    this.#isRenewed = false;
    this.#later(1e3 * this.#refreshAfter(expires), () => this.#go());
    if (this.#isAgain) {
      this.#go();
      return;
    }
    const tells = this.#announce || !this.#isReady;
    this.#isReady = this.#wasAccepted = true;
    this.#announce = false;
    this.#watchToken();
    if (tells) this.#told.onState({ ready: true, cause: "NORMAL", retry: true, reason: "" });
    this.#settle();
  }
  /** The seconds that the 200 gives our own Contact. */
  #grantedExpires(response) {
    const ours = response.headers.all("contact").flatMap(split).find((each) => each.includes(`:${this.contactUser}@`));
    if (!ours) return 0;
    const seconds = Number(
      parameter(ours.slice(ours.indexOf(">")), "expires") ?? response.headers.get("expires") ?? this.#expires
    );
    return Number.isFinite(seconds) && seconds > 0 ? seconds : 0;
  }
  /**
   * Half a minute before the end; of a short registration, when half of it is over. One that ends with its token cannot
   * be made longer by it: that is tried when it ends, and until then another token may come.
   */
  #refreshAfter(expires) {
    const tokenLeft = ((lifetime(this.#token)?.expires ?? Infinity) - Date.now()) / 1e3;
    const endsWithToken = expires < this.#expires && tokenLeft < expires + CLOCKS_DIFFER_S;
    if (endsWithToken) return Math.max(expires - 1, expires / 2);
    return expires > 60 ? expires - 30 : expires / 2;
  }
  #refused(response) {
    const { status, headers } = response;
    const longer = Number(headers.get("min-expires"));
    if (status === 423 && longer > this.#expires && this.#lengthenings < MOST_LENGTHENINGS) {
      this.#lengthenings += 1;
      this.#expires = longer;
      this.#go();
    } else if (headers.all("www-authenticate").some((value) => value.includes('error="invalid_token"'))) {
      this.#tokenRefused(response);
    } else if (status === 503 || status === 408) {
      this.#tryLater("DISCONNECTED", errorOf("DISCONNECTED", response), response);
    } else if (status === 403 && this.#wasAccepted) {
      this.#tryLater("FAILED", errorOf("FORBIDDEN", response), response);
    } else {
      this.#giveUp("FAILED", errorOf(status === 403 ? "FORBIDDEN" : "FAILED", response));
    }
  }
  /** Asks for another token once; a second refusal is final. */
  #tokenRefused(response) {
    const refusal = errorOf("INVALIDTOKEN", response);
    const renewed = this.#isRenewed ? null : this.#told.renewToken();
    if (!renewed) {
      this.#giveUp("INVALIDTOKEN", refusal);
      return;
    }
    this.#isRenewed = true;
    renewed.then(
      (token) => {
        if (!this.#wanted) return;
        this.#token = token;
        this.#go();
      },
      () => this.#wanted && this.#giveUp("INVALIDTOKEN", refusal)
    );
  }
  #tryLater(cause, { message }, { headers }) {
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (wasReady || this.#announce) this.#told.onState({ ready: false, cause, retry: true, reason: message });
    this.#announce = false;
    const asked = Number.parseInt(headers.get("retry-after") ?? "", 10) * 1e3;
    const longest = cause === "FAILED" ? LONGEST_REFUSED_PAUSE_MS : LONGEST_PAUSE_MS;
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
    const wait2 = life.warnAt - Date.now();
    this.#tokenTimer = setTimeout(
      () => {
        if (wait2 > LONGEST_TIMER_MS) this.#watchToken();
        else if (this.#wanted && this.#token === token) this.#told.onTokenWillExpire(token, life.expires);
      },
      Math.min(Math.max(0, wait2), LONGEST_TIMER_MS)
    );
  }
  #later(ms, then) {
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(then, ms);
  }
};
function errorOf(code, response) {
  const description = parameter(
    `;${response.headers.get("www-authenticate") ?? ""}`.replace(/,/g, ";"),
    "error_description"
  );
  const words = plainly(warning(response.headers)) || description || `the server refused the registration (${response.status})`;
  return new OffhookError(code, words, response.status);
}

// src/resuming_socket.js
var CONNECTING = 0;
var OPEN = 1;
var CLOSING = 2;
var CLOSED = 3;
var ATTEMPT_MS = 5e3;
var SILENCE_MS = 1e4;
var ANSWER_MS = 4e3;
var ANSWER_AFTER_CHANGE_MS = 2e3;
var FIRST_BACK_OFF_MS = 500;
var LONGEST_BACK_OFF_MS = 5e3;
var KEPT_MESSAGES = 256;
var KEPT_BYTES = 1048576;
var OWED_MESSAGES = 8;
var OWED_BYTES = 32768;
var HEAD = /^(?:(\d+) (\d+)\r\n|ACK (\d+)$|SESSION (\S+) (\d+) (\d+)$|GONE ?(.*)$)/;
var ResumingSocket = class extends EventTarget {
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  binaryType = "blob";
  extensions = "";
  url;
  /** How long nothing need come in before the server is asked whether it is there. */
  silence = SILENCE_MS;
  /** How long its user waits for a sign of life of an INVITE (RFC 3261 §17.1.1.2, timer B); one that it has given up is not sent. */
  patience = 32e3;
  /** How long a lost connection may take to come back, as the server has said. */
  windowMs;
  #state;
  /** `world` is where timers, clock, randomness and the network's news come from. */
  constructor(url, Native = WebSocket, world = globalThis) {
    super();
    this.url = String(url);
    const state = {
      outer: this,
      native: Native,
      world,
      phase: CONNECTING,
      inner: null,
      plain: false,
      live: false,
      credential: "",
      deadline: 0,
      attempts: 0,
      timer: 0,
      sent: 0,
      kept: [],
      keptBytes: 0,
      received: 0,
      owed: 0,
      owedBytes: 0,
      // Given up, but not closed: a close frame that still arrived would end the session.
      stale: [],
      changed: () => networkChanged(state)
    };
    this.#state = state;
    for (const type of ["open", "message", "error", "close"]) {
      this.addEventListener(type, (event) => this["on" + type]?.(event));
    }
    connect(state);
    listen2(state, "addEventListener");
  }
  get readyState() {
    return this.#state.phase;
  }
  get protocol() {
    return this.#state.plain || this.#state.credential ? "sip" : "";
  }
  get bufferedAmount() {
    return this.#state.live || this.#state.plain ? this.#state.inner?.bufferedAmount : this.#state.keptBytes;
  }
  send(message) {
    const state = this.#state;
    if (state.phase === CONNECTING) throw new DOMException("not open yet", "InvalidStateError");
    if (state.phase > OPEN) return;
    if (state.plain) {
      state.inner.send(message);
    } else {
      state.kept.push([message, now(state)]);
      state.sent += 1;
      state.keptBytes += size(message);
      if (state.kept.length > KEPT_MESSAGES || state.keptBytes > KEPT_BYTES)
        end(state, "too much waits for the server");
      else if (state.live) write(state, state.sent, message);
    }
  }
  close(code = 1e3, reason2 = "") {
    const state = this.#state;
    if (state.phase > OPEN) return;
    const lost = state.credential && !state.live;
    if (!lost) state.inner.close(code, reason2);
    state.phase = CLOSING;
    if (lost) state.world.setTimeout(() => tellClose(state, code, reason2, true));
  }
};
function connect(state) {
  const inner = new state.native(state.outer.url, ["sip-resume", "sip"]);
  state.inner = inner;
  inner.binaryType = "arraybuffer";
  inner.onopen = () => inner === state.inner && opened(state);
  inner.onmessage = (event) => inner === state.inner && frame(state, event.data);
  inner.onclose = (event) => inner === state.inner && closed(state, event);
  if (state.credential) wait(state, Math.min(ATTEMPT_MS, left(state)), () => lose(state));
}
function opened(state) {
  const resumable = state.inner.protocol === "sip-resume";
  if (resumable) {
    state.inner.send(state.credential ? "RESUME " + state.credential + " " + state.received : "OPEN");
  } else if (state.credential) {
    end(state, "the server resumes no more");
  } else {
    state.plain = true;
    open(state);
  }
}
function open(state) {
  if (state.phase) return;
  state.phase = OPEN;
  tell(state, "open");
}
function closed(state, event) {
  const isOver = state.live && state.phase > OPEN && (event.wasClean || !state.kept.length);
  const comesBack = state.credential && !isOver;
  if (comesBack) {
    lose(state);
  } else {
    if (!state.phase) tell(state, "error");
    leave(state);
  }
  if (!comesBack || state.phase > OPEN) tellClose(state, event.code, event.reason, event.wasClean);
}
function frame(state, data) {
  if (state.plain) {
    deliver(state, data);
    return;
  }
  const text = data.charAt ? data : new TextDecoder("latin1").decode(data);
  const [head, number, received, ack, credential, seconds, resumed, gone] = HEAD.exec(text) ?? [];
  const acknowledged = received ?? ack ?? resumed;
  if (gone != null) {
    end(state, gone);
  } else if (!head || !credential !== state.live || acknowledged > state.sent || resumed < state.sent - state.kept.length) {
    broken(state);
  } else {
    acknowledge(state, acknowledged);
    if (credential) begin(state, credential, seconds * 1e3);
    if (state.live) wait(state, state.outer.silence, () => ask(state, ANSWER_MS));
    if (number) take(state, +number, data.slice(head.length));
  }
}
function acknowledge(state, received) {
  for (const [message] of state.kept.splice(0, received - state.sent + state.kept.length))
    state.keptBytes -= size(message);
}
function begin(state, credential, windowMs) {
  const first = !state.credential;
  state.credential = credential;
  state.outer.windowMs = windowMs;
  state.live = true;
  state.deadline = 0;
  closeStale(state);
  if (first) {
    open(state);
    return;
  }
  const acknowledged = state.sent - state.kept.length;
  state.kept.forEach(([message, at], index) => {
    const givenUp = now(state) - at > state.outer.patience && /^INVITE /.test(message);
    write(state, acknowledged + index + 1, givenUp ? "\r\n" : message);
  });
  if (!state.kept.length) sayReceived(state);
  if (state.phase === OPEN) tell(state, "resume");
  else state.inner.close();
}
function take(state, number, message) {
  if (number <= state.received) return;
  if (number !== state.received + 1) {
    broken(state);
    return;
  }
  state.received = number;
  state.owed += 1;
  state.owedBytes += size(message);
  deliver(state, message);
  if (state.live && (state.owed >= OWED_MESSAGES || state.owedBytes >= OWED_BYTES)) sayReceived(state);
}
function deliver(state, message) {
  const data = message.charAt || state.outer.binaryType !== "blob" ? message : new Blob([message]);
  if (state.phase === OPEN) state.outer.dispatchEvent(new MessageEvent("message", { data }));
}
function write(state, number, message) {
  const head = number + " " + state.received + "\r\n";
  state.owed = state.owedBytes = 0;
  state.inner.send(message.charAt ? head + message : new Blob([head, message]));
}
function sayReceived(state) {
  state.owed = state.owedBytes = 0;
  state.inner.send("ACK " + state.received);
}
function ask(state, patience) {
  state.inner.send("PING");
  wait(state, patience, () => lose(state));
}
function networkChanged(state) {
  if (state.live) ask(state, ANSWER_AFTER_CHANGE_MS);
  else if (state.credential && !state.inner) connect(state);
}
function lose(state) {
  const { inner, world } = state;
  if (inner.readyState === OPEN) state.stale.push(inner);
  else inner.close();
  state.inner = null;
  state.live = false;
  if (!state.deadline) {
    state.deadline = now(state) + state.outer.windowMs;
    state.attempts = 0;
    if (state.phase === OPEN) tell(state, "suspend");
    if (state.credential && !state.inner) connect(state);
    return;
  }
  const backOff = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** state.attempts++);
  wait(state, Math.min(world.Math.random() * backOff, left(state)), () => {
    if (left(state) > 0) connect(state);
    else end(state, "the connection was lost and did not come back in " + state.outer.windowMs / 1e3 + " s");
  });
}
function now({ world }) {
  return world.Date.now();
}
function left(state) {
  return state.deadline - now(state);
}
function broken(state) {
  end(state, "the server breaks the protocol");
}
function end(state, reason2) {
  state.inner?.close();
  leave(state);
  tellClose(state, 1006, reason2.slice(0, 200), false);
}
function leave(state) {
  state.live = false;
  state.credential = "";
  state.kept = [];
  state.keptBytes = 0;
  state.inner = null;
  state.world.clearTimeout(state.timer);
  listen2(state, "removeEventListener");
  closeStale(state);
}
function tellClose(state, code, reason2, wasClean) {
  if (state.phase === CLOSED) return;
  state.phase = CLOSED;
  state.outer.dispatchEvent(new state.world.CloseEvent("close", { code, reason: reason2, wasClean }));
}
function tell(state, type) {
  state.outer.dispatchEvent(new Event(type));
}
function closeStale(state) {
  for (const inner of state.stale.splice(0)) inner.close();
}
function listen2({ world, changed }, how) {
  world[how]("online", changed);
  world.navigator.connection?.[how]("change", changed);
}
function wait(state, ms, then) {
  state.world.clearTimeout(state.timer);
  state.timer = state.world.setTimeout(then, ms);
}
function size(message) {
  return message.length ?? message.byteLength ?? message.size;
}

// src/signalling.js
var CONNECT_MS = 1e4;
var FIRST_PAUSE_MS2 = 1e3;
var LONGEST_PAUSE_MS2 = 5e3;
var ATTENTIVE_MS = 1e4;
var CALM_MS = 25e3;
var OPEN2 = 1;
var GONE = /^the session has ended\b/;
function socketUrl(server) {
  let url;
  try {
    url = new URL(server);
  } catch {
    url = null;
  }
  if (!url || !/^(https?|wss?):$/.test(url.protocol)) {
    const wrong = "the option `server` is missing or wrong: it should be an address like https://calls.example.com";
    throw new OffhookError("BADSERVER", wrong);
  }
  const secure = /^(https|wss):$/.test(url.protocol);
  return `${secure ? "wss" : "ws"}://${url.host}${url.pathname.replace(/\/$/, "")}/sipproxy`;
}
var Signalling = class {
  url;
  #options;
  #told;
  #socket = null;
  #state = { state: "idle", reason: "" };
  #wanted = false;
  #timer;
  #pauses = 0;
  #waiting = [];
  #isAttentive = false;
  /** `told`: { onOpen, onMessage(text), onLost(reason), onState(state) }. */
  constructor(server, options, told) {
    this.url = socketUrl(server);
    this.#options = options;
    this.#told = told;
    const again = () => this.#state.state === "lost" && this.#wanted && this.#connect();
    globalThis.addEventListener?.("online", again);
    globalThis.document?.addEventListener("visibilitychange", () => document.visibilityState === "visible" && again());
  }
  get state() {
    return this.#state;
  }
  get isConnected() {
    return this.#state.state === "connected";
  }
  /** The connection may be used: what is sent while it comes back is sent then. */
  get isUsable() {
    return this.isConnected || this.#state.state === "resuming";
  }
  /** While there are calls a loss is looked for more often. */
  set isAttentive(is) {
    this.#isAttentive = is;
    this.#setSilence();
  }
  /** Opens the connection, unless it is open; resolves when it is, and rejects after `ms`. */
  open(ms = CONNECT_MS + 5e3) {
    this.#wanted = true;
    if (this.isUsable) return Promise.resolve();
    const waiting = deferred();
    this.#waiting.push(waiting);
    const timer = setTimeout(() => waiting.reject(unreachable(this.url)), ms);
    waiting.promise.catch(() => {
    }).then(() => {
      clearTimeout(timer);
      this.#waiting = this.#waiting.filter((each) => each !== waiting);
    });
    if (!this.#socket) this.#connect();
    return waiting.promise;
  }
  send(text) {
    if (this.#socket?.readyState === OPEN2) this.#socket.send(text);
  }
  /** Closes the connection, and makes no other. */
  close() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#drop();
    for (const waiting of this.#waiting) waiting.reject(new OffhookError("CLOSED", "the connection was closed"));
    this.#become("idle", "nothing needs the connection");
  }
  /** Makes the connection anew, at once. */
  renew(reason2) {
    if (this.#socket) this.#lost(reason2, true);
    else if (this.#wanted) this.#connect();
  }
  #connect() {
    clearTimeout(this.#timer);
    const { resume = true, webSocket = globalThis.WebSocket } = this.#options;
    this.#become("connecting", "");
    let socket;
    try {
      socket = resume ? new ResumingSocket(this.url, webSocket) : new webSocket(this.url, ["sip"]);
    } catch (error) {
      this.#lost(String(error?.message ?? error));
      return;
    }
    this.#socket = socket;
    socket.patience = Infinity;
    socket.binaryType = "arraybuffer";
    const when = (type, then) => {
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) then(event);
      });
    };
    when("open", () => this.#opened());
    when(
      "message",
      ({ data }) => this.#told.onMessage(typeof data === "string" ? data : new TextDecoder().decode(data))
    );
    when(
      "close",
      ({ reason: reason2 }) => this.#lost(GONE.test(reason2) ? "the server was restarted, or had given the connection up" : reason2)
    );
    when("suspend", () => {
      const more = { window_s: socket.windowMs / 1e3 };
      this.#become("resuming", "the connection was lost and is coming back", more);
    });
    when("resume", () => this.#become("connected", "the connection is back"));
    this.#setSilence();
    this.#timer = setTimeout(() => this.#lost("the server did not answer in time"), CONNECT_MS);
  }
  #opened() {
    clearTimeout(this.#timer);
    this.#pauses = 0;
    this.#become("connected", "");
    for (const waiting of this.#waiting) waiting.resolve();
    this.#told.onOpen();
  }
  #lost(reason2, atOnce = false) {
    clearTimeout(this.#timer);
    const wasUsable = this.isUsable;
    this.#drop();
    const words = reason2 || (wasUsable ? "the connection to the server was lost" : "the server cannot be reached");
    this.#become("lost", words);
    if (wasUsable) this.#told.onLost(words);
    if (!this.#wanted || this.#socket) return;
    const pause = Math.min(LONGEST_PAUSE_MS2, FIRST_PAUSE_MS2 * 2 ** this.#pauses);
    this.#pauses += 1;
    const ms = atOnce ? 0 : pause * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), ms);
  }
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
  #setSilence() {
    if (this.#socket) this.#socket.silence = this.#isAttentive ? ATTENTIVE_MS : CALM_MS;
  }
  #become(state, reason2, more) {
    if (this.#state.state === state && this.#state.reason === reason2) return;
    this.#state = { state, reason: reason2, ...more };
    this.#told.onState(this.#state);
  }
};
function unreachable(url) {
  return new OffhookError("DISCONNECTED", `the server at ${new URL(url).host} cannot be reached`);
}

// src/client.js
var CLOUD_ID = /^[0-9]+-[0-9]+-[0-9]+$/;
var ACCESS_KEY = /^[a-z0-9]{1,63}$/;
var NAME = /^[A-Za-z0-9+\-_.]+$/;
var LOADED_FROM = import.meta.url;
var FINISH_MS = 3e3;
var LONGEST_FINISH_MS = 35e3;
var [ERRORS, STEPS, WIRE] = [1, 2, 6];
var AculabCloudClient = class _AculabCloudClient {
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
  #calls = /* @__PURE__ */ new Set();
  #configuration = {};
  #finishing = /* @__PURE__ */ new Set();
  #isClosing = false;
  constructor(cloudId, webRtcAccessKey, clientId, logLevel = 0, options = {}) {
    if (!CLOUD_ID.test(cloudId)) throw "Invalid cloudId";
    if (!ACCESS_KEY.test(webRtcAccessKey)) throw "Invalid webRtcAccessKey";
    this.#clientId = bareName(clientId);
    if (!NAME.test(this.#clientId)) throw "Invalid clientId";
    this.loglevel = Math.max(0, Number(logLevel) || 0);
    this.#cloudId = cloudId;
    this.#accessKey = webRtcAccessKey;
    this.#options = typeof options === "object" && options ? options : {};
    this.#core = this.#makeCore();
  }
  static isSupported() {
    return Boolean(
      globalThis.navigator?.mediaDevices?.getUserMedia && globalThis.WebSocket && globalThis.RTCPeerConnection
    );
  }
  static getCodecList(mediaType) {
    const canChoose = globalThis.RTCRtpTransceiver && "setCodecPreferences" in RTCRtpTransceiver.prototype;
    return canChoose && RTCRtpReceiver.getCapabilities(mediaType)?.codecs || [];
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
    if (!NAME.test(name)) throw "Invalid serviceName";
    const uri = `sip:${name}@sip-${this.#cloudId}.aculab.com`;
    return this.#call({ uri, remoteId: name, options, token: async () => null, canReinvite: false });
  }
  makeOutgoing(serviceName) {
    return this.callService(serviceName);
  }
  callClient(clientId, token, options) {
    if (typeof clientId !== "string") throw "clientId is not a string";
    const name = bareName(clientId);
    if (!NAME.test(name)) throw "Invalid clientId";
    if (token && typeof token === "object") return this.callClient(clientId, null, token);
    if (!isTokenLike(token) && (token || !this.#options.tokenProvider)) throw "Invalid token";
    const uri = `sip:${name}@${this.#core.identity.domain}`;
    const provided = (why) => token && why === "call" ? Promise.resolve(token) : this.#provideToken(why);
    return this.#call({ uri, remoteId: name, options, token: provided, canReinvite: true });
  }
  enableIncoming(token) {
    if (token !== void 0 && token !== null) {
      if (!isTokenLike(token)) throw "Invalid token";
      return quiet(this.#core.registration.enable(token));
    }
    if (!this.#options.tokenProvider) throw "Invalid token";
    return quiet(this.#provideToken("register").then((provided) => this.#core.registration.enable(provided)));
  }
  disableIncoming() {
    return quiet(this.#core.registration.disable().finally(() => this.#closeIfIdle()));
  }
  setPeerConnectionConfiguration(configuration) {
    this.#configuration = { ...configuration };
  }
  reconnect() {
    this.#core.signalling.renew("the connection is made anew");
  }
  closeConnection() {
    quiet(this.#core.registration.disable());
    this.#lost("the connection was closed");
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
      sessions: /* @__PURE__ */ new Set(),
      log: (level2, words) => this.#log(level2, words),
      tell: (whom, name, event) => this.#tell(whom, name, event),
      removed: (call) => {
        this.#calls.delete(call);
        this.#callsChanged();
      },
      finishing: (work) => this.#finish(work),
      configuration: () => this.#peerConfiguration()
    };
    core.signalling = new Signalling(this.#options.server ?? originOf(LOADED_FROM), this.#options, {
      onOpen: () => core.registration.connected(),
      onMessage: (text) => {
        this.#log(WIRE, `<- ${text}`);
        core.agent.receive(text);
      },
      onLost: (reason2) => this.#lost(reason2),
      onState: (state) => this.#tell(this, "onSignalling", state)
    });
    core.agent = new Agent({
      transport: core.signalling.url.startsWith("wss:") ? "WSS" : "WS",
      send: (text) => {
        this.#log(WIRE, `-> ${text.replace(/^(Authorization: Bearer ).*$/im, "$1(not shown)")}`);
        core.signalling.send(text);
      },
      isPaused: () => core.signalling.state.state === "resuming",
      onRequest: (request, transaction) => this.#requested(request, transaction),
      onAck: (request) => this.#sessionOf(request)?.acknowledged(request)
    });
    core.iceServers = new IceServers(core);
    core.registration = new Registration({ ...core, told: this.#registrationTold() });
    core.contact = core.registration.contact;
    return core;
  }
  #registrationTold() {
    return {
      onState: (state) => {
        this.#tell(this, "onIncomingState", state);
        if (!state.ready && !state.retry) this.#closeIfIdle();
        if (state.ready) this.#core.iceServers.forget();
      },
      onTokenWillExpire: (token, expires) => this.#tokenWillExpire(expires),
      renewToken: () => this.#options.tokenProvider ? this.#provideToken("renew") : null
    };
  }
  async #tokenWillExpire(expires) {
    if (this.#options.tokenProvider) {
      try {
        await this.#core.registration.enable(await this.#provideToken("renew"));
        return;
      } catch (error) {
        this.#log(ERRORS, `the token could not be renewed: ${error?.message ?? error}`);
      }
    }
    const secondsLeft = Math.max(0, Math.round((expires - Date.now()) / 1e3));
    const renew = (token) => this.enableIncoming(token);
    this.#tell(this, "onTokenWillExpire", { expires: new Date(expires), secondsLeft, renew });
  }
  async #provideToken(why) {
    const { tokenProvider } = this.#options;
    if (!tokenProvider) return null;
    let token;
    try {
      token = await tokenProvider(why);
    } catch (cause) {
      const error = new OffhookError("INVALIDTOKEN", `the tokenProvider failed: ${cause?.message ?? cause}`);
      throw Object.assign(error, { cause });
    }
    if (!isTokenLike(token)) throw new OffhookError("INVALIDTOKEN", "what the tokenProvider gave is no token");
    return token;
  }
  /** The configuration of a call's PeerConnection; the server's TURN servers unless the application has its own. */
  async #peerConfiguration() {
    const { iceServers, ...rest } = this.#configuration;
    const own = iceServers ?? this.iceServers;
    return { ...rest, iceServers: own ?? await this.#core.iceServers.fresh() };
  }
  #call({ uri, remoteId, options, token, canReinvite }) {
    if (!_AculabCloudClient.isSupported()) throw "WebRTC is not supported by this browser";
    if (this.#calls.size >= this.maxConcurrent) throw "Too many calls";
    const headers = extraHeaders(options);
    const call = new AculabCloudOutgoingCall(this.#core, { isCaller: true, remoteId, canReinvite });
    this.#calls.add(call);
    this.#callsChanged();
    queueMicrotask(() => {
      if (!call[session].isEnded) quiet(call[session].call({ uri, to: uri, options, token, extraHeaders: headers }));
    });
    return call;
  }
  #requested(request, transaction) {
    const owner = this.#sessionOf(request);
    if (owner) owner.requested(request, transaction);
    else if (request.to.tag) transaction.respond(481);
    else if (request.method === "INVITE") this.#invited(request, transaction);
    else if (request.method === "OPTIONS")
      transaction.respond(200, {
        headers: [
          ["Allow", ALLOW],
          ["Accept", "application/sdp"]
        ]
      });
    else if (request.method === "BYE") transaction.respond(481);
    else transaction.respond(405, { headers: [["Allow", ALLOW]] });
  }
  #invited(request, transaction) {
    const media = offered(request.body);
    const required = request.headers.get("require");
    if (required) transaction.respond(420, { headers: [["Unsupported", required]] });
    else if (!/^application\/sdp/i.test(request.headers.get("content-type") ?? "")) {
      transaction.respond(request.body ? 415 : 488, { headers: [["Accept", "application/sdp"]] });
    } else if (!Object.values(media).includes(true) && !/^m=(audio|video)/m.test(request.body))
      transaction.respond(488);
    else if (this.#calls.size >= this.maxConcurrent) transaction.respond(486);
    else if (typeof this.onIncoming !== "function") transaction.respond(480);
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
      canReinvite: true
    });
    this.#calls.add(call);
    this.#callsChanged();
    call[session].incoming(request, transaction);
    const types = { [this.#core.identity.domain]: "client", [`sip-${this.#cloudId}.aculab.com`]: "service" };
    try {
      this.onIncoming({ call, from: user, type: types[host] ?? "other", ...media });
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
  #lost(reason2) {
    this.#core.agent.lost();
    this.#core.iceServers.forget();
    for (const each of [...this.#core.sessions]) each.lost(reason2);
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
    if (!this.#isNeeded && this.#core.signalling.state.state !== "idle") this.#disconnect();
  }
  #disconnect() {
    this.#core.signalling.close();
    this.#core.agent.lost();
  }
  get #isNeeded() {
    return this.#calls.size > 0 || this.#core.registration.isWanted || this.#core.isTesting;
  }
  async #settled(ms) {
    const end2 = performance.now() + ms;
    const isBusy = () => this.#core.signalling.isUsable && (this.#finishing.size > 0 || this.#core.agent.isBusy);
    while (isBusy() && performance.now() < end2 && !this.#isNeeded) await new Promise((next) => setTimeout(next, 20));
  }
  #tell(whom, name, event) {
    if (typeof whom[name] !== "function") return;
    this.#log(STEPS, `calling ${name}`);
    try {
      whom[name](event);
    } catch (error) {
      this.#log(ERRORS, `${name} threw: ${error}`);
    }
  }
  #log(level2, words) {
    if (this.loglevel < level2) return;
    if (level2 === ERRORS) console.error(`offhook: ${words}`);
    else console.log(`offhook: ${words}`);
  }
};
function bareName(name) {
  return String(name).replace(/^sip(:|%3a)/i, "").replace(/^webrtc(:|%3a)/i, "");
}
function originOf(url) {
  try {
    return new URL(url).origin;
  } catch {
    return "";
  }
}

// src/caller.js
var LEGACY_ACCESS_KEY = "acc2";
var AculabCloudCaller = class {
  logLevel = 6;
  iceServers = null;
  server;
  onDisconnect;
  onRinging;
  onMedia;
  onConnecting;
  onConnected;
  onError;
  onIncoming;
  onRegistered;
  onUnregistered;
  onRegisterFail;
  #call = null;
  makeCall(cloudId, service, callerId) {
    const client = new AculabCloudClient(cloudId, LEGACY_ACCESS_KEY, callerId, this.logLevel, { server: this.server });
    client.iceServers = this.iceServers;
    const call = client.makeOutgoing(service);
    this.#call = call;
    call.onConnecting = () => this.onConnecting?.();
    call.onRinging = () => this.onRinging?.();
    call.onMedia = (event) => this.onMedia?.(event);
    call.onConnected = () => this.onConnected?.();
    call.onDisconnect = (event) => {
      this.#call = null;
      this.onDisconnect?.({ ...event, cause: event.cause === "DEVICE_ERROR" ? "MIC_ERROR" : event.cause });
    };
  }
  isSupported() {
    return AculabCloudClient.isSupported();
  }
  sendDtmf(digits) {
    if (!this.#call) throw "DTMF send error - no call";
    this.#call.sendDtmf(digits);
  }
  disconnect() {
    this.#call?.disconnect();
  }
  attachMediaStreamToElement(element, stream) {
    element.srcObject = stream;
  }
  detachMediaStreamFromElement(element) {
    element.srcObject = null;
  }
};

// src/index.js
var version = "0.1.0";
export {
  AculabCloudCall,
  AculabCloudCallStatistics,
  AculabCloudCaller,
  AculabCloudClient,
  AculabCloudIncomingCall,
  AculabCloudOutgoingCall,
  OffhookError,
  ResumingSocket,
  AculabCloudClient as default,
  version
};
