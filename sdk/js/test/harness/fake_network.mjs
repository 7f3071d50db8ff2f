// A world for the resuming socket: a clock that stands still until it is turned, a network that delivers one frame at a
// time, and a server that keeps to docs/resume.md, written from that page alone. Nothing here waits, and nothing is
// random but by its seed.

export class World {
  time = 1_000_000;
  timers = [];
  /** What is under way: one delivery or event each, in order. */
  queue = [];
  sockets = [];
  listeners = new Map();
  navigator = {};
  isReachable = true;
  #random;
  #count = 0;

  constructor(server, seed = 1) {
    this.server = server;
    this.#random = randomness(seed);
    this.Date = { now: () => this.time };
    this.Math = { random: () => this.#random() };
    const world = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(world, url, protocols);
      }
    };
    this.CloseEvent = class extends Event {
      constructor(type, { code, reason, wasClean }) {
        super(type);
        Object.assign(this, { code, reason, wasClean });
      }
    };
  }

  setTimeout(then, ms = 0) {
    this.#count += 1;
    this.timers.push({ id: this.#count, at: this.time + Math.max(0, ms), then });
    return this.#count;
  }

  clearTimeout(id) {
    this.timers = this.timers.filter((timer) => timer.id !== id);
  }

  addEventListener(type, listener) {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  removeEventListener(type, listener) {
    this.listeners.set(
      type,
      (this.listeners.get(type) ?? []).filter((each) => each !== listener),
    );
  }

  happen(type) {
    for (const listener of this.listeners.get(type) ?? []) listener(new Event(type));
  }

  /** Does the next thing: a delivery if one is under way, else the next timer. False when nothing is left. */
  step({ until = Infinity } = {}) {
    const next = this.queue.shift();
    if (next) {
      next();
      return true;
    }
    const timer = this.timers.reduce((first, each) => (first && first.at <= each.at ? first : each), null);
    if (!timer || timer.at > until) return false;
    this.clearTimeout(timer.id);
    this.time = Math.max(this.time, timer.at);
    timer.then();
    return true;
  }

  /** Goes on until `ms` from now. */
  run(ms) {
    const until = this.time + ms;
    while (this.step({ until }));
    this.time = until;
  }

  get current() {
    return this.sockets.at(-1);
  }
}

class FakeSocket {
  readyState = 0;
  protocol = '';
  bufferedAmount = 0;
  binaryType = 'blob';
  onopen = null;
  onmessage = null;
  onclose = null;
  isCut = false;
  isAwayFromServer = false;
  saidClose = false;

  constructor(world, url, protocols) {
    Object.assign(this, { world, url, protocols });
    world.sockets.push(this);
    world.queue.push(() => {
      if (this.readyState !== 0 || this.isCut) return;
      if (!world.isReachable) {
        this.#ended(1006, '', false);
        return;
      }
      this.readyState = 1;
      this.protocol = world.server.select(protocols);
      world.server.joined(this);
      this.onopen?.({});
    });
  }

  send(frame) {
    if (this.readyState === 0) throw new Error('InvalidStateError');
    if (this.readyState !== 1) return;
    this.#under(() => this.world.server.received(this, frame));
  }

  /** From the server. */
  deliver(frame) {
    this.#under(() => this.readyState === 1 && this.onmessage?.({ data: frame }));
  }

  close(code, reason = '') {
    if (this.readyState >= 2) return;
    const wasOpen = this.readyState === 1;
    this.readyState = 2;
    this.saidClose = wasOpen;
    if (wasOpen) this.#under(() => this.world.server.closed(this));
    this.world.queue.push(() => this.#ended(wasOpen ? (code ?? 1005) : 1006, reason, wasOpen));
  }

  /** The server closes it. */
  closeByServer(code, reason = '') {
    this.#under(() => this.#ended(code, reason, true));
  }

  /** The connection breaks; each end notices at once, or never. */
  cut({ clientNotices = true, serverNotices = true } = {}) {
    if (this.isCut) return;
    this.isCut = true;
    if (serverNotices) this.world.server.lost(this);
    if (clientNotices) this.world.queue.push(() => this.#ended(1006, '', false));
  }

  #under(deliver) {
    this.world.queue.push(() => {
      if (!this.isCut) deliver();
    });
  }

  #ended(code, reason, wasClean) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean });
  }
}

/** A server of resumable sessions. */
export class Server {
  sessions = [];
  protocol = 'sip-resume';
  windowS = 60;
  #sockets = new Map();
  #count = 0;
  onMessage = () => {};

  select(protocols) {
    return protocols.includes(this.protocol) ? this.protocol : '';
  }

  joined(socket) {
    this.#sockets.set(socket, null);
  }

  received(socket, frame) {
    if (this.protocol === 'sip') {
      this.onMessage(frame, socket);
      return;
    }
    const session = this.#sockets.get(socket);
    if (session === undefined) return;
    if (session === null) this.#opening(socket, frame);
    else session.frame(socket, frame);
  }

  closed(socket) {
    const session = this.#sockets.get(socket);
    if (session?.socket === socket) session.isOver = true;
  }

  lost(socket) {
    const session = this.#sockets.get(socket);
    if (session?.socket === socket) session.socket = null;
  }

  #opening(socket, frame) {
    const [word, credential, received] = frame.split(' ');
    if (word === 'OPEN') {
      const session = new Session(this);
      this.sessions.push(session);
      this.#welcome(socket, session);
      return;
    }
    const session = this.sessions.find((each) => !each.isOver && each.credentials.includes(credential));
    if (word !== 'RESUME' || !session || !session.resumed(Number(received))) {
      socket.deliver('GONE the session has ended');
      socket.closeByServer(1000);
      return;
    }
    session.socket = null;
    // Of the credentials, the one that was used is good until its successor is confirmed.
    session.credentials = [credential];
    this.#welcome(socket, session);
    for (const each of session.kept) session.write(each);
  }

  #welcome(socket, session) {
    this.#count += 1;
    session.credentials.push(`credential-${this.#count}`);
    session.isConfirmed = false;
    session.socket = socket;
    this.#sockets.set(socket, session);
    socket.deliver(`SESSION credential-${this.#count} ${this.windowS} ${session.received}`);
  }
}

class Session {
  credentials = [];
  isConfirmed = false;
  isOver = false;
  broken = '';
  socket = null;
  received = 0;
  told = 0;
  sent = 0;
  kept = [];

  constructor(server) {
    this.server = server;
  }

  send(message) {
    this.sent += 1;
    const entry = { number: this.sent, received: this.received, message };
    this.kept.push(entry);
    this.write(entry);
  }

  /** A frame that is sent again is the same frame. */
  write({ number, received, message }) {
    this.told = this.received;
    this.socket?.deliver(`${number} ${received}\r\n${message}`);
  }

  resumed(received) {
    if (received > this.sent || received < this.sent - this.kept.length) return false;
    this.acknowledge(received);
    return true;
  }

  acknowledge(received) {
    if (received > this.sent) this.broken = `acknowledged ${received} of ${this.sent}`;
    this.kept = this.kept.filter(({ number }) => number > received);
  }

  frame(socket, frame) {
    if (this.socket !== socket || this.isOver) return;
    if (!this.isConfirmed) {
      this.isConfirmed = true;
      this.credentials = this.credentials.slice(-1);
    }
    if (frame === 'PING') {
      socket.deliver(`ACK ${this.received}`);
      return;
    }
    const [, ack] = /^ACK (\d+)$/.exec(frame) ?? [];
    if (ack !== undefined) {
      this.acknowledge(Number(ack));
      return;
    }
    const [head, number, received] = /^(\d+) (\d+)\r\n/.exec(frame) ?? [];
    if (!head) {
      this.broken = `a frame that is none: ${frame}`;
      return;
    }
    this.acknowledge(Number(received));
    if (Number(number) <= this.received) return;
    if (Number(number) !== this.received + 1) this.broken = `a gap: ${number} after ${this.received}`;
    this.received = Number(number);
    this.server.onMessage(frame.slice(head.length), this);
    if (this.received - this.told >= 8) {
      this.told = this.received;
      this.socket?.deliver(`ACK ${this.received}`);
    }
  }
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
