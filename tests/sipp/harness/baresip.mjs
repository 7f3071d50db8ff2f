// baresip, a telephone with media of its own, as SIPp has none: it answers by itself, says a sine, and writes down what it hears.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { bounded, eventually } from '../../browser/harness/bounded.mjs';

/** Where Debian puts what it loads; later ones may know themselves. */
const MODULES = '/usr/lib/baresip/modules';
const WAV_HEAD_BYTES = 44;
const KEPT_CHARACTERS = 12_000;

export class Baresip {
  #folder;
  #process;
  #ended;
  #printed = '';

  /**
   * Starts one that is the user `user`, takes SIP at this port of loopback, and says a sine of so many hertz. `by`: the transport; by
   * TLS it is the identity `known`. `secret`: it speaks SRTP and nothing else. `dials`: whom it calls at once.
   */
  static async start(user, port, hz, by = 'udp', known, { secret = false, dials } = {}) {
    const phone = new Baresip();
    phone.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-baresip-'));
    // It takes TLS at the next port.
    const rows = [`sip_listen 127.0.0.1:${by === 'tls' ? port - 1 : port}`, 'net_interface 127.0.0.1', `snd_path ${phone.#folder}`];
    if (existsSync(MODULES)) rows.push(`module_path ${MODULES}`);
    // A sine has 48 kHz and two channels, or is refused.
    rows.push(`audio_source ausine,${hz}`, 'ausrc_srate 48000', 'ausrc_channels 2');
    rows.push('module g711.so', 'module ausine.so', 'module sndfile.so', 'module_app account.so', 'module_app menu.so');
    if (by === 'tls') {
      const file = path.join(phone.#folder, 'identity.pem');
      await writeFile(file, Buffer.concat([known.cert, known.key]));
      rows.push(`sip_certificate ${file}`, 'sip_verify_server no');
    }
    if (secret) rows.push('module srtp.so');
    await writeFile(path.join(phone.#folder, 'config'), `${rows.join('\n')}\n`);
    const account = `<sip:${user}@127.0.0.1;transport=${by}>;regint=0;answermode=auto${secret ? ';mediaenc=srtp-mand' : ''}`;
    await writeFile(path.join(phone.#folder, 'accounts'), `${account}\n`);
    await writeFile(path.join(phone.#folder, 'contacts'), '');
    phone.#run(dials ? ['-e', `/dial ${dials}`] : []);
    return phone;
  }

  /** Ends it, and gives back the samples that it has heard. */
  async heard() {
    this.#process.kill('SIGTERM');
    await bounded(this.#ended, 'baresip ends');
    const samples = await this.#written();
    if (!samples) throw new Error('baresip has written nothing down');
    return samples;
  }

  /** Waits until it has heard so many samples that are loud. */
  hearsLoud(count) {
    const loud = (samples = []) => samples.filter((sample) => Math.abs(sample) > 1_000).length;
    return eventually(`baresip hears ${count} loud samples`, async () => loud(await this.#written()) >= count);
  }

  /** What it has written of itself. */
  get printed() {
    return this.#printed;
  }

  async story() {
    return `--- baresip\n${this.#printed}\n${(await readdir(this.#folder)).join(' ')}`;
  }

  async discard() {
    this.#process.kill('SIGKILL');
    await this.#ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The samples that it has written down so far; nothing before the first. */
  async #written() {
    const name = (await readdir(this.#folder)).find((file) => file.endsWith('-dec.wav'));
    if (!name) return undefined;
    const file = await readFile(path.join(this.#folder, name));
    const samples = [];
    for (let place = WAV_HEAD_BYTES; place + 1 < file.length; place += 2) samples.push(file.readInt16LE(place));
    return samples;
  }

  #run(words) {
    const child = spawn('baresip', ['-f', this.#folder, '-v', ...words], { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        process.removeListener('exit', dieTogether);
        resolve();
      });
      child.once('error', resolve);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        this.#printed = (this.#printed + text).slice(-KEPT_CHARACTERS);
      });
    }
  }
}
