// The connection beyond a session: how soon it is made again, and what is said of its loss. The timers are turned by hand.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

globalThis.OFFHOOK_VERSION = 'test';
const { Signalling } = await import('../src/signalling.js');

/** A socket that is refused as soon as somebody looks. */
class RefusedSocket extends EventTarget {
  static made = [];
  protocol = '';
  readyState = 0;

  constructor() {
    super();
    RefusedSocket.made.push(this);
  }

  close() {}

  happen(type, about = {}) {
    this.dispatchEvent(Object.assign(new Event(type), about));
  }
}

const { made } = RefusedSocket;
let states;

function signalling() {
  const told = { onOpen() {}, onMessage() {}, onLost() {}, onState: (state) => states.push(state) };
  return new Signalling('http://localhost', { resume: false, webSocket: RefusedSocket }, told);
}

beforeEach(() => {
  made.length = 0;
  states = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
});

afterEach(() => {
  mock.timers.reset();
  delete globalThis.document;
});

test('a server that is away for long is asked every five seconds at least', () => {
  signalling()
    .open()
    .catch(() => {});
  for (let count = 1; count <= 12; count += 1) {
    assert.equal(made.length, count);
    made.at(-1).happen('close', { reason: '' });
    assert.equal(made.length, count, 'not in a hurry');
    mock.timers.tick(5000);
  }
});

test('a page that is looked at again asks at once', () => {
  signalling()
    .open()
    .catch(() => {});
  for (let count = 0; count < 5; count += 1) {
    made.at(-1).happen('close', { reason: '' });
    mock.timers.tick(5000);
  }
  made.at(-1).happen('close', { reason: '' });
  const before = made.length;
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  assert.equal(made.length, before);
  document.visibilityState = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  assert.equal(made.length, before + 1);
});

test('a session that the server does not know is told as what has happened', () => {
  signalling()
    .open()
    .catch(() => {});
  made.at(-1).happen('open');
  made.at(-1).happen('close', { reason: 'the session has ended; open a new one' });
  assert.deepEqual(states.at(-1), {
    state: 'lost',
    reason: 'the server was restarted, or had given the connection up',
  });
});
