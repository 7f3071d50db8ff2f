// Messages of STUN and TURN (RFC 8489, RFC 8656) as bytes, written for these tests alone so that they can also be wrong on
// purpose. It sends nothing and decides nothing.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import net from 'node:net';
import zlib from 'node:zlib';

const COOKIE = 0x2112a442;
const FINGERPRINT_MASK = 0x5354554e;

export const METHOD = { binding: 1, allocate: 3, refresh: 4, send: 6, data: 7, createPermission: 8, channelBind: 9 };
export const CLASS = { request: 0, indication: 1, success: 2, error: 3 };
export const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  channelNumber: 0x000c,
  lifetime: 0x000d,
  xorPeerAddress: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedAddressFamily: 0x0017,
  evenPort: 0x0018,
  requestedTransport: 0x0019,
  dontFragment: 0x001a,
  xorMappedAddress: 0x0020,
  additionalAddressFamily: 0x8000,
  fingerprint: 0x8028,
};
const UDP = 17;

/**
 * The bytes of a message. `attributes` are pairs of type and value; with a `key` it ends in MESSAGE-INTEGRITY, with
 * `fingerprint` in FINGERPRINT.
 */
export function encode({ method, kind = CLASS.request, transaction = randomBytes(12), attributes = [], key, fingerprint }) {
  const parts = attributes.map(([type, value]) => attribute(type, value));
  const head = (length) => {
    const bytes = Buffer.alloc(20);
    bytes.writeUInt16BE(typeOf(method, kind), 0);
    bytes.writeUInt16BE(length, 2);
    bytes.writeUInt32BE(COOKIE, 4);
    transaction.copy(bytes, 8);
    return bytes;
  };
  const length = () => parts.reduce((sum, part) => sum + part.length, 0);
  if (key) {
    const signed = Buffer.concat([head(length() + 24), ...parts]);
    parts.push(attribute(ATTRIBUTE.messageIntegrity, createHmac('sha1', key).update(signed).digest()));
  }
  if (fingerprint) {
    const summed = Buffer.concat([head(length() + 8), ...parts]);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE((crc32(summed) ^ FINGERPRINT_MASK) >>> 0);
    parts.push(attribute(ATTRIBUTE.fingerprint, sum));
  }
  return Buffer.concat([head(length()), ...parts]);
}

/** What the bytes say, or null if they are no message of STUN. Knows by `get` the first attribute of a type. */
export function decode(bytes) {
  if (bytes.length < 20 || bytes[0] > 0x3f || bytes.readUInt32BE(4) !== COOKIE) return null;
  const type = bytes.readUInt16BE(0);
  const attributes = [];
  const end = 20 + bytes.readUInt16BE(2);
  if (end !== bytes.length) return null;
  for (let at = 20; at + 4 <= end; ) {
    const length = bytes.readUInt16BE(at + 2);
    attributes.push([bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length)]);
    at += 4 + padded(length);
  }
  const transaction = bytes.subarray(8, 20);
  const get = (wanted) => attributes.find(([known]) => known === wanted)?.[1];
  const address = (wanted) => get(wanted) && readAddress(get(wanted), transaction);
  const error = get(ATTRIBUTE.errorCode);
  return {
    method: (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2),
    kind: ((type & 0x0010) >> 4) | ((type & 0x0100) >> 7),
    transaction,
    attributes,
    get,
    address,
    /** 0 where there is no error. */
    code: error ? error[2] * 100 + error[3] : 0,
    length: bytes.length,
  };
}

/** The length of the message or ChannelData that a stream's bytes begin with (RFC 8656 §12.5); null before that is known. */
export function lengthInStream(bytes) {
  if (bytes.length < 4) return null;
  const length = bytes.readUInt16BE(2);
  return bytes[0] < 0x40 ? 20 + length : 4 + padded(length);
}

export function channelData(number, payload, { isPadded = false } = {}) {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(number, 0);
  head.writeUInt16BE(payload.length, 2);
  const padding = isPadded ? padded(payload.length) - payload.length : 0;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

/** The key of a long-term credential (RFC 8489 §9.2.2). */
export function longTermKey({ username, credential }, realm) {
  return createHash('md5').update(`${username}:${realm}:${credential}`).digest();
}

export function number16(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(value, 0);
  return bytes;
}

export function number32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

export const REQUESTED_TRANSPORT_UDP = [ATTRIBUTE.requestedTransport, Buffer.from([UDP, 0, 0, 0])];

/** REQUESTED-ADDRESS-FAMILY: 4 or 6. */
export function requestedFamily(family) {
  return [ATTRIBUTE.requestedAddressFamily, Buffer.from([family === 6 ? 2 : 1, 0, 0, 0])];
}

/** An address as XOR-PEER-ADDRESS and its like have it. `ip` may be the 4 or 16 bytes themselves. */
export function xorAddress(transaction, { ip, port }) {
  const raw = typeof ip === 'string' ? addressBytes(ip) : ip;
  const mask = maskOf(transaction);
  const head = Buffer.alloc(4);
  head[1] = raw.length === 4 ? 1 : 2;
  head.writeUInt16BE(port ^ (COOKIE >>> 16), 2);
  return Buffer.concat([head, raw.map((byte, index) => byte ^ mask[index])]);
}

/** The bytes of a literal address, in network order. */
export function addressBytes(text) {
  if (net.isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain = dotted ? `${dotted[1]}${addressBytes(dotted[2]).toString('hex', 0, 2)}:${addressBytes(dotted[2]).toString('hex', 2)}` : text;
  const [front, back = null] = plain.split('::').map((part) => part.split(':').filter(Boolean));
  const gap = back === null ? [] : Array(8 - front.length - back.length).fill('0');
  const words = [...front, ...gap, ...(back ?? [])].map((word) => parseInt(word, 16));
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

function readAddress(value, transaction) {
  const mask = maskOf(transaction);
  const raw = value.subarray(4).map((byte, index) => byte ^ mask[index]);
  const port = value.readUInt16BE(2) ^ (COOKIE >>> 16);
  if (raw.length === 4) return { ip: raw.join('.'), port };
  const words = [0, 2, 4, 6, 8, 10, 12, 14].map((at) => ((raw[at] << 8) | raw[at + 1]).toString(16));
  // As the URL standard writes it, which is as `ip` and node do.
  return { ip: new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1), port };
}

function maskOf(transaction) {
  return Buffer.concat([number32(COOKIE), transaction]);
}

function typeOf(method, kind) {
  const spread = (method & 0x000f) | ((method & 0x0070) << 1) | ((method & 0x0f80) << 2);
  return spread | ((kind & 1) << 4) | ((kind & 2) << 7);
}

function attribute(type, value) {
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

function padded(length) {
  return (length + 3) & ~3;
}

/** node has it from 20.15 on; Debian's may be older. */
const crc32 = zlib.crc32 ?? crc32ByTable;
const TABLE = Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32ByTable(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 0xff];
  return (sum ^ 0xffffffff) >>> 0;
}
