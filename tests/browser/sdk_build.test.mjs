// The committed files of sdk/js/dist are what its sources make, the shim is small enough, and the package holds what belongs.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SDK = fileURLToPath(new URL('../../sdk/js/', import.meta.url));
const DIST = path.join(SDK, 'dist');
const BUILT = ['offhook.classic.js', 'offhook.d.ts', 'offhook.js', 'resume-shim.js'];
const LONGEST_SHIM = 4096;

test('building again gives the same bytes', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'offhook-sdk-'));
  try {
    await run(process.execPath, [path.join(SDK, 'build.mjs'), folder]);
    assert.deepEqual((await readdir(folder)).sort(), BUILT);
    for (const name of BUILT) {
      const [made, kept] = await Promise.all([folder, DIST].map((place) => readFile(path.join(place, name))));
      assert.ok(made.equals(kept), `sdk/js/dist/${name} is not what its sources make: run \`node sdk/js/build.mjs\``);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('the shim has 4096 bytes at most', async () => {
  const shim = await readFile(path.join(DIST, 'resume-shim.js'));
  assert.ok(shim.length <= LONGEST_SHIM, `${shim.length} bytes`);
});

test('the built files need nothing else, and hold no path of a machine', async () => {
  for (const name of BUILT) {
    const text = await readFile(path.join(DIST, name), 'utf8');
    assert.doesNotMatch(text, /\brequire\(|^import /m, name);
    assert.doesNotMatch(text, /\/(home|root|work|tmp|Users)\//, name);
  }
});

test('the package holds the built files, and nothing else but what npm always packs', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: SDK });
  const [{ name, files }] = JSON.parse(stdout);
  assert.equal(name, 'offhook');
  const expected = ['LICENSE', 'README.md', 'package.json', ...BUILT.map((file) => `dist/${file}`)];
  assert.deepEqual(files.map((file) => file.path).sort(), expected.sort());
});

test('the package and the server have the same version', async () => {
  const { version } = JSON.parse(await readFile(path.join(SDK, 'package.json'), 'utf8'));
  const workspace = await readFile(path.join(SDK, '../../Cargo.toml'), 'utf8');
  assert.equal(/^version = "(.*)"$/m.exec(workspace)[1], version);
});
