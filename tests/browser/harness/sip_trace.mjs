// What went over each client's WebSocket and what its app was told, in the order of time: to be printed when a scenario
// fails, and to be asked by those that assert on messages. The browser's own debugger is the witness, not the server.
import { Happenings } from './bounded.mjs';

export class SipTrace {
  #entries = new Happenings();
  #begun = performance.now();

  /** Listens to everything that `page` does on WebSockets. */
  async attach(page, name) {
    const session = await page.context().newCDPSession(page);
    const note = (kind, text) => this.note(name, kind, text);
    session.on('Network.webSocketCreated', ({ url }) => note('opens', url));
    session.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
      note('handshake', `${response.status} ${response.statusText}`);
    });
    session.on('Network.webSocketFrameSent', ({ response }) => note('sends', unnumbered(response.payloadData)));
    session.on('Network.webSocketFrameReceived', ({ response }) => note('receives', unnumbered(response.payloadData)));
    session.on('Network.webSocketFrameError', ({ errorMessage }) => note('error', errorMessage));
    session.on('Network.webSocketClosed', () => note('closed', ''));
    await session.send('Network.enable');
  }

  note(name, kind, text) {
    this.#entries.add({ at: performance.now() - this.#begun, name, kind, text });
  }

  /** Every message of one kind that `name` sent or received and that begins as told. */
  messages(name, kind, beginning) {
    return this.#entries.all
      .filter((entry) => entry.name === name && entry.kind === kind && beginning.test(entry.text))
      .map(({ at, text }) => ({ at, text, header: (field) => headers(text, field)[0], headers: (field) => headers(text, field) }));
  }

  /**
   * Waits until `name` has sent or received so many of them, and gives back all of them. The trace and the app's events
   * come by different ways: what an event proves to have happened may be traced a moment later.
   */
  async until(name, kind, beginning, count = 1) {
    const enough = () => this.messages(name, kind, beginning).length >= count;
    await this.#entries.first(`${name} ${kind} ${count} of ${beginning}`, enough);
    return this.messages(name, kind, beginning);
  }

  /** Waits until one of them fits. */
  async untilFits(name, kind, beginning, fits) {
    const isThere = () => this.messages(name, kind, beginning).some(fits);
    await this.#entries.first(`${name} ${kind} a certain ${beginning}`, isThere);
  }

  /** Waits until every socket that `name` has opened is closed. */
  async untilClosed(name) {
    const count = (wanted) => this.#entries.all.filter((entry) => entry.name === name && entry.kind === wanted).length;
    await this.#entries.first(`the sockets of ${name} are closed`, () => count('opens') === count('closed'));
  }

  /** The whole story, for people. */
  toString() {
    return this.#entries.all.map(story).join('\n');
  }
}

/** The SIP message of a frame of resumable signalling; any other frame as it is. */
function unnumbered(frame) {
  return frame.replace(/^\d+ \d+\r\n/, '');
}

function story({ at, name, kind, text }) {
  const arrow = { sends: '->', receives: '<-' }[kind] ?? kind;
  const head = `${(at / 1000).toFixed(3).padStart(8)} s  ${name} ${arrow}`;
  return text.includes('\r\n') ? `${head}\n${indented(text)}` : `${head} ${text}`;
}

/** The head of a message in full, its token and its body in short. */
function indented(message) {
  const [head, body = ''] = message.split('\r\n\r\n');
  const lines = head.replace(/^(Authorization: Bearer ).*$/im, '$1…').split('\r\n');
  const media = body.split('\r\n').filter((line) => /^(m=|a=(sendrecv|sendonly|recvonly|inactive))/.test(line));
  if (body && media.length === 0) media.push(body);
  return [...lines, ...(body ? ['', ...media] : [])].map((line) => `              ${line}`).join('\n');
}

function headers(message, field) {
  const wanted = `${field.toLowerCase()}:`;
  return message
    .split('\r\n\r\n')[0]
    .split('\r\n')
    .filter((line) => line.toLowerCase().startsWith(wanted))
    .map((line) => line.slice(wanted.length).trim());
}
