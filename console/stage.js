// The stage: nothing, a test, a call, or how the last one ended; and the calls of this page's life. Nothing is
// stored.

import { faultOf, shown } from './text.js';
import { clock, spoken, timeOfDay } from './words.js';
import { disc } from './call_view.js';
import { find, focusOn, icon, make, say, setText, show, tell } from './page.js';

const MOST_EARLIER = 5;

export class Stage {
  #call;
  #end = null;
  #last = '';
  #earlier = [];

  /** `call(clientId, { video })` places a call; `onClose()` is told when the end of a call was read. */
  constructor({ call, onClose }) {
    this.#call = call;
    find('ended-close').addEventListener('click', () => {
      this.dismiss();
      onClose();
      focusOn(find('dial-title'));
    });
    find('ended-again').addEventListener('click', async () => {
      const { other, offeredVideo } = this.#end;
      try {
        await this.#call(other, { video: offeredVideo });
      } catch (error) {
        setText(find('ended-reason'), faultOf(error));
      }
    });
  }

  /** A call has ended; if it was on the stage, that is said there. */
  ended(line, { wasActive, ownId }) {
    this.#earlier = [{ line, at: Date.now() }, ...this.#earlier].slice(0, MOST_EARLIER);
    this.#listEarlier();
    const { reason, seconds, wasTalking } = line.end;
    say(`The call with ${line.otherName} has ended. ${reason}`);
    if (!wasActive && line.direction === 'outgoing') return;
    this.#end = line;
    const missed = line.direction === 'incoming' && !wasTalking;
    setText(find('ended-title'), missed ? `Call from ${line.otherName}` : `Call with ${line.otherName}`);
    setText(find('ended-reason'), reason);
    tell(find('ended-length'), wasTalking ? `You talked for ${spoken(seconds)}.` : '');
    setText(find('ended-again').querySelector('span'), missed ? 'Call back' : 'Call again');
    disc(find('ended-own'), ownId);
    disc(find('ended-other'), line.otherName, line.other);
  }

  dismiss() {
    this.#end = null;
  }

  /** Forgets everything, for the next who signs in. */
  clear() {
    this.#end = null;
    this.#earlier = [];
    this.#listEarlier();
  }

  render({ active, isTesting, mayCall, words }) {
    if (active) this.#end = null;
    const view = active ? 'call' : isTesting ? 'test' : this.#end ? 'ended' : 'idle';
    // Who talks may test beside the call.
    for (const id of ['call', 'test', 'ended', 'idle']) show(find(id), id === view || (id === 'test' && isTesting));
    find('stage').dataset.stage = view;
    document.body.dataset.stage = view;
    setText(find('idle-words'), words);
    find('ended-again').disabled = !mayCall;
    this.#moveFocus(view);
  }

  /**
   * Whoever calls or answers finds the focus at the call. Else it goes to the new heading only where it would be lost
   * with what was hidden.
   */
  #moveFocus(view) {
    if (view === this.#last) return;
    this.#last = view;
    const lost = document.activeElement === document.body || document.activeElement?.closest('[hidden]');
    const heading = { call: 'call-other', ended: 'ended-title', idle: 'dial-title' }[view];
    if (heading && (lost || view === 'call') && find('incoming').hidden) focusOn(find(heading));
  }

  #listEarlier() {
    show(find('earlier'), this.#earlier.length > 0);
    find('earlier-list').replaceChildren(...this.#earlier.map(earlierRow));
  }
}

function earlierRow({ line, at }) {
  const { reason, seconds, wasTalking } = line.end;
  const incoming = line.direction === 'incoming';
  const sign = make(
    'span',
    { className: `sign ${wasTalking ? line.direction : 'missed'}` },
    icon(incoming ? 'in' : 'outward'),
  );
  const way = incoming ? 'From' : 'To';
  const who = make(
    'span',
    { className: 'who' },
    make('span', { className: 'visually-hidden' }, `${way} `),
    make('bdi', {}, line.otherName),
  );
  const how = make('span', { className: 'how' }, wasTalking ? clock(seconds) : shown(reason, 80));
  return make('li', {}, sign, who, how, make('time', {}, timeOfDay(at)));
}
