// The view of the line on the stage: who, how long, how well, and what can be done. It places no calls.

import { faultOf, colourOf, letterOf } from './text.js';
import { clock, quality } from './words.js';
import { Keypad } from './keypad.js';
import { Tiles } from './tiles.js';
import { find, icon, make, setIcon, setText, show, tell } from './page.js';

export class CallView {
  #tone;
  #switchTo;
  #line = null;
  #ticking = null;
  #tiles;
  #keypad;

  /** `switchTo(line)` takes up a waiting line; `onHeldBack()` is told when there is no sound without a gesture. */
  constructor({ tone, switchTo, onHeldBack }) {
    this.#tone = tone;
    this.#switchTo = switchTo;
    this.#tiles = new Tiles({ onHeldBack });
    this.#keypad = new Keypad({ press: (digit) => this.#press(digit) });
    this.#control('mute', (line) => line.mute(!line.isMuted));
    this.#control('camera', (line) => line.camera(!line.hasCamera), 'The camera could not be switched');
    this.#control('share', (line) => line.share(!line.isSharing), 'The screen is not shared');
    this.#control('hold', (line) => line.hold(!line.isHeld), 'The call could not be put on hold or taken up');
    this.#control('hang-up', (line) => line.hangUp());
  }

  /** Shows `line` (or nothing) and the lines that wait. */
  render(line, waiting, ownId) {
    if (line !== this.#line) tell(find('trouble'), '');
    this.#line = line;
    const hasPicture = this.#tiles.render(line);
    this.#keypad.render(line);
    this.#tick();
    if (line === null) return;
    const call = find('call');
    call.dataset.line = lineState(line);
    call.dataset.picture = String(hasPicture);
    this.#head(line);
    disc(find('disc-own'), ownId);
    disc(find('disc-other'), line.otherName, line.other);
    this.#controls(line);
    this.#quality(line);
    find('other-lines').replaceChildren(...waiting.map((other) => this.#chip(other)));
  }

  /** Plays what the browser held back; to be called in a click. */
  play() {
    return this.#tiles.play();
  }

  #control(id, act, sorry) {
    find(id).addEventListener('click', async () => {
      tell(find('trouble'), '');
      try {
        await act(this.#line);
      } catch (error) {
        if (this.#line?.state !== 'ended') tell(find('trouble'), sorryFor(sorry, error));
      }
    });
  }

  #press(digit) {
    try {
      this.#line.dtmf(digit);
      this.#tone.key(digit);
      return true;
    } catch (error) {
      tell(find('trouble'), faultOf(error));
      return false;
    }
  }

  #head(line) {
    setText(find('call-other'), line.otherName);
    find('call-other').title = line.otherName;
    setText(find('call-state'), stateWords(line));
    tell(find('call-note'), line.note && `“${line.note}”`);
  }

  #controls(line) {
    const talking = line.state === 'talking';
    const pressed = { mute: line.isMuted, camera: line.hasCamera, share: line.isSharing };
    for (const [id, on] of Object.entries(pressed)) {
      find(id).setAttribute('aria-pressed', String(on));
    }
    for (const id of ['mute', 'camera', 'share', 'hold']) {
      find(id).setAttribute('aria-busy', String(line.pending.has(id)));
      find(id).disabled = !talking || (line.isHeld && id !== 'hold' && id !== 'mute');
    }
    setIcon(find('mute'), line.isMuted ? 'mic-off' : 'mic');
    setIcon(find('hold'), line.isHeld ? 'resume' : 'hold');
    setText(find('hold').querySelector('span'), line.isHeld ? 'Take up' : 'Hold');
    setText(find('hang-up').querySelector('span'), talking ? 'Hang up' : 'Cancel');
    show(find('share'), 'getDisplayMedia' in (navigator.mediaDevices ?? {}));
  }

  #quality(line) {
    const known = line.quality !== null && line.state === 'talking' && !line.isHeld && !line.isHeldByOther;
    show(find('quality'), known);
    if (!known) return;
    const { words, details } = quality(line.quality);
    find('quality').dataset.level = line.quality.level;
    setText(find('quality-words'), words);
    const list = find('quality-list');
    if (list.childElementCount !== details.length * 2) {
      list.replaceChildren(...details.flatMap(([name]) => [make('dt', {}, name), make('dd', {})]));
    }
    [...list.querySelectorAll('dd')].forEach((place, index) => setText(place, details[index][1]));
  }

  #chip(line) {
    const words = make('span', {}, make('bdi', {}, line.otherName), line.isHeld ? ' is on hold' : ' waits');
    const button = make(
      'button',
      { type: 'button', className: 'chip' },
      icon('resume'),
      words,
      make('b', {}, 'Switch'),
    );
    button.addEventListener('click', async () => {
      try {
        await this.#switchTo(line);
      } catch (error) {
        tell(find('trouble'), sorryFor('The calls could not be switched', error));
      }
    });
    return button;
  }

  /** The clock runs while somebody talks, and only then. */
  #tick() {
    const running = this.#line?.state === 'talking';
    if (running && this.#ticking === null) this.#ticking = setInterval(() => this.#showTime(), 1000);
    if (!running && this.#ticking !== null) {
      clearInterval(this.#ticking);
      this.#ticking = null;
    }
    this.#showTime();
  }

  #showTime() {
    setText(find('call-timer'), this.#line?.state === 'talking' ? clock(this.#line.seconds) : '');
  }
}

/** The disc of somebody, in the colour of their id. */
export function disc(element, name, id = name) {
  setText(element, letterOf(name));
  element.className = `disc tone-${colourOf(id)}`;
}

function lineState(line) {
  if (line.state === 'talking' && (line.isHeld || line.isHeldByOther)) return 'held';
  return line.state;
}

function stateWords(line) {
  switch (line.state) {
    case 'calling':
      return line.offeredVideo ? 'Calling with video…' : 'Calling…';
    case 'ringing':
      return 'Ringing…';
    case 'answering':
      return 'Answering…';
    default:
      break;
  }
  if (line.isHeld && line.isHeldByOther) return 'Both have put this call on hold';
  if (line.isHeld) return 'On hold';
  if (line.isHeldByOther) return 'You have been put on hold';
  return line.isMuted ? 'You are muted' : 'Connected';
}

function sorryFor(sorry, error) {
  // To change one's mind in the browser's own chooser is no fault.
  if (error?.name === 'NotAllowedError' && sorry.startsWith('The screen')) return '';
  return sorry ? `${sorry}: ${faultOf(error)}` : faultOf(error);
}
