// Reads what a token says about itself (RFC 7519), so that a person can sign in with nothing else. It never judges
// the signature: that is the server's part.

import { nameOf } from './text.js';
import { timeOfDay, spoken } from './words.js';

const PARTS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const CLOUD_ID = /^[0-9]+-[0-9]+-[0-9]+$/;
const ACCESS_KEY = /^[a-z0-9]{1,63}$/;
export const CLIENT_ID = /^[A-Za-z0-9+\-_.]{1,128}$/;

/** What was pasted cannot be signed in with; the message says why, in plain words. */
export class TokenFault extends Error {}

/**
 * The claims that matter here, or a TokenFault:
 * `{ token, clientId, cloudId, accessKey, expires, mayRegister, mayCall }`.
 */
export function readToken(pasted, now = Date.now()) {
  const token = pasted
    .trim()
    .replace(/^Bearer\s+/i, '')
    .replace(/^"|"$/g, '');
  const claims = claimsOf(token);
  const cloudId = Array.isArray(claims.aud) ? claims.aud[0] : claims.aud;
  demand(
    CLIENT_ID.test(claims.sub ?? ''),
    'This token names no client (its claim “sub”), so it is for something else.',
  );
  demand(
    CLOUD_ID.test(cloudId ?? ''),
    'This token names no cloud (its claim “aud”), so it is not from a server like this.',
  );
  demand(
    ACCESS_KEY.test(claims.iss ?? ''),
    'This token names no account (its claim “iss”), so it is not from a server like this.',
  );
  const scope = [claims.scope ?? []].flat();
  demand(scope.length === 0 || scope.includes('webrtcclient'), 'This token is not for calls from a browser.');
  inTime(claims, now);
  return {
    token,
    clientId: claims.sub,
    cloudId,
    accessKey: claims.iss,
    expires: new Date(claims.exp * 1000),
    mayRegister: claims.enable_incoming !== false,
    mayCall: Array.isArray(claims.call_client) ? claims.call_client.filter((name) => typeof name === 'string') : null,
  };
}

/** Whom a token may call, as a sentence; empty where it may call anybody or says nothing. */
export function permission({ mayCall }) {
  if (mayCall === null || mayCall.includes('*')) return '';
  if (mayCall.length === 0) return 'Your token may not call anybody; you can only be called.';
  const some = mayCall.slice(0, 5).map(nameOf);
  const names = mayCall.length > 5 ? [...some, 'some others'] : some;
  return `Your token may call ${new Intl.ListFormat('en-GB').format(names)}.`;
}

function claimsOf(token) {
  demand(token !== '', 'Paste a token first.');
  demand(token.split('.').length !== 5, 'This token is encrypted. This page has to read for whom it is, and cannot.');
  demand(
    PARTS.test(token),
    'This is not a token: a token is three parts of letters, digits, “-” and “_”, with dots between them.',
  );
  try {
    const claims = JSON.parse(decoded(token.split('.')[1]));
    if (claims !== null && typeof claims === 'object') return claims;
  } catch {
    // Said below.
  }
  throw new TokenFault(
    'This looks like a token, but cannot be read. Perhaps a part of it was lost when it was copied.',
  );
}

function inTime({ nbf, exp }, now) {
  demand(Number.isFinite(exp), 'This token says nothing about when it ends, so no server would take it.');
  const ended = now / 1000 - exp;
  demand(ended < 0, `This token ended ${spoken(ended)} ago, at ${timeOfDay(exp * 1000)}. Get a new one.`);
  const early = Number.isFinite(nbf) ? nbf - now / 1000 : 0;
  demand(early < 60, `This token is good only from ${timeOfDay(nbf * 1000)} on. Is the clock of this computer right?`);
}

function decoded(part) {
  const binary = atob(part.replace(/-/g, '+').replace(/_/g, '/'));
  return new TextDecoder('utf-8', { fatal: true }).decode(
    Uint8Array.from(binary, (character) => character.charCodeAt(0)),
  );
}

function demand(held, sentence) {
  if (!held) throw new TokenFault(sentence);
}
