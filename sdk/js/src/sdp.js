// What an application needs to know of a session description (RFC 8866, RFC 3264): kinds and directions. SDP is never
// changed.

const DIRECTION = /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m;

/** The media sections that are not refused: `{ kind, direction }`. */
export function sections(sdp) {
  const [session, ...rest] = String(sdp ?? '').split(/^m=/m);
  const general = DIRECTION.exec(session)?.[1] ?? 'sendrecv';
  return rest
    .map((section) => ({
      kind: /^\w+/.exec(section)?.[0],
      port: Number(/^\w+ (\d+)/.exec(section)?.[1]),
      isBundled: /^a=bundle-only\r?$/m.test(section),
      direction: DIRECTION.exec(section)?.[1] ?? general,
    }))
    .filter(({ port, isBundled }) => port !== 0 || isBundled);
}

/** What the one who made the offer sends and takes. */
export function offered(sdp) {
  const has = (wanted, way) =>
    sections(sdp).some(({ kind, direction }) => kind === wanted && ['sendrecv', way].includes(direction));
  return {
    offeringAudio: has('audio', 'sendonly'),
    canReceiveAudio: has('audio', 'recvonly'),
    offeringVideo: has('video', 'sendonly'),
    canReceiveVideo: has('video', 'recvonly'),
  };
}

/**
 * Whether the one who made the description takes no sound: in a call that had it, it has put us on hold (RFC 3264
 * §8.4).
 */
export function takesNoAudio(sdp) {
  const audio = sections(sdp).filter(({ kind }) => kind === 'audio');
  return audio.length > 0 && audio.every(({ direction }) => ['sendonly', 'inactive'].includes(direction));
}
