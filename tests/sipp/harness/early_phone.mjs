// A telephone of one call that can be heard before it answers: it answers when the test says so. Says and checks nothing but what
// that needs; the sound is another's.
import dgram from 'node:dgram';

import { bounded } from '../../browser/harness/bounded.mjs';

const LONGEST_MS = 8_000;

export class EarlyPhone {
  #socket = dgram.createSocket('udp4');
  #said = [];
  #waiting = new Set();
  #invite;
  #sdp;

  /** At this port of loopback; its sound is at the other one. */
  static async listen(port, soundPort) {
    const phone = new EarlyPhone();
    phone.#sdp = `v=0\r\no=callee 9 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${soundPort} RTP/AVP 8 101\r\n`
      + 'a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n';
    phone.#socket.on('message', (bytes, from) => phone.#hear(bytes.toString(), from));
    await new Promise((bound) => phone.#socket.bind(port, '127.0.0.1', bound));
    return phone;
  }

  /** Takes the call. */
  answer() {
    this.#answer(this.#invite, '200 OK', this.#sdp);
  }

  /** Does not. */
  refuse(line) {
    this.#answer(this.#invite, line);
  }

  /** Waits until it has heard a request of this method. */
  hears(method) {
    const heard = () => this.#said.some((text) => text.startsWith(`< ${method} `));
    const waits = new Promise((told) => {
      const look = () => heard() && told();
      this.#waiting.add(look);
      look();
    });
    return bounded(waits, `the telephone hears ${method}`, LONGEST_MS);
  }

  story() {
    return `--- a telephone\n${this.#said.join('\n')}`;
  }

  discard() {
    return new Promise((closed) => this.#socket.close(closed));
  }

  #hear(text, from) {
    this.#said.push(`< ${text}`);
    const asked = { text, from };
    const method = text.split(' ', 1)[0];
    if (method === 'INVITE' && !this.#invite) {
      this.#invite = asked;
      this.#answer(asked, '183 Session Progress', this.#sdp);
    } else if (method === 'CANCEL') {
      this.#answer(asked, '200 OK');
      this.#answer(this.#invite, '487 Request Terminated');
    } else if (method === 'BYE') {
      this.#answer(asked, '200 OK');
    }
    for (const look of this.#waiting) look();
  }

  #answer({ text, from }, line, sdp = '') {
    const rows = text.split('\r\n\r\n', 1)[0].split('\r\n').filter((row) => /^(Via|From|To|Call-ID|CSeq|Record-Route):/i.test(row));
    const tagged = rows.map((row) => (/^To:/i.test(row) && !row.includes(';tag=') ? `${row};tag=early` : row));
    const own = [`Contact: <sip:gw@127.0.0.1:${this.#socket.address().port}>`, ...(sdp && ['Content-Type: application/sdp'])];
    const answer = [`SIP/2.0 ${line}`, ...tagged, ...own, `Content-Length: ${sdp.length}`, '', sdp].join('\r\n');
    this.#said.push(`> ${answer}`);
    this.#socket.send(answer, from.port, from.address);
  }
}
