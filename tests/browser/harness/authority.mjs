// An authority of the test's own, by openssl: its certificate, and those that it gives to others.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority {
  #folder;
  #count = 0;

  /** `name`: what it calls itself. */
  static async make(name) {
    const authority = new Authority();
    authority.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-authority-'));
    const words = ['req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`];
    words.push('-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
    await run('openssl', [...words, '-keyout', authority.#at('ca.key'), '-out', authority.path]);
    return authority;
  }

  /** Where its certificate is. */
  get path() {
    return this.#at('ca.pem');
  }

  /** A host's certificate for this name, as `subjectAltName` has it, and its key. */
  async identity(name) {
    this.#count += 1;
    const [key, cert, asked] = ['key', 'pem', 'csr'].map((ending) => this.#at(`${this.#count}.${ending}`));
    await run('openssl', ['req', ...KEY, '-subj', '/CN=a host', '-addext', `subjectAltName=${name}`, '-keyout', key, '-out', asked]);
    const words = ['x509', '-req', '-in', asked, '-CA', this.path, '-CAkey', this.#at('ca.key'), '-CAcreateserial'];
    await run('openssl', [...words, '-days', '2', '-copy_extensions', 'copy', '-out', cert]);
    return { cert: await readFile(cert), key: await readFile(key) };
  }

  discard() {
    return rm(this.#folder, { recursive: true, force: true });
  }

  #at(name) {
    return path.join(this.#folder, name);
  }
}
