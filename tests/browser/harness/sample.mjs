// A sample of examples/, run as a person runs it: at a free port, which it says, and with the secret of its service.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { bounded, Happenings } from './bounded.mjs';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
const AT = /http:\/\/127\.0\.0\.1:([0-9]+)/;

export class Sample {
  #child;
  #lines = new Happenings();
  origin;

  /** Starts `name.mjs` or `name.py` of a folder of examples, and waits until it says where it answers. */
  static async start(folder, name, language, environment = {}) {
    const sample = new Sample();
    const words = language === 'node' ? [process.execPath, `${name}.mjs`] : [python(), '-m', 'flask', '--app', name, 'run', '--port', '0'];
    const env = { ...process.env, PORT: '0', PYTHONDONTWRITEBYTECODE: '1', ...environment };
    const child = spawn(words[0], words.slice(1), { cwd: path.join(EXAMPLES, folder), env, stdio: ['ignore', 'pipe', 'pipe'] });
    sample.#child = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    child.once('exit', (code, signal) => {
      process.removeListener('exit', dieTogether);
      sample.#lines.add(`(ended: ${signal ?? code})`);
    });
    child.once('error', (error) => sample.#lines.add(`(ended: ${error.message})`));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => text.split('\n').forEach((line) => sample.#lines.add(line)));
    }
    const settled = (line) => AT.test(line) || line.startsWith('(ended');
    const { happening } = await sample.#lines.first(`${name} says where it answers`, settled, { ms: 20_000 });
    const at = AT.exec(happening);
    if (!at) throw new Error(`${name} did not start:\n${sample.#lines.all.join('\n')}`);
    sample.origin = `http://127.0.0.1:${at[1]}`;
    return sample;
  }

  address(page) {
    return `${this.origin}/${page}`;
  }

  /** Waits until it has written a line that fits. */
  async says(what, fits) {
    return (await this.#lines.first(`the sample says ${what}`, (line) => fits.test(line))).happening;
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await bounded(gone, 'the sample ends');
  }
}

/** A Python that has Flask: the one that xtask has installed for this. */
function python() {
  const given = process.env.OFFHOOK_PYTHON ?? path.join(process.env.OFFHOOK_BIN ?? '', '../../flask/bin/python');
  if (existsSync(given)) return given;
  throw new Error(`no Python with Flask at ${given}: \`cargo xtask test browser\` installs it, or OFFHOOK_PYTHON names one`);
}
