// The connection test: what works between this browser and the server, as a list of sentences. It changes nothing.

import { faultOf, sentenceOf } from './text.js';
import { find, focusOn, icon, make, say, setText } from './page.js';

const OUTCOMES = new Map([
  [true, { word: 'Works', image: 'yes', outcome: 'good' }],
  [false, { word: 'Does not work', image: 'close', outcome: 'bad' }],
  [null, { word: 'Not tested', image: 'none', outcome: 'none' }],
]);

export class ConnectionTest {
  #run = null;
  #onClose;
  isOpen = false;

  constructor({ onClose }) {
    this.#onClose = onClose;
    find('test-close').addEventListener('click', () => {
      this.close();
      find('open-test').focus();
    });
  }

  /** Tests `phone`'s connection and shows what came out. */
  async open(phone) {
    this.isOpen = true;
    find('test-again').onclick = () => this.open(phone);
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    find('test-list').replaceChildren();
    find('test-again').disabled = true;
    this.#say('Testing… The browser may ask for the microphone.');
    this.#onClose();
    focusOn(find('test-title'));
    try {
      const { ok, checks } = await phone.test(run.signal);
      if (run.signal.aborted) return;
      find('test-list').replaceChildren(...checks.map(checkRow));
      this.#say(ok ? 'All is well for calls.' : 'Not all is well. What does not work is marked below.');
    } catch (error) {
      if (!run.signal.aborted) this.#say(faultOf(error));
    }
    if (this.#run === run) find('test-again').disabled = false;
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#run?.abort();
    this.#onClose();
  }

  #say(sentence) {
    setText(find('test-words'), sentence);
    say(sentence);
  }
}

function checkRow({ ok, words, ms }) {
  const { word, image, outcome } = OUTCOMES.get(ok ?? null);
  const sign = make(
    'span',
    { className: 'sign' },
    icon(image),
    make('span', { className: 'visually-hidden' }, `${word}: `),
  );
  const row = make('li', {}, sign, make('span', {}, sentenceOf(words)));
  if (ok !== null && Number.isFinite(ms)) row.append(make('span', { className: 'ms' }, `${Math.round(ms)} ms`));
  row.dataset.outcome = outcome;
  return row;
}
