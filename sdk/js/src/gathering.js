// Waiting for ICE candidates: until there are all of them, or enough, and never for longer than 5 s.

const LONGEST_MS = 5000;
/** After the first relayed candidate, or the first reflexive one where there is no TURN: what else comes soon. */
const GRACE_MS = 300;

/** Resolves when the local description may be sent. */
export function gathered(pc) {
  // Right after a restart the state is still that of the candidates before.
  const hasCandidates = /^a=candidate:/m.test(pc.localDescription.sdp);
  if (pc.iceGatheringState === 'complete' && hasCandidates) return Promise.resolve();
  const urls = (pc.getConfiguration().iceServers ?? []).flatMap(({ urls: each }) => each);
  const awaited = urls.some((url) => /^turns?:/i.test(url)) ? 'relay' : 'srflx';
  return new Promise((resolve) => {
    let grace;
    const done = () => {
      clearTimeout(longest);
      clearTimeout(grace);
      pc.removeEventListener('icecandidate', look);
      pc.removeEventListener('icegatheringstatechange', look);
      resolve();
    };
    const look = ({ candidate }) => {
      if (pc.iceGatheringState === 'complete' || candidate === null) done();
      else if (candidate && candidateType(candidate) === awaited) grace ??= setTimeout(done, GRACE_MS);
    };
    const longest = setTimeout(done, LONGEST_MS);
    pc.addEventListener('icecandidate', look);
    pc.addEventListener('icegatheringstatechange', look);
  });
}

function candidateType({ type, candidate }) {
  return type ?? / typ (\w+)/.exec(candidate)?.[1];
}
