// The keypad: DTMF digits by pointer or by keyboard while it is open. It keeps no digit longer than the call.

import { find, make, setText, show } from './page.js';

const KEYS = [
  ['1', ''],
  ['2', 'ABC'],
  ['3', 'DEF'],
  ['4', 'GHI'],
  ['5', 'JKL'],
  ['6', 'MNO'],
  ['7', 'PQRS'],
  ['8', 'TUV'],
  ['9', 'WXYZ'],
  ['*', ''],
  ['0', '+'],
  ['#', ''],
];
const NAMES = { '*': 'Star', '#': 'Hash' };
const MOST_SHOWN = 24;

export class Keypad {
  #press;
  #line = null;
  isOpen = false;

  /** `press(digit)` sends the digit. */
  constructor({ press }) {
    this.#press = press;
    find('keypad-keys').append(...KEYS.map(([digit, letters]) => keyButton(digit, letters)));
    find('keypad-keys').addEventListener('click', ({ target }) => {
      const digit = target.closest('button')?.dataset.digit;
      if (digit) this.#sent(digit);
    });
    find('keypad-open').addEventListener('click', () => this.#open(!this.isOpen));
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Belongs to `line`; closes where there is none to press keys for. */
  render(line) {
    if (line !== this.#line) {
      this.#line = line;
      setText(find('keypad-sent'), '');
      this.#open(false);
    }
    const usable = line?.state === 'talking' && !line.isHeld;
    find('keypad-open').disabled = !usable;
    if (!usable && this.isOpen) this.#open(false);
  }

  #open(open) {
    this.isOpen = open;
    show(find('keypad'), open);
    find('call').dataset.keypad = String(open);
    find('keypad-open').setAttribute('aria-expanded', String(open));
  }

  #key(event) {
    if (!this.isOpen || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!find('incoming').hidden || event.target.closest?.('input, textarea')) return;
    if (event.key === 'Escape') {
      this.#open(false);
      find('keypad-open').focus();
      return;
    }
    const key = KEYS.find(([digit]) => digit === event.key);
    if (!key || event.repeat) return;
    event.preventDefault();
    this.#sent(key[0]);
  }

  #sent(digit) {
    if (!this.#press(digit)) return;
    const sent = find('keypad-sent');
    setText(sent, (sent.textContent + digit).slice(-MOST_SHOWN));
  }
}

function keyButton(digit, letters) {
  const name = NAMES[digit] ?? digit;
  const button = make('button', { type: 'button', className: 'key', 'aria-label': name });
  button.append(
    make('span', { className: 'digit' }, digit),
    make('span', { className: 'letters', 'aria-hidden': 'true' }, letters),
  );
  button.dataset.digit = digit;
  return button;
}
