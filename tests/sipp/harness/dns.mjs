// A server of DNS that knows what a test tells it: A, SRV and NAPTR by UDP, written by hand (RFC 1035, RFC 2782, RFC 3403).
import dgram from 'node:dgram';

const TYPES = { A: 1, SRV: 33, NAPTR: 35 };
const NAME_ERROR = 3;

export class Dns {
  #socket;
  #records = new Map();
  #asked = [];

  static async listen() {
    const dns = new Dns();
    dns.#socket = dgram.createSocket('udp4');
    dns.#socket.on('message', (query, from) => dns.#answer(query, from));
    await new Promise((bound) => dns.#socket.bind(0, '127.0.0.1', bound));
    return dns;
  }

  /** For `--dns`. */
  get address() {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** What was asked: `SRV _sip._udp.provider.example`. */
  get asked() {
    return this.#asked;
  }

  host(name, address) {
    this.#add('A', name, Buffer.from(address.split('.').map(Number)));
  }

  service(name, { priority, weight = 0, port, host }) {
    this.#add('SRV', name, Buffer.concat([numbers(priority, weight, port), labels(host)]));
  }

  rule(name, { order, preference = 0, flags = 's', service, replacement }) {
    const texts = [flags, service, ''].map((text) => Buffer.from([text.length, ...Buffer.from(text)]));
    this.#add('NAPTR', name, Buffer.concat([numbers(order, preference), ...texts, labels(replacement)]));
  }

  close() {
    this.#socket.close();
  }

  #add(type, name, data) {
    const key = `${type} ${name}`;
    this.#records.set(key, [...(this.#records.get(key) ?? []), data]);
  }

  #answer(query, from) {
    const { name, end } = question(query);
    const type = query.readUInt16BE(end);
    const kind = Object.keys(TYPES).find((kind) => TYPES[kind] === type) ?? type;
    this.#asked.push(`${kind} ${name}`);
    const found = this.#records.get(`${kind} ${name}`) ?? [];
    const isKnown = [...this.#records.keys()].some((key) => key.split(' ')[1] === name);
    // An answer, with recursion as it was asked for.
    const flags = 0x8080 | (query.readUInt16BE(2) & 0x0100) | (isKnown ? 0 : NAME_ERROR);
    const head = Buffer.concat([query.subarray(0, 2), numbers(flags, 1, found.length, 0, 0), query.subarray(12, end + 4)]);
    // Each is of the name that was asked about, at byte 12, and holds for a minute.
    const records = found.map((data) => Buffer.concat([numbers(0xc00c, type, 1, 0, 60, data.length), data]));
    this.#socket.send(Buffer.concat([head, ...records]), from.port, from.address);
  }
}

function numbers(...values) {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, at) => bytes.writeUInt16BE(value, 2 * at));
  return bytes;
}

function labels(name) {
  const parts = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** The name that a query is about, and where that ends. */
function question(query) {
  const parts = [];
  let at = 12;
  while (query[at] !== 0) {
    parts.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  return { name: parts.join('.').toLowerCase(), end: at + 1 };
}
