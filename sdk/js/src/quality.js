// Call quality from getStats, and what it is worth as a MOS by the E-model (ITU-T G.107), simplified: all of it but
// delay and loss at its default; delay is half the round trip, twice the jitter for the buffer, and 20 ms for the
// codec; Opus has Ie = 0 and Bpl = 10, and losses are taken as independent. It measures only what this side hears and
// sees.

const EVERY_MS = 2000;
const BEST_R = 93.2;
const CODEC_MS = 20;
const LOSS_ROBUSTNESS = 10;
const GOOD_MOS = 4;
const FAIR_MOS = 3.1;

/** The mean opinion score that a delay (one way) and a loss are worth. */
export function mos({ delay_ms, loss_percent }) {
  const late = Math.max(0, delay_ms - 177.3);
  const delayImpairment = 0.024 * delay_ms + 0.11 * late;
  const lossImpairment = (95 * loss_percent) / (loss_percent + LOSS_ROBUSTNESS);
  const r = Math.min(100, Math.max(0, BEST_R - delayImpairment - lossImpairment));
  return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
}

export function level(score) {
  if (score >= GOOD_MOS) return 'good';
  return score >= FAIR_MOS ? 'fair' : 'poor';
}

/** Measures every 2 s and tells; gives back how to stop. */
export function watchQuality(pc, tell) {
  let before = null;
  let stopped = false;
  const timer = setInterval(async () => {
    // A closed connection has no statistics.
    const reports = await pc.getStats().catch(() => null);
    if (!reports || stopped) return;
    const now = counters(reports);
    if (before) tell(quality(before, now));
    before = now;
  }, EVERY_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

/** What the counters of two moments say about the time between them. */
export function quality(before, now) {
  const kinds = Object.fromEntries(['audio', 'video'].map((kind) => [kind, ofKind(kind, before, now)]));
  const main = kinds.audio ?? kinds.video ?? { jitter_ms: 0, loss_percent: 0 };
  const delay_ms = (now.rtt_ms ?? 0) / 2 + 2 * main.jitter_ms + CODEC_MS;
  const score = round(mos({ delay_ms, loss_percent: main.loss_percent }), 2);
  const { jitter_ms, loss_percent } = main;
  return { rtt_ms: now.rtt_ms, jitter_ms, loss_percent, mos: score, level: level(score), ...kinds };
}

function ofKind(kind, before, now) {
  const [then, here] = [before[kind], now[kind]];
  if (!here) return null;
  const seconds = Math.max(0.001, (now.at - before.at) / 1000);
  const grown = (name) => Math.max(0, here[name] - (then?.[name] ?? 0));
  const expected = grown('received') + grown('lost');
  const found = {
    kbps_in: round((grown('bytesIn') * 8) / 1000 / seconds, 1),
    kbps_out: round((grown('bytesOut') * 8) / 1000 / seconds, 1),
    jitter_ms: round(here.jitter_ms, 1),
    loss_percent: expected ? round((100 * grown('lost')) / expected, 1) : 0,
  };
  if (kind === 'audio') return found;
  return { ...found, width: here.width, height: here.height, fps: here.fps };
}

/** The counters of a moment, summed for each kind. */
export function counters(reports) {
  const found = { at: 0, rtt_ms: null, audio: null, video: null };
  for (const report of reports.values()) {
    found.at = Math.max(found.at, report.timestamp ?? 0);
    if (report.type === 'inbound-rtp' && report.kind) addInbound((found[report.kind] ??= empty()), report);
    if (report.type === 'outbound-rtp' && report.kind)
      (found[report.kind] ??= empty()).bytesOut += report.bytesSent ?? 0;
    const rtt = report.type === 'candidate-pair' && report.nominated ? report.currentRoundTripTime : undefined;
    if (rtt !== undefined) found.rtt_ms = round(rtt * 1000, 1);
  }
  return found;
}

function empty() {
  return { received: 0, lost: 0, bytesIn: 0, bytesOut: 0, jitter_ms: 0, width: 0, height: 0, fps: 0 };
}

function addInbound(sum, report) {
  sum.received += report.packetsReceived ?? 0;
  sum.lost += report.packetsLost ?? 0;
  sum.bytesIn += report.bytesReceived ?? 0;
  sum.jitter_ms = Math.max(sum.jitter_ms, (report.jitter ?? 0) * 1000);
  if ((report.frameWidth ?? 0) < sum.width) return;
  sum.width = report.frameWidth ?? 0;
  sum.height = report.frameHeight ?? 0;
  sum.fps = report.framesPerSecond ?? 0;
}

function round(value, digits) {
  return Number(value.toFixed(digits));
}
