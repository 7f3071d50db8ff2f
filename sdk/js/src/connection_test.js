// Tries, before a call, what a call needs, and says in words what works: connection, registration, each way to TURN,
// the microphone, and media there and back through a relay of the application's own. It calls nobody.
import { OffhookError } from './error.js';

const PATIENCE_MS = 6000;
const TRANSPORTS = [
  ['turn-udp', 'UDP', (url) => /^turn:/i.test(url) && !/transport=tcp/i.test(url)],
  ['turn-tcp', 'TCP', (url) => /^turn:/i.test(url) && /transport=tcp/i.test(url)],
  ['turn-tls', 'TLS', (url) => /^turns:/i.test(url)],
];

export async function testConnection(core, { microphone = true, signal } = {}) {
  const checks = [];
  const aborted = new Promise((_, reject) => {
    const abort = () => reject(new OffhookError('ABORTED', 'the test was aborted'));
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
  aborted.catch(() => {});
  const check = async (name, look) => {
    const begun = performance.now();
    const found = await Promise.race([aborted, look().catch((error) => [false, sentence(error)])]);
    const [ok, words, wasMeasured = true] = found;
    checks.push({ name, ok, words, ms: wasMeasured ? Math.round(performance.now() - begun) : null });
  };
  core.isTesting = true;
  try {
    await check('signalling', () => signalling(core));
    await check('registration', () => registration(core));
    const { iceServers = [] } = checks[0].ok ? await Promise.race([aborted, core.configuration()]) : {};
    for (const [name, words, fits] of TRANSPORTS) await check(name, () => relay(serversWith(iceServers, fits), words));
    await check('microphone', () =>
      microphone ? listen() : Promise.resolve([null, 'The microphone was not tested.']),
    );
    const relayed = checks.some(({ name, ok }) => name.startsWith('turn') && ok);
    await check('media', () => echo(relayed ? iceServers : [], core));
  } finally {
    core.isTesting = false;
  }
  return { ok: checks.every(({ ok }) => ok !== false), checks };
}

async function signalling({ signalling: connection }) {
  const { host } = new URL(connection.url);
  const wasThere = connection.isConnected;
  await connection.open(PATIENCE_MS);
  return [true, `The server at ${host} can be reached.`, !wasThere];
}

async function registration({ registration: current, identity }) {
  const who = identity.aor.replace(/^sip:|@.*$/g, '');
  if (current.isReady) return [true, `${who} is registered and can be called.`, false];
  if (current.isWanted) return [false, 'The registration is not complete: the server has not agreed yet.', false];
  return [null, 'This client did not ask to be called, so there is no registration to test.', false];
}

function serversWith(servers, fits) {
  return servers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter(fits) }))
    .filter(({ urls }) => urls.length > 0);
}

/** Whether a relay gives us an address over this transport. */
async function relay(iceServers, words) {
  if (iceServers.length === 0) return [null, `The server offers no TURN relay over ${words}.`];
  const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
  try {
    const found = new Promise((resolve) => {
      pc.onicecandidate = ({ candidate }) => {
        if (!candidate || candidate.candidate) resolve(Boolean(candidate));
      };
    });
    pc.createDataChannel('test');
    await pc.setLocalDescription();
    if (await within(found)) return [true, `The TURN relay works over ${words}.`];
    return [false, `The TURN relay cannot be reached over ${words}: a firewall may be in the way.`];
  } finally {
    pc.close();
  }
}

async function listen() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  try {
    const [track] = stream.getAudioTracks();
    if (track.readyState !== 'live') return [false, 'The microphone was opened, but gives no sound.'];
    return [true, 'The microphone can be used.'];
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}

/** Through the relay and back to ourselves: two ends, both on the relay alone. */
async function echo(iceServers, core) {
  if (iceServers.length === 0) return [null, 'The server relays no media, so there is nothing to echo.'];
  if (core.iceServers.lends(iceServers)) return [null, 'Media through the relay can be tested during a call only.'];
  const ends = [1, 2].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' }));
  try {
    const [near, far] = ends;
    near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate).catch(() => {});
    far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate).catch(() => {});
    const channel = near.createDataChannel('echo');
    far.ondatachannel = (event) => {
      event.channel.onmessage = ({ data }) => event.channel.send(data);
    };
    const heard = new Promise((resolve) => {
      channel.onopen = () => channel.send('hello');
      channel.onmessage = () => resolve(true);
    });
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);
    if (await within(heard)) return [true, 'Media comes back through the relay.'];
    return [false, 'Media does not come back through the relay.'];
  } finally {
    for (const end of ends) end.close();
  }
}

function within(promise) {
  return Promise.race([promise, new Promise((late) => setTimeout(() => late(false), PATIENCE_MS))]);
}

function sentence(error) {
  if (error?.name === 'NotAllowedError') return 'The browser was not allowed to use the microphone.';
  if (error?.name === 'NotFoundError') return 'There is no microphone.';
  const words = String(error?.message ?? error);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}`;
}
