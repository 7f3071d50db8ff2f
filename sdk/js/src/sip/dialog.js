// A dialog (RFC 3261 §12): what a request inside a call is made of, and which requests belong to the call. It sends
// nothing.
import { Headers, address, split } from './message.js';

export class Dialog {
  callId;
  #localUri;
  #localTag;
  #remoteUri;
  #remoteTag;
  #routes;
  #target;
  #contact;
  #localSequence;
  #remoteSequence = null;

  /** Of the one who calls: from its INVITE and a 2xx to it. */
  static ofCaller({ invite, localTag, contact, response }) {
    const dialog = new Dialog();
    dialog.callId = response.callId;
    dialog.#localTag = localTag;
    dialog.#localUri = response.from.uri;
    dialog.#remoteUri = response.to.uri;
    dialog.#remoteTag = response.to.tag ?? '';
    dialog.#routes = response.headers.all('record-route').flatMap(split).reverse();
    dialog.#localSequence = invite.sequence;
    dialog.#contact = contact;
    dialog.#target = invite.uri;
    dialog.retarget(response);
    return dialog;
  }

  /** Of the one who is called: from the INVITE. */
  static ofCallee({ request, localTag, contact }) {
    const dialog = new Dialog();
    dialog.callId = request.callId;
    dialog.#localTag = localTag;
    dialog.#localUri = request.to.uri;
    dialog.#remoteUri = request.from.uri;
    dialog.#remoteTag = request.from.tag ?? '';
    dialog.#routes = request.headers.all('record-route').flatMap(split);
    dialog.#localSequence = 0;
    dialog.#remoteSequence = request.cseq.number;
    dialog.#contact = contact;
    dialog.#target = request.from.uri;
    dialog.retarget(request);
    return dialog;
  }

  get remoteTag() {
    return this.#remoteTag;
  }

  get sequence() {
    return this.#localSequence;
  }

  /** A target refresh (§12.2): INVITE and its 2xx may bring a new Contact. */
  retarget(message) {
    const contact = message.headers.get('contact');
    if (contact) this.#target = address(split(contact)[0]).uri || this.#target;
  }

  owns(request) {
    return (
      request.callId === this.callId &&
      request.to.tag === this.#localTag &&
      (request.from.tag ?? '') === this.#remoteTag
    );
  }

  /** Whether a request of the other side comes in its order (§12.2.2); takes note of it. */
  takes(request) {
    if (this.#remoteSequence !== null && request.cseq.number <= this.#remoteSequence) return false;
    this.#remoteSequence = request.cseq.number;
    return true;
  }

  /** The next request; an ACK has the number of the INVITE that it belongs to. */
  request(method, { headers = [], body, sequence } = {}) {
    const number = sequence ?? (this.#localSequence += 1);
    const all = new Headers();
    for (const route of this.#routes) all.add('Route', route);
    all.add('From', `<${this.#localUri}>;tag=${this.#localTag}`);
    all.add('To', `<${this.#remoteUri}>${this.#remoteTag && `;tag=${this.#remoteTag}`}`);
    all.add('Call-ID', this.callId).add('CSeq', `${number} ${method}`);
    if (method === 'INVITE') all.add('Contact', this.#contact);
    for (const [name, value] of headers) all.add(name, value);
    return { method, uri: this.#target, headers: all, body, sequence: number };
  }
}
