// Random names of SIP: tags, branches, Call-IDs, host names in `.invalid` (RFC 7118 §5). From the browser's own secure
// source.

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

/**
 * `length` letters and digits. 252 is the largest multiple of 36 in a byte: what lies above would make some likelier.
 */
export function randomWord(length) {
  let word = '';
  while (word.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length))) {
      if (byte < 252 && word.length < length) word += LETTERS[byte % 36];
    }
  }
  return word;
}
