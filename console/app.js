// The softphone page: puts the views and the signed-in client together. The token lives in this module's memory
// alone, not in the browser's storage: whoever uses the computer next must not find it there. So a reload signs out,
// and the page says so.

import { CallView } from './call_view.js';
import { ConnectionTest } from './connection_test.js';
import { Desk } from './desk.js';
import { Incoming } from './incoming.js';
import { Phone } from './phone.js';
import { SignIn } from './sign_in.js';
import { Stage } from './stage.js';
import { Tone } from './tone.js';
import { faultOf, sentenceOf } from './text.js';
import { find, focusOn, say, setText, show, tell } from './page.js';
import { renderTab } from './tab.js';
import { settings } from './server.js';
import { barred, lost, resuming, standing, timeOfDay } from './words.js';

const LIBRARY = '/sdk/offhook.js';

class App {
  #library;
  #demo;
  #phone = null;
  #tone = new Tone();
  #silenced = null;
  #saidStanding = '';
  #tokenTimer;
  #soundHeldBack = false;
  #signIn;
  #desk;
  #incoming;
  #callView;
  #stage;
  #test;

  constructor(library, demo) {
    this.#library = library;
    this.#demo = demo;
    const call = (clientId, options) => this.#place(clientId, options);
    const onHeldBack = () => {
      this.#soundHeldBack = true;
      this.#render();
    };
    this.#signIn = new SignIn({ demo, enter: (...given) => this.#enter(...given) });
    this.#desk = new Desk({ demo, call });
    this.#incoming = new Incoming({
      answer: (line, video) => this.#answer(line, video),
      silence: () => this.#silence(),
    });
    this.#callView = new CallView({ tone: this.#tone, switchTo: (line) => this.#phone.switchTo(line), onHeldBack });
    this.#stage = new Stage({ call, onClose: () => this.#render() });
    this.#test = new ConnectionTest({ onClose: () => this.#render() });
    this.#listen();
    this.#signedOut();
  }

  #listen() {
    find('sign-out').addEventListener('click', () => this.#leave());
    find('open-test').addEventListener('click', () => this.#test.open(this.#phone));
    find('connect-again').addEventListener('click', () => this.#connectAgain());
    find('notice-token').addEventListener('submit', (event) => this.#renew(event));
    find('allow-sound').addEventListener('click', () => {
      this.#soundHeldBack = false;
      this.#callView.play();
      this.#tone.wake().then(() => this.#render());
    });
    // The first gesture anywhere is what browsers wait for before they play a sound.
    for (const gesture of ['pointerdown', 'keydown'])
      document.addEventListener(gesture, () => this.#tone.wake(), { once: true });
    this.#tone.addEventListener('change', () => this.#renderNotices());
    window.addEventListener('beforeunload', (event) => {
      if (this.#phone?.lines.length > 0) event.preventDefault();
    });
    window.addEventListener('pagehide', () => this.#phone && end(this.#phone));
    window.addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  }

  /** Signs in with `claims`; rejects with a sentence, and then nothing is left of the attempt. */
  async #enter(claims, newToken, signal) {
    this.#tone.wake();
    const phone = new Phone(this.#library, claims, newToken);
    const cancelled = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('Cancelled.')), { once: true });
    });
    try {
      await Promise.race([phone.register(), cancelled]);
    } catch (error) {
      end(phone);
      throw error;
    }
    this.#entered(phone);
  }

  #entered(phone) {
    this.#phone = phone;
    phone.addEventListener('change', () => this.#render());
    phone.addEventListener('incoming', () => this.#test.close());
    phone.addEventListener('token', ({ detail }) => this.#tokenEnds(detail.expires));
    phone.addEventListener('ended', ({ detail }) => {
      this.#stage.ended(detail.line, { wasActive: detail.wasActive, ownId: phone.clientId });
      this.#desk.refresh();
    });
    this.#signIn.close();
    setText(find('own-id'), phone.clientId);
    find('own-id').title = phone.clientId;
    this.#view('phone');
    this.#desk.open(phone);
    this.#render();
    focusOn(find(find('to').value === '' ? 'dial-title' : 'to'));
  }

  #leave() {
    const phone = this.#phone;
    if (phone.lines.length > 0 && !window.confirm('This hangs up. Sign out?')) return;
    this.#phone = null;
    this.#test.close();
    this.#signedOut();
    end(phone);
  }

  #signedOut() {
    this.#desk.close();
    this.#stage.clear();
    this.#saidStanding = '';
    clearTimeout(this.#tokenTimer);
    show(find('notice-token'), false);
    this.#view('sign-in');
    this.#signIn.open();
    this.#render();
    if (document.activeElement !== document.body) focusOn(find('main'));
  }

  #view(view) {
    show(find('opening'), false);
    show(find('sign-in'), view === 'sign-in');
    show(find('phone'), view === 'phone');
    show(find('identity'), view === 'phone');
    document.body.dataset.view = view;
  }

  async #place(clientId, options) {
    this.#test.close();
    this.#tone.wake();
    await this.#phone.call(clientId, options);
  }

  async #answer(line, video) {
    this.#tone.wake();
    try {
      await this.#phone.answer(line, video);
    } catch (error) {
      say(faultOf(error));
      setText(find('trouble'), faultOf(error));
      show(find('trouble'), true);
    }
  }

  #silence() {
    this.#silenced = this.#phone?.ringing ?? null;
    this.#render();
    say('The ringing is silenced. The call still waits for you.');
  }

  async #connectAgain() {
    try {
      await this.#phone.reconnect();
    } catch (error) {
      tell(find('notice-signalling-words'), faultOf(error));
    }
  }

  #tokenEnds(expires) {
    // In demo mode a new token was asked for already, and did not come.
    const at = timeOfDay(expires.getTime());
    const words = find('notice-token-words');
    tell(words, `Your token ends at ${at}. Paste a new one to stay signed in.`);
    show(find('notice-token'), true);
    clearTimeout(this.#tokenTimer);
    this.#tokenTimer = setTimeout(
      () => tell(words, `Your token ended at ${at}. Paste a new one to be called again.`),
      expires.getTime() - Date.now(),
    );
  }

  async #renew(event) {
    event.preventDefault();
    try {
      await this.#phone.renew(find('new-token').value);
      find('new-token').value = '';
      tell(find('new-token-fault'), '');
      clearTimeout(this.#tokenTimer);
      show(find('notice-token'), false);
      say('The new token is in use.');
    } catch (error) {
      tell(find('new-token-fault'), faultOf(error));
    }
  }

  #render() {
    const phone = this.#phone;
    const ringing = phone?.ringing ?? null;
    const active = phone?.active ?? null;
    this.#ring(ringing, active);
    this.#renderStanding();
    this.#renderNotices();
    this.#incoming.render(ringing, active);
    this.#callView.render(active, phone?.waiting ?? [], phone?.clientId ?? '');
    this.#stage.render({
      active,
      isTesting: this.#test.isOpen,
      mayCall: phone?.mayCallMore ?? false,
      words: this.#idleWords(),
    });
    this.#desk.render();
    renderTab({ ringing, active });
  }

  #ring(ringing, active) {
    if (ringing && ringing !== this.#silenced) this.#tone.ring(active ? 'waiting' : 'incoming');
    else this.#tone.ring(active?.state === 'ringing' ? 'outgoing' : null);
  }

  #renderStanding() {
    if (!this.#phone) return;
    const state = this.#phone.standing;
    find('lamp').dataset.state = state;
    setText(find('own-state'), standing(state));
    if (this.#saidStanding !== state) say(standing(state));
    this.#saidStanding = state;
  }

  #renderNotices() {
    const phone = this.#phone;
    const state = phone?.standing;
    const isOff = ['resuming', 'lost', 'refused', 'barred'].includes(state);
    show(find('notice-signalling'), isOff);
    if (isOff) this.#renderSignallingNotice(phone, state);
    const heldBack = this.#soundHeldBack || (this.#tone.isHeldBack && Boolean(phone?.ringing));
    show(find('notice-sound'), heldBack);
    if (heldBack)
      setText(find('notice-sound-words'), 'Your browser keeps this page silent until you press something on it.');
  }

  #renderSignallingNotice(phone, state) {
    find('notice-signalling').dataset.state = state;
    const talking = phone.lines.some((line) => line.state === 'talking');
    const words = {
      resuming: resuming(talking, phone.signalling.window_s),
      lost: lost(phone.signalling.reason),
      barred: barred(phone.incoming.reason),
      refused: 'The server no longer accepts your token. Paste a new one, or sign in again.',
    };
    setText(find('notice-signalling-words'), words[state]);
    show(find('connect-again'), state === 'lost' || (state === 'barred' && !phone.incoming.retry));
    if (state === 'refused') show(find('notice-token'), true);
  }

  #idleWords() {
    if (!this.#phone) return '';
    if (this.#phone.standing === 'callsOnly') return 'You can call, but your token does not let others call you.';
    if (this.#demo) return 'Call somebody who is here, or wait: this page rings when somebody calls you.';
    return 'Type whom to call, or wait: this page rings when somebody calls you.';
  }
}

/** Hangs up and goes. What cannot be said to a server that is not there ends all the same. */
function end(phone) {
  phone.close().catch(() => {});
}

/** Why calls cannot be made here at all; empty where they can. */
function hindrance(library) {
  if (!window.isSecureContext) {
    return 'Browsers let a page use the microphone only over HTTPS or on “localhost”. Open this page at such an address.';
  }
  return library.AculabCloudClient.isSupported() ? '' : 'This browser cannot make calls: it has no WebRTC.';
}

async function begin() {
  const [library, { demo, hindrance: noDemo }] = await Promise.all([import(LIBRARY).catch(() => null), settings()]);
  if (library === null) {
    setText(
      find('opening'),
      `The library ${LIBRARY} did not load. Is the server still running? Then reload this page.`,
    );
    return;
  }
  const hindered = hindrance(library);
  if (hindered) {
    setText(find('opening'), hindered);
    return;
  }
  tell(find('no-demo'), noDemo && `${sentenceOf(noDemo)}.`);
  new App(library, demo);
}

begin();
