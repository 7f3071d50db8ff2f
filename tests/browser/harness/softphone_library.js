// Stands in for offhook.js where a test of the softphone page needs what no server says on demand: a hostile caller,
// a lost connection, a line of poor quality. It makes no connection; `window.library` has its client, and tests play
// the events.

class Call {
  localStreams = [];
  remoteStreams = [];
  isHeld = false;
  isHeldByOther = false;
  isSharing = false;
  hasVideo = false;

  constructor(headers = {}) {
    this.headers = headers;
    library.calls.push(this);
  }

  getSipHeaders(name) {
    return this.headers[name] ?? [];
  }

  ringing() {}

  mute() {}

  answer() {
    this.onConnected({ call: this });
  }

  reject() {
    this.end('NORMAL', 'You rejected the call.');
  }

  disconnect() {
    this.end('NORMAL', 'You hung up.');
  }

  async hold() {
    throw new Error('The other side did not answer.');
  }

  end(cause, reason) {
    this.onDisconnect({ call: this, cause, status: 200, reason });
  }
}

export class AculabCloudClient {
  static isSupported() {
    return true;
  }

  constructor(...given) {
    this.given = given;
    library.client = this;
  }

  async enableIncoming(token) {
    library.tokens.push(token);
    this.onSignalling({ state: 'connected', reason: '' });
    this.onIncomingState({ ready: true, cause: 'NORMAL', retry: false });
  }

  callClient() {
    return new Call();
  }

  /** A call comes in. */
  call(from, { video = false, headers } = {}) {
    this.onIncoming({ call: new Call(headers), from, type: 'client', offeringAudio: true, offeringVideo: video });
  }

  async testConnection() {
    return { ok: true, checks: [{ name: 'signalling', ok: true, words: 'The server can be reached.', ms: null }] };
  }

  async close() {}
}

const library = { client: null, calls: [], tokens: [] };
window.library = library;
