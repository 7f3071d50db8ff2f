// Plain words for what the library tells in codes and numbers. It never touches the page.

import { sentenceOf } from './text.js';

const ENDINGS = {
  NORMAL: 'The call was hung up.',
  BUSY: 'The other side is busy, or did not want to talk.',
  UNOBTAINABLE: 'Nobody with this name is signed in just now.',
  MOVED: 'The call was sent on to somewhere else, where this page cannot follow.',
  REJECTED: 'The call was not accepted.',
  NOANSWER: 'Nobody answered.',
  DEVICE_ERROR: 'The microphone or camera could not be used. Is there one, and may this page use it?',
  INVALIDTOKEN: 'The server did not accept your token. It may have ended.',
  FORBIDDEN: 'Your token does not allow this call.',
  FAILED: 'The call failed.',
  ERROR: 'The call failed inside this page.',
};

const STATES = {
  signedIn: 'Can be called',
  callsOnly: 'Can call, cannot be called',
  connecting: 'Connecting…',
  resuming: 'Coming back…',
  lost: 'Not connected',
  refused: 'Cannot be called',
  barred: 'Cannot be called',
};

const LEVELS = { good: 'Good line', fair: 'Fair line', poor: 'Poor line' };

/** Why a call with `name` ended, as a sentence. The library's own reason is better where there is one. */
export function ending({ cause, reason }, name) {
  return whole(sentenceOf(reason, ENDINGS[cause] ?? ENDINGS.FAILED), name);
}

/** Why somebody who was signed in is so no more, while the token is good. */
export function barred(reason) {
  if (/\bno active account\b/.test(reason))
    return 'This account is disabled. This page comes back by itself when it is enabled again.';
  return whole(sentenceOf(reason, 'The server does not let you be called.'));
}

/** A lost connection is coming back; a call has `window_s` seconds to wait for it. */
export function resuming(isTalking, window_s) {
  const within = Number.isFinite(window_s) ? `within ${spoken(window_s)}` : 'in time';
  return `Connection lost, trying to come back…${isTalking ? ` Your call goes on if that works ${within}.` : ''}`;
}

/** Why there is no connection. */
export function lost(reason) {
  return `${whole(sentenceOf(reason, 'The connection to the server is lost.'))} This page tries again by itself.`;
}

/** `words` with the capital and the stop of a sentence; one that begins with `name` leaves that as it is. */
function whole(words, name = '') {
  const begun = name !== '' && words.startsWith(name) ? words : words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** How somebody stands with the server. */
export function standing(state) {
  return STATES[state];
}

/** Why the server did not let somebody sign in. */
export function refusal(cause, said) {
  if (cause === 'INVALIDTOKEN') {
    return 'This server did not accept the token. It is for another server, or the key that signed it is no longer in use.';
  }
  if (cause === 'DISCONNECTED') return 'The server did not answer. Is it running, and is the network there?';
  return whole(sentenceOf(said, 'The server did not let you sign in.'));
}

/** The quality of a call in two words, and in detail as pairs of name and value. */
export function quality({ level, rtt_ms, jitter_ms, loss_percent, mos }) {
  const number = (value, digits, unit) => (Number.isFinite(value) ? `${value.toFixed(digits)}${unit}` : '–');
  return {
    words: LEVELS[level] ?? '',
    details: [
      ['Round trip', number(rtt_ms, 0, ' ms')],
      ['Jitter', number(jitter_ms, 0, ' ms')],
      ['Lost', number(loss_percent, 1, ' %')],
      ['Sounds like', number(mos, 1, ' of 4.5')],
    ],
  };
}

/** Seconds as a clock shows them: 0:07, 12:30, 1:00:02. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Seconds as they are said: 7 seconds, 1 minute 5 seconds, 3 hours. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const said = (number, unit) => `${number} ${unit}${number === 1 ? '' : 's'}`;
  if (whole < 60) return said(whole, 'second');
  if (whole < 3600) {
    const rest = whole % 60;
    return said(Math.floor(whole / 60), 'minute') + (rest > 0 ? ` ${said(rest, 'second')}` : '');
  }
  return whole < 172_800 ? said(Math.floor(whole / 3600), 'hour') : said(Math.floor(whole / 86_400), 'day');
}

/** The time of day, with the date where it is another day. */
export function timeOfDay(ms) {
  const when = new Date(ms);
  const time = when.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  if (when.toDateString() === new Date().toDateString()) return time;
  return `${time} on ${when.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })}`;
}
