// SIP messages (RFC 3261 §7, §25) as far as a client on a WebSocket needs them: parse and print. It decides nothing,
// and never throws at what the network sends: what is no SIP message is null.

const COMPACT = {
  i: 'call-id',
  m: 'contact',
  e: 'content-encoding',
  l: 'content-length',
  c: 'content-type',
  f: 'from',
  s: 'subject',
  k: 'supported',
  t: 'to',
  v: 'via',
};
const LONGEST_MESSAGE = 1 << 20;
const MOST_HEADERS = 512;
const REQUEST_LINE = /^([A-Za-z0-9\-.!%*_+`'~]+) (\S+) SIP\/2\.0$/;
const STATUS_LINE = /^SIP\/2\.0 ([1-6]\d\d)(?: (.*))?$/;
const HEADER = /^([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:[ \t]*(.*?)[ \t]*$/s;

/** The fields of a message in their order; names are compared without case, compact forms are the long ones. */
export class Headers {
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
}

/** A request or a response: `method` and `uri`, or `status` and `phrase`. */
export function parse(text) {
  if (typeof text !== 'string' || text.length > LONGEST_MESSAGE) return null;
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text.replace(/\r\n$/, '') : text.slice(0, end);
  // A line that begins with white space goes on with the one before (§7.3.1).
  const [first, ...lines] = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  if (lines.length > MOST_HEADERS) return null;
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (!name) return null;
    headers.add(name, value);
  }
  const message = { headers, body: end < 0 ? '' : text.slice(end + 4), ...cseq(headers) };
  const request = REQUEST_LINE.exec(first);
  if (request) Object.assign(message, { method: request[1], uri: request[2] });
  const status = STATUS_LINE.exec(first);
  if (status) Object.assign(message, { status: Number(status[1]), phrase: status[2] ?? '' });
  const whole = ['from', 'to', 'call-id', 'via'].every((name) => headers.get(name)) && message.cseq;
  if (!whole || !(request || status)) return null;
  if (request && message.cseq.method !== message.method) return null;
  message.callId = headers.get('call-id');
  message.from = address(headers.get('from'));
  message.to = address(headers.get('to'));
  message.branch = parameter(split(headers.get('via'))[0], 'branch') ?? '';
  return message;
}

export function printRequest({ method, uri, headers, body = '' }) {
  return print(`${method} ${uri} SIP/2.0`, headers, body);
}

export function printResponse({ status, phrase, headers, body = '' }) {
  return print(`SIP/2.0 ${status} ${phrase ?? PHRASES[status] ?? ''}`, headers, body);
}

function print(first, headers, body) {
  const lines = [first];
  for (const [name, value] of headers) lines.push(`${name}: ${oneLine(value)}`);
  lines.push(`Content-Length: ${new TextEncoder().encode(body).length}`, '', body);
  return lines.join('\r\n');
}

/** A header's value can never begin another header. */
function oneLine(value) {
  return String(value).replace(/[\r\n\0]+/g, ' ');
}

function cseq(headers) {
  const [, number, method] = /^(\d{1,10})\s+(\S+)$/.exec(headers.get('cseq') ?? '') ?? [];
  return method && Number(number) < 2 ** 32 ? { cseq: { number: Number(number), method } } : {};
}

/** A name-addr or addr-spec (§20.10): `uri`, its `user` and `host`, the `tag`, the display name. */
export function address(text) {
  const value = text ?? '';
  const bracket = /^\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^>]*)>(.*)$/s.exec(value);
  // Without brackets, parameters are the header's (§20).
  const [uri, rest] = bracket ? [bracket[3], bracket[4]] : cutAt(value.trim(), ';');
  const [, user, host] = /^sips?:(?:([^@;?]*)@)?([^;?]*)/i.exec(uri) ?? [];
  return {
    uri,
    user: decoded(user?.split(':')[0] ?? ''),
    host: (host ?? '').toLowerCase(),
    tag: parameter(rest, 'tag'),
    display: bracket ? (bracket[1] ?? bracket[2]).replace(/\\(.)/g, '$1').trim() : '',
    rest,
  };
}

function cutAt(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)];
}

function decoded(user) {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}

/** The value of one `;name=value` parameter, without its quotes. */
export function parameter(text, name) {
  const escaped = name.replace(/[-.*+]/g, '\\$&');
  const found = new RegExp(`;\\s*${escaped}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^;,\\s"]*))`, 'i').exec(text ?? '');
  return found ? (found[1]?.replace(/\\(.)/g, '$1') ?? found[2]) : undefined;
}

/** The elements of a comma list; commas in quotes and in angle brackets are none of its own. */
export function split(text) {
  const parts = [];
  let [part, quoted, bracketed] = ['', false, false];
  for (let i = 0; i < (text ?? '').length; i += 1) {
    const c = text[i];
    if (quoted && c === '\\') {
      part += c + (text[(i += 1)] ?? '');
      continue;
    }
    if (c === '"') quoted = !quoted;
    else if (!quoted && c === '<') bracketed = true;
    else if (!quoted && c === '>') bracketed = false;
    if (c === ',' && !quoted && !bracketed) {
      parts.push(part.trim());
      part = '';
    } else {
      part += c;
    }
  }
  return [...parts, part.trim()].filter((each) => each);
}

/** Reason (RFC 3326): the SIP cause and its words. */
export function reason(headers) {
  for (const value of headers.all('reason').flatMap(split)) {
    if (!/^SIP\s*(;|$)/i.test(value)) continue;
    const cause = Number(parameter(value, 'cause'));
    return { cause: Number.isInteger(cause) ? cause : 0, text: plain(parameter(value, 'text')) };
  }
  return null;
}

/** The sentence of a Warning (§20.43). */
export function warning(headers) {
  for (const value of headers.all('warning')) {
    const found = /^\d{3}\s+\S+\s+"((?:[^"\\]|\\.)*)"/.exec(value);
    if (found) return plain(found[1].replace(/\\(.)/g, '$1'));
  }
  return '';
}

const LONGEST_WORDS = 256;

/**
 * What a stranger wrote, for people to read: bounded, on one line, without characters that turn the direction of
 * others.
 */
export function plain(text) {
  return (text ?? '')
    .slice(0, LONGEST_WORDS)
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, ' ')
    .trim();
}

function canonical(name) {
  const lower = name.toLowerCase();
  return COMPACT[lower] ?? lower;
}

export const PHRASES = {
  100: 'Trying',
  180: 'Ringing',
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  415: 'Unsupported Media Type',
  420: 'Bad Extension',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  491: 'Request Pending',
  500: 'Server Internal Error',
  600: 'Busy Everywhere',
  603: 'Decline',
  604: 'Does Not Exist Anywhere',
  606: 'Not Acceptable',
};
