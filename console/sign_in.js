// The view of somebody who is not signed in: a token, or one click in demo mode. It keeps no token.

import { faultOf } from './text.js';
import { CLIENT_ID, readToken } from './token.js';
import { demoToken } from './server.js';
import { find, focusOn, show, tell } from './page.js';

export class SignIn {
  #enter;
  #attempt = null;

  /** `enter(claims, newToken, signal)` signs in, or rejects with the sentence to be shown. */
  constructor({ demo, enter }) {
    this.#enter = enter;
    show(find('demo-form'), demo);
    find('token-go').classList.toggle('main', !demo);
    find('token-form').addEventListener('submit', (event) => this.#byToken(event));
    find('demo-form').addEventListener('submit', (event) => this.#byDemo(event));
    find('sign-in-cancel').addEventListener('click', () => this.#attempt?.abort());
    this.#working(false);
  }

  open() {
    for (const field of [find('token'), find('demo-id')]) this.#fault(field, '');
    this.#working(false);
  }

  close() {
    find('token').value = '';
    this.#working(false);
  }

  #byToken(event) {
    event.preventDefault();
    this.#try(find('token'), async (signal) => this.#enter(readToken(find('token').value), null, signal));
  }

  #byDemo(event) {
    event.preventDefault();
    const name = find('demo-id').value.trim();
    this.#try(find('demo-id'), async (signal) => {
      if (name !== '' && !CLIENT_ID.test(name)) {
        throw new Error('A name is made of letters without accents, digits, “+”, “-”, “_” and “.”, and has no spaces.');
      }
      const claims = readToken(await demoToken(name));
      await this.#enter(claims, demoToken, signal);
    });
  }

  /** Tries to sign in; where that fails the sentence is shown and `field` has the focus again. */
  async #try(field, enter) {
    if (this.#attempt) return;
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    this.open();
    this.#working(true);
    try {
      await enter(signal);
    } catch (error) {
      if (!signal.aborted) this.#fault(field, faultOf(error));
      focusOn(field);
    } finally {
      this.#attempt = null;
      this.#working(false);
    }
  }

  #fault(field, sentence) {
    tell(find(`${field.id}-fault`), sentence);
    if (sentence) field.setAttribute('aria-invalid', 'true');
    else field.removeAttribute('aria-invalid');
  }

  #working(on) {
    show(find('signing-in'), on);
    for (const button of [find('token-go'), find('demo-go')]) button.disabled = on;
  }
}
