// A certificate of the tests' own that stands for every name and address that they use, in a folder of its own.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export async function certificate() {
  const folder = await mkdtemp(path.join(tmpdir(), 'offhook-turn-'));
  const [certificatePath, keyPath] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name));
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  words.push('-subj', '/CN=offhook TURN tests', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  await run('openssl', [...words, '-keyout', keyPath, '-out', certificatePath]);
  return {
    path: certificatePath,
    keyPath,
    pem: await readFile(certificatePath),
    discard: () => rm(folder, { recursive: true, force: true }),
  };
}
