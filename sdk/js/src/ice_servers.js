// The TURN servers that our server lends (X-AculabTurnRequest): asked for when they are needed, and not oftener than
// they age.
import { Headers } from './sip/message.js';
import { randomWord } from './sip/random.js';

const FRESH_MS = 60_000;
const PATIENCE_MS = 5000;
const MOST_SERVERS = 16;

export class IceServers {
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
    const headers = new Headers().add('From', `<${aor}>;tag=${randomWord(10)}`).add('To', `<sip:${host}>`);
    headers.add('Call-ID', randomWord(20)).add('CSeq', '1 OPTIONS').add('X-AculabTurnRequest', '1');
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(this.#servers), PATIENCE_MS);
      const onFinal = (response) => {
        clearTimeout(timer);
        const servers = response.status === 200 ? read(response.body) : null;
        if (servers) {
          this.#servers = servers;
          this.#since = performance.now();
        }
        resolve(this.#servers);
      };
      this.#agent.request({ method: 'OPTIONS', uri: `sip:${host}`, headers }, { onFinal });
    });
  }
}

/** What a browser takes as RTCIceServer[]; anything else is no list. */
function read(body) {
  let list;
  try {
    list = JSON.parse(body);
  } catch {
    return null;
  }
  if (!Array.isArray(list)) return null;
  const isServer = ({ urls } = {}) =>
    [urls].flat().length > 0 && [urls].flat().every((url) => /^(stuns?|turns?):/i.test(url));
  return list.filter((each) => each && isServer(each)).slice(0, MOST_SERVERS);
}
