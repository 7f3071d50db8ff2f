// Tokens as a client may look at them: their form, and what they claim of their own end. Nothing here verifies one.

const WORD = /^[-_0-9a-zA-Z]+$/;

/** Signed tokens have three parts, encrypted ones five. */
export function isTokenLike(token) {
  if (typeof token !== 'string') return false;
  const parts = token.split('.');
  return [3, 5].includes(parts.length) && parts.every((part) => WORD.test(part));
}

/** When the token ends and when that should be told, in ms; null if it does not say. */
export function lifetime(token) {
  const { exp, iat } = claims(token);
  if (!Number.isFinite(exp)) return null;
  const begun = Number.isFinite(iat) ? iat : exp - 60;
  // A minute before; of a short life, when nine tenths are over.
  return { expires: exp * 1000, warnAt: Math.max(exp - 60, begun + 0.9 * (exp - begun)) * 1000 };
}

function claims(token) {
  try {
    const read = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return typeof read === 'object' && read ? read : {};
  } catch {
    return {};
  }
}
