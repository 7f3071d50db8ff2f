// A WebSocket that outlives its connection (docs/resume.md): frames are numbered and kept until they are acknowledged,
// and a lost connection is replaced by a new one that goes on where the old one was. To its user it is a WebSocket with
// the subprotocol `sip`, that also tells `suspend` and `resume`; with a server that cannot resume it is a plain one. It
// never looks into a message, and never stores a credential anywhere but here.
//
// Written as functions on one record of state: the shim must fit into 4 KiB, and its build shortens the record's names.

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const ATTEMPT_MS = 5000;
const SILENCE_MS = 10000;
const ANSWER_MS = 4000;
const ANSWER_AFTER_CHANGE_MS = 2000;
const FIRST_BACK_OFF_MS = 500;
const LONGEST_BACK_OFF_MS = 5000;
const KEPT_MESSAGES = 256;
const KEPT_BYTES = 1048576;
const OWED_MESSAGES = 8;
const OWED_BYTES = 32768;
const HEAD = /^(?:(\d+) (\d+)\r\n|ACK (\d+)$|SESSION (\S+) (\d+) (\d+)$|GONE ?(.*)$)/;

export class ResumingSocket extends EventTarget {
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  binaryType = 'blob';
  extensions = '';
  url;
  /** How long nothing need come in before the server is asked whether it is there. */
  silence = SILENCE_MS;
  /** How long its user waits for a sign of life of an INVITE (RFC 3261 §17.1.1.2, timer B); one that it has given up is not sent. */
  patience = 32000;
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
      credential: '',
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
      changed: () => networkChanged(state),
    };
    this.#state = state;
    for (const type of ['open', 'message', 'error', 'close']) {
      this.addEventListener(type, (event) => this['on' + type]?.(event));
    }
    connect(state);
    listen(state, 'addEventListener');
  }

  get readyState() {
    return this.#state.phase;
  }

  get protocol() {
    return this.#state.plain || this.#state.credential ? 'sip' : '';
  }

  get bufferedAmount() {
    return this.#state.live || this.#state.plain ? this.#state.inner?.bufferedAmount : this.#state.keptBytes;
  }

  send(message) {
    const state = this.#state;
    if (state.phase === CONNECTING) throw new DOMException('not open yet', 'InvalidStateError');
    if (state.phase > OPEN) return;
    if (state.plain) {
      state.inner.send(message);
    } else {
      state.kept.push([message, now(state)]);
      state.sent += 1;
      state.keptBytes += size(message);
      if (state.kept.length > KEPT_MESSAGES || state.keptBytes > KEPT_BYTES)
        end(state, 'too much waits for the server');
      else if (state.live) write(state, state.sent, message);
    }
  }

  close(code = 1000, reason = '') {
    const state = this.#state;
    if (state.phase > OPEN) return;
    const lost = state.credential && !state.live;
    if (!lost) state.inner.close(code, reason);
    state.phase = CLOSING;
    // Lost just now: it comes back once more without its user, says what is left to say, and closes.
    if (lost) state.world.setTimeout(() => tellClose(state, code, reason, true));
  }
}

function connect(state) {
  const inner = new state.native(state.outer.url, ['sip-resume', 'sip']);
  state.inner = inner;
  inner.binaryType = 'arraybuffer';
  inner.onopen = () => inner === state.inner && opened(state);
  inner.onmessage = (event) => inner === state.inner && frame(state, event.data);
  inner.onclose = (event) => inner === state.inner && closed(state, event);
  if (state.credential) wait(state, Math.min(ATTEMPT_MS, left(state)), () => lose(state));
}

function opened(state) {
  const resumable = state.inner.protocol === 'sip-resume';
  if (resumable) {
    state.inner.send(state.credential ? 'RESUME ' + state.credential + ' ' + state.received : 'OPEN');
  } else if (state.credential) {
    end(state, 'the server resumes no more');
  } else {
    state.plain = true;
    open(state);
  }
}

function open(state) {
  if (state.phase) return;
  state.phase = OPEN;
  tell(state, 'open');
}

function closed(state, event) {
  // Closed by its user with a message unacknowledged, and lost in that moment: it comes back to say it.
  const isOver = state.live && state.phase > OPEN && (event.wasClean || !state.kept.length);
  const comesBack = state.credential && !isOver;
  if (comesBack) {
    lose(state);
  } else {
    if (!state.phase) tell(state, 'error');
    leave(state);
  }
  if (!comesBack || state.phase > OPEN) tellClose(state, event.code, event.reason, event.wasClean);
}

function frame(state, data) {
  if (state.plain) {
    deliver(state, data);
    return;
  }
  // One character for each byte, so that the head of a binary frame has the same length in both.
  const text = data.charAt ? data : new TextDecoder('latin1').decode(data);
  const [head, number, received, ack, credential, seconds, resumed, gone] = HEAD.exec(text) ?? [];
  const acknowledged = received ?? ack ?? resumed;
  if (gone != null) {
    end(state, gone);
  } else if (
    !head ||
    !credential !== state.live ||
    acknowledged > state.sent ||
    resumed < state.sent - state.kept.length
  ) {
    broken(state);
  } else {
    acknowledge(state, acknowledged);
    if (credential) begin(state, credential, seconds * 1000);
    if (state.live) wait(state, state.outer.silence, () => ask(state, ANSWER_MS));
    if (number) take(state, +number, data.slice(head.length));
  }
}

/** Drops what the server has. A frame that is sent again may say less than was known before. */
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
    // A keep-alive in its place, so that no number is left out.
    write(state, acknowledged + index + 1, givenUp ? '\r\n' : message);
  });
  if (!state.kept.length) sayReceived(state);
  if (state.phase === OPEN) tell(state, 'resume');
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
  const data = message.charAt || state.outer.binaryType !== 'blob' ? message : new Blob([message]);
  if (state.phase === OPEN) state.outer.dispatchEvent(new MessageEvent('message', { data }));
}

function write(state, number, message) {
  const head = number + ' ' + state.received + '\r\n';
  state.owed = state.owedBytes = 0;
  state.inner.send(message.charAt ? head + message : new Blob([head, message]));
}

function sayReceived(state) {
  state.owed = state.owedBytes = 0;
  state.inner.send('ACK ' + state.received);
}

function ask(state, patience) {
  state.inner.send('PING');
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
    if (state.phase === OPEN) tell(state, 'suspend');
    // Whoever was told may have done something about it.
    if (state.credential && !state.inner) connect(state);
    return;
  }
  const backOff = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** state.attempts++);
  wait(state, Math.min(world.Math.random() * backOff, left(state)), () => {
    if (left(state) > 0) connect(state);
    else end(state, 'the connection was lost and did not come back in ' + state.outer.windowMs / 1000 + ' s');
  });
}

function now({ world }) {
  return world.Date.now();
}

function left(state) {
  return state.deadline - now(state);
}

/** A frame that cannot be: the session is of no use any more. */
function broken(state) {
  end(state, 'the server breaks the protocol');
}

function end(state, reason) {
  state.inner?.close();
  leave(state);
  tellClose(state, 1006, reason.slice(0, 200), false);
}

function leave(state) {
  state.live = false;
  state.credential = '';
  state.kept = [];
  state.keptBytes = 0;
  state.inner = null;
  state.world.clearTimeout(state.timer);
  listen(state, 'removeEventListener');
  closeStale(state);
}

function tellClose(state, code, reason, wasClean) {
  if (state.phase === CLOSED) return;
  state.phase = CLOSED;
  state.outer.dispatchEvent(new state.world.CloseEvent('close', { code, reason, wasClean }));
}

function tell(state, type) {
  state.outer.dispatchEvent(new Event(type));
}

function closeStale(state) {
  for (const inner of state.stale.splice(0)) inner.close();
}

function listen({ world, changed }, how) {
  world[how]('online', changed);
  world.navigator.connection?.[how]('change', changed);
}

function wait(state, ms, then) {
  state.world.clearTimeout(state.timer);
  state.timer = state.world.setTimeout(then, ms);
}

function size(message) {
  return message.length ?? message.byteLength ?? message.size;
}
