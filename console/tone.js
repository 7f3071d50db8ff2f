// The sounds of a telephone, made by Web Audio: the ring of a call that comes in, the ring that a caller hears, and
// keys. It never loads a file, and stays silent where the browser wants a gesture first (it says so, and `wake` is
// that gesture).

const RING_HZ = [400, 450];
const CADENCE = [
  [0, 0.4],
  [0.6, 1.0],
];
const PERIOD_S = 3;
const VOLUMES = { incoming: 0.16, waiting: 0.03, outgoing: 0.05 };
const KEY_ROWS = [697, 770, 852, 941];
const KEY_COLUMNS = [1209, 1336, 1477, 1633];
const KEYS = ['123A', '456B', '789C', '*0#D'];
const KEY_S = 0.12;

export class Tone extends EventTarget {
  #context = null;
  #looping = null;
  #kind = null;

  /** Whether the browser holds the sound back until somebody touches the page. */
  get isHeldBack() {
    return this.#kind !== null && this.#context?.state !== 'running';
  }

  /** Called in a click or key press: from then on there may be sound. */
  async wake() {
    this.#begin();
    await this.#context.resume().catch(() => {});
  }

  /** Rings as `kind` says: 'incoming', 'waiting' (in a call already), 'outgoing', or not at all (null). */
  ring(kind) {
    if (kind === this.#kind) return;
    this.#looping?.stop();
    this.#looping = null;
    this.#kind = kind;
    if (kind !== null) {
      this.#begin();
      this.#looping = this.#loop(VOLUMES[kind]);
    }
    this.dispatchEvent(new Event('change'));
  }

  /** The sound of one key, as everybody expects it. */
  key(digit) {
    if (this.#context?.state !== 'running') return;
    const row = KEYS.findIndex((keys) => keys.includes(digit));
    if (row < 0) return;
    const now = this.#context.currentTime;
    const gain = this.#gain(0.04);
    gain.gain.setValueAtTime(0.04, now + KEY_S - 0.02);
    gain.gain.linearRampToValueAtTime(0, now + KEY_S);
    for (const hertz of [KEY_ROWS[row], KEY_COLUMNS[KEYS[row].indexOf(digit)]]) {
      const oscillator = new OscillatorNode(this.#context, { frequency: hertz });
      oscillator.connect(gain);
      oscillator.start(now);
      oscillator.stop(now + KEY_S);
    }
  }

  #begin() {
    if (this.#context) return;
    this.#context = new AudioContext();
    this.#context.onstatechange = () => this.dispatchEvent(new Event('change'));
  }

  #gain(volume) {
    const gain = new GainNode(this.#context, { gain: volume });
    gain.connect(this.#context.destination);
    return gain;
  }

  /** One period of the cadence, repeated by the sound card's clock and not by ours. */
  #loop(volume) {
    const rate = this.#context.sampleRate;
    const buffer = this.#context.createBuffer(1, PERIOD_S * rate, rate);
    const samples = buffer.getChannelData(0);
    for (const [from, to] of CADENCE) {
      for (let at = Math.floor(from * rate); at < to * rate; at += 1) {
        const seconds = at / rate;
        const edge = Math.min(1, (seconds - from) / 0.01, (to - seconds) / 0.01);
        const wave = RING_HZ.reduce((sum, hertz) => sum + Math.sin(2 * Math.PI * hertz * seconds), 0);
        samples[at] = (wave / RING_HZ.length) * Math.max(0, edge);
      }
    }
    const source = new AudioBufferSourceNode(this.#context, { buffer, loop: true });
    source.connect(this.#gain(volume));
    source.start();
    return source;
  }
}
