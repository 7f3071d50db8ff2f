// Where a call begins: the dial box, and in demo mode the list of those who are here. It never calls by itself.

import { colourOf, faultOf, letterOf, nameOf, shown } from './text.js';
import { CLIENT_ID, permission } from './token.js';
import { registeredClients } from './server.js';
import { find, icon, make, say, show, tell } from './page.js';

const EVERY_MS = 4000;
const MOST_SHOWN = 100;

export class Desk {
  #phone = null;
  #demo;
  #call;
  #asking = null;
  #timer;
  #seen = '';
  /** How we stood with the server when the fault was told. */
  #faultyIn = null;

  /** `call(clientId, { video, note })` places the call and may reject with a sentence. */
  constructor({ demo, call }) {
    this.#demo = demo;
    this.#call = call;
    show(find('people'), demo);
    find('to').value = (new URLSearchParams(location.search).get('to') ?? '').slice(0, 128);
    find('dial').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#dial(false);
    });
    find('to').addEventListener('input', () => this.#fault(''));
    find('dial-video').addEventListener('click', () => {
      if (find('dial').reportValidity()) this.#dial(true);
    });
    find('people-list').addEventListener('click', ({ target }) => this.#pick(target.closest('button')));
    document.addEventListener('visibilitychange', () => this.refresh());
  }

  open(phone) {
    this.#phone = phone;
    tell(find('may-call'), permission(phone.claims));
    this.#seen = '';
    this.refresh();
  }

  close() {
    this.#phone = null;
    this.#stopAsking();
    find('people-list').replaceChildren();
  }

  render() {
    const standing = this.#phone?.standing ?? null;
    if (this.#faultyIn !== null && this.#faultyIn !== standing) this.#fault('');
    const free = this.#phone?.mayCallMore ?? false;
    const buttons = find('desk').querySelectorAll('button');
    for (const button of buttons) button.disabled = !free;
  }

  /** Asks who is here, now and then again and again, while somebody looks. */
  refresh() {
    this.#stopAsking();
    if (this.#demo && this.#phone && document.visibilityState === 'visible') this.#ask();
  }

  async #dial(video) {
    const to = find('to').value.trim();
    if (!CLIENT_ID.test(to)) {
      this.#fault(`“${shown(to, 32)}” is no client id: those are made of letters, digits, “+”, “-”, “_” and “.”.`);
      return;
    }
    if (await this.#place(to, { video, note: find('note').value })) find('note').value = '';
  }

  #pick(button) {
    if (button) this.#place(button.dataset.to, { video: button.dataset.kind === 'video' });
  }

  async #place(to, { video, note = '' }) {
    this.#fault('');
    try {
      await this.#call(to, { video, note: shown(note, 120) });
      return true;
    } catch (error) {
      this.#fault(faultOf(error));
      return false;
    }
  }

  #fault(sentence) {
    tell(find('dial-fault'), sentence);
    this.#faultyIn = sentence === '' ? null : (this.#phone?.standing ?? null);
    if (sentence) find('to').setAttribute('aria-invalid', 'true');
    else find('to').removeAttribute('aria-invalid');
  }

  #stopAsking() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const own = this.#phone.clientId;
      const others = (await registeredClients(asking.signal)).filter((id) => id !== own);
      if (asking.signal.aborted) return;
      this.#list(others.slice(0, MOST_SHOWN));
      tell(find('people-fault'), '');
    } catch (error) {
      if (asking.signal.aborted) return;
      tell(find('people-fault'), faultOf(error));
    }
    this.#timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  #list(ids) {
    const seen = ids.join(' ');
    if (this.#seen === seen) return;
    if (this.#seen !== '' || ids.length > 0)
      say(ids.length === 1 ? '1 other is here.' : `${ids.length} others are here.`);
    this.#seen = seen;
    show(find('people-none'), ids.length === 0);
    const list = find('people-list');
    // Rows that stay keep their place in the document, so that focus stays with them.
    const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
    ids.forEach((id, place) => {
      const row = rows.get(id) ?? personRow(id);
      rows.delete(id);
      if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
    });
    for (const row of rows.values()) row.remove();
    this.render();
  }
}

function personRow(id) {
  const name = nameOf(id);
  const disc = make('span', { className: `disc tone-${colourOf(id)}`, 'aria-hidden': 'true' }, letterOf(name));
  const row = make('li', {}, disc, make('bdi', { className: 'person', title: shown(id, 256) }, name));
  row.dataset.id = id;
  for (const [kind, image, label] of [
    ['audio', 'phone', `Call ${name}`],
    ['video', 'video', `Video call to ${name}`],
  ]) {
    const button = make(
      'button',
      { type: 'button', className: 'round', title: label, 'aria-label': label },
      icon(image),
    );
    Object.assign(button.dataset, { to: id, kind });
    row.append(button);
  }
  return row;
}
