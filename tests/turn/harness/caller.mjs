// A client of the signalling that is no SDK: it registers, asks for TURN credentials, calls and is called, with whatever SDP
// a test wants named in it. It gathers nothing and sends no media.
import { randomBytes } from 'node:crypto';

import { bounded, Happenings } from '../../browser/harness/bounded.mjs';
import { CLOUD_ID } from '../../browser/harness/server.mjs';
import { WebSocketClient } from '../../sipp/harness/websocket.mjs';

const LINE = '\r\n';

export class Caller {
  #socket;
  #domain;
  #token;
  #instance = randomBytes(6).toString('hex');
  #messages = new Happenings();
  #seen = 0;
  #sequence = 1;
  #closed;
  id;

  /** Opens a connection; with a token the client may call everybody. Nothing is sent yet. */
  static async open(server, account, id) {
    const caller = new Caller();
    caller.id = id;
    caller.#domain = `${account.webrtc_access_key}.webrtc-${CLOUD_ID}.aculabcloud.net`;
    caller.#token = account.api_key && (await server.token(account, id, { callClient: '*' }));
    caller.#closed = new Promise((resolve) => {
      caller.#socket = new WebSocketClient({ port: server.port, path: '/sipproxy', subprotocol: 'sip' }, {
        message: (bytes) => caller.#messages.add(bytes.toString()),
        closed: resolve,
      });
    });
    return caller;
  }

  async register() {
    const more = [`Authorization: Bearer ${this.#token}`, `${this.#contact};expires=600`];
    const answer = await this.#request(this.#head('REGISTER', `sip:${this.#domain}`, this.#own, more));
    if (!answer.startsWith('SIP/2.0 200 ')) throw new Error(`${this.id} is not registered: ${answer}`);
  }

  /** The answer to the request for TURN credentials: its status, and the list. */
  async iceServers() {
    const host = this.#domain.slice(this.#domain.indexOf('.') + 1);
    const answer = await this.#request(this.#head('OPTIONS', `sip:${host}`, `<sip:${host}>`, ['X-AculabTurnRequest: 1']));
    const status = Number(answer.split(' ')[1]);
    return { status, servers: status === 200 ? JSON.parse(body(answer)) : [] };
  }

  /** Its TURN credential: { username, credential }. */
  async credential() {
    const { status, servers } = await this.iceServers();
    if (servers.length === 0) throw new Error(`${this.id} gets no TURN credential: ${status}`);
    return servers[0];
  }

  /** Calls `other`, naming these addresses as candidates; gives back the call. */
  async call(other, addresses) {
    const callee = `sip:${other.id}@${this.#domain}`;
    const more = [`Authorization: Bearer ${this.#token}`, this.#contact, 'Content-Type: application/sdp'];
    const invite = this.#head('INVITE', callee, `<${callee}>`, more, sdp(addresses));
    this.#send(invite);
    return { invite, id: header(invite, 'Call-ID') };
  }

  /** Waits for the call of this id. */
  async called(call) {
    return this.#until(`${this.id} is called`, (message) => message.startsWith('INVITE ') && header(message, 'Call-ID') === call.id);
  }

  /** Answers an INVITE with these candidates. */
  async answer(invite, addresses) {
    const copied = invite.split(LINE + LINE)[0].split(LINE).filter((line) => /^(via|from|call-id|cseq|record-route):/i.test(line));
    const to = `To: ${header(invite, 'To')};tag=${this.#instance}`;
    const text = sdp(addresses);
    const own = [this.#contact, 'Content-Type: application/sdp', `Content-Length: ${Buffer.byteLength(text)}`];
    this.#send(['SIP/2.0 200 OK', ...copied, to, ...own, '', text].join(LINE));
    await this.#until(`${this.id} receives an ACK`, (message) => message.startsWith('ACK '));
  }

  /** Waits for the 200 of its call and acknowledges it. */
  async connected(call) {
    const fits = (message) => /^SIP\/2.0 [2-6]/.test(message) && /INVITE/.test(header(message, 'CSeq')) && header(message, 'Call-ID') === call.id;
    const answer = await this.#until(`${this.id}'s call is answered`, fits);
    if (!answer.startsWith('SIP/2.0 200 ')) throw new Error(`${this.id} does not reach anybody: ${answer}`);
    call.target = /<([^>]+)>/.exec(header(answer, 'Contact'))[1];
    call.to = header(answer, 'To');
    call.from = header(answer, 'From');
    call.sequence = Number(header(answer, 'CSeq').split(' ')[0]);
    this.#send(this.#inCall(call, 'ACK', call.sequence));
  }

  /** Ends its call. */
  async hangUp(call) {
    const answer = await this.#request(this.#inCall(call, 'BYE', call.sequence + 1));
    if (!answer.startsWith('SIP/2.0 200 ')) throw new Error(`${this.id} cannot hang up: ${answer}`);
  }

  /** Answers the BYE of the other side. */
  async ended() {
    const bye = await this.#until(`${this.id} receives a BYE`, (message) => message.startsWith('BYE '));
    const copied = bye.split(LINE).filter((line) => /^(via|from|to|call-id|cseq):/i.test(line));
    this.#send(['SIP/2.0 200 OK', ...copied, 'Content-Length: 0', '', ''].join(LINE));
  }

  /** Goes, and waits until the server knows. */
  async close() {
    this.#socket.close();
    await bounded(this.#closed, `${this.id} is gone`);
  }

  get #own() {
    return `<sip:${this.id}@${this.#domain}>`;
  }

  get #contact() {
    return `Contact: <sip:${this.#instance}@${this.#instance}.invalid;transport=ws>`;
  }

  #inCall(call, method, sequence) {
    const lines = [
      `${method} ${call.target} SIP/2.0`,
      `Via: SIP/2.0/WS ${this.#instance}.invalid;branch=z9hG4bK${randomBytes(6).toString('hex')}`,
      'Max-Forwards: 70',
      `From: ${call.from}`,
      `To: ${call.to}`,
      `Call-ID: ${call.id}`,
      `CSeq: ${sequence} ${method}`,
      'Content-Length: 0',
    ];
    return [...lines, '', ''].join(LINE);
  }

  #head(method, target, to, more, content = '') {
    this.#sequence += 1;
    const lines = [
      `${method} ${target} SIP/2.0`,
      `Via: SIP/2.0/WS ${this.#instance}.invalid;branch=z9hG4bK${randomBytes(6).toString('hex')}`,
      'Max-Forwards: 70',
      `From: ${this.#own};tag=${randomBytes(5).toString('hex')}`,
      `To: ${to}`,
      `Call-ID: ${randomBytes(10).toString('hex')}`,
      `CSeq: ${this.#sequence} ${method}`,
      ...more,
      `Content-Length: ${Buffer.byteLength(content)}`,
    ];
    return [...lines, '', content].join(LINE);
  }

  /** Sends a request and waits for its final answer. */
  #request(text) {
    this.#send(text);
    const [call, sequence] = [header(text, 'Call-ID'), header(text, 'CSeq')];
    const fits = (message) => /^SIP\/2.0 [2-6]/.test(message) && header(message, 'Call-ID') === call && header(message, 'CSeq') === sequence;
    return this.#until(`${this.id}'s ${sequence} is answered`, fits);
  }

  #send(text) {
    this.#socket.send(Buffer.from(text));
  }

  async #until(what, fits) {
    const { place, happening } = await this.#messages.first(what, fits, { from: this.#seen });
    this.#seen = place + 1;
    return happening;
  }
}

/** An offer or answer of audio that names these addresses, and is no good for anything else. */
function sdp(addresses) {
  const candidates = addresses.map((ip, index) => `a=candidate:${index + 1} 1 udp ${2_113_937_151 - index} ${ip} ${50_000 + index} typ host`);
  const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0'];
  const rest = ['a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuv', 'a=rtpmap:111 opus/48000/2', 'a=sendrecv'];
  return [...lines, ...candidates, ...rest, ''].join(LINE);
}

function header(message, name) {
  return new RegExp(`^${name}: *(.*?) *\r?$`, 'im').exec(message.split(LINE + LINE)[0])?.[1] ?? '';
}

function body(message) {
  return message.slice(message.indexOf(LINE + LINE) + 4);
}
