// The panel of a call that comes in. It takes the focus, and gives it back to where it was; it never answers by
// itself.

import { colourOf, letterOf } from './text.js';
import { cry, find, focusOn, setText, show, tell } from './page.js';

/** Somebody who was typing when the panel came did not mean to answer. */
const NOT_MEANT_MS = 700;

export class Incoming {
  #answer;
  #silence;
  #line = null;
  #before = null;
  #since = 0;

  /** `answer(line, video)` answers, `silence()` ends the ringing tone only. */
  constructor({ answer, silence }) {
    this.#answer = answer;
    this.#silence = silence;
    find('answer-audio').addEventListener('click', () => this.#answer(this.#line, false));
    find('answer-video').addEventListener('click', () => this.#answer(this.#line, true));
    find('reject').addEventListener('click', () => this.#line.reject());
    find('incoming').addEventListener('keydown', (event) => this.#key(event));
  }

  /** Shows the panel for `line`, or hides it. `other` is with whom one talks meanwhile. */
  render(line, other) {
    const panel = find('incoming');
    if (line === this.#line) return;
    const before = this.#line;
    this.#line = line;
    show(panel, line !== null);
    if (line === null) {
      cry('');
      this.#giveFocusBack(panel);
      return;
    }
    this.#fill(line, other);
    if (before === null) this.#before = document.activeElement;
    this.#since = performance.now();
    focusOn(panel);
  }

  #fill(line, other) {
    const name = line.otherName;
    const kind = line.offeredVideo ? 'Video call' : 'Call';
    setText(find('incoming-kind'), `${kind} from`);
    setText(find('incoming-title'), name);
    find('incoming-title').title = name;
    setText(find('incoming-disc'), letterOf(name));
    find('incoming-disc').className = `disc ringing tone-${colourOf(line.other)}`;
    tell(find('incoming-note'), line.note && `“${line.note}”`);
    tell(find('incoming-hold'), other ? `If you answer, ${other.otherName} is put on hold.` : '');
    show(find('answer-video'), true);
    find('incoming').dataset.video = String(line.offeredVideo);
    cry(`${kind} from ${name}.${line.note ? ` Note: ${line.note}` : ''}`);
  }

  #key(event) {
    if (event.key === 'Escape') {
      event.preventDefault();
      this.#silence();
      return;
    }
    const onPanel = event.target === event.currentTarget;
    const meant = !event.repeat && performance.now() - this.#since > NOT_MEANT_MS;
    if (event.key === 'Enter' && onPanel && meant) {
      event.preventDefault();
      this.#answer(this.#line, false);
    }
  }

  /** Only if nobody took the focus meanwhile. */
  #giveFocusBack(panel) {
    const lost = document.activeElement === document.body || panel.contains(document.activeElement);
    if (lost && this.#before?.isConnected) this.#before.focus();
    this.#before = null;
  }
}
