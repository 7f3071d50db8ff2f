// Text from the network, made fit to be shown: bounded, on one line, with nothing in it that is unseen or turns the
// reading direction round. It never makes markup; whoever shows it sets it as text.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const PILED_MARKS = /(\p{M}{2})\p{M}+/gu;

export const NAME_LENGTH = 48;
export const SENTENCE_LENGTH = 200;

/** `text` as one line of `length` characters at most; `instead` where nothing is left of it. */
export function shown(text, length, instead = '') {
  const bounded = String(text ?? '').slice(0, 4096);
  const clean = bounded.replace(/\s+/gu, ' ').trim().replace(UNSEEN, '\u{FFFD}').replace(PILED_MARKS, '$1');
  const characters = Array.from(clean);
  if (characters.length === 0) return instead;
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}…` : clean;
}

/** Who somebody is, as the other side says. */
export function nameOf(text) {
  return shown(text, NAME_LENGTH, 'somebody unknown');
}

/** A sentence that comes from elsewhere: a reason, a note, an error. */
export function sentenceOf(text, instead = '') {
  return shown(text, SENTENCE_LENGTH, instead);
}

/** What an error says: a sentence whatever was thrown. */
export function faultOf(error) {
  const said = typeof error === 'string' ? error : error?.message;
  return sentenceOf(said, 'Something went wrong, and nothing says what.');
}

/** The letter that stands for somebody in a disc. */
export function letterOf(name) {
  const first = Array.from(String(name)).find((character) => /[\p{L}\p{N}]/u.test(character));
  return (first ?? '?').toUpperCase();
}

/** One of the six colours of discs; the same for the same name. */
export function colourOf(name) {
  let sum = 7;
  for (const character of String(name)) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return sum % 6;
}
