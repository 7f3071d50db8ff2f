// Makes dist/ from src/. The same sources give the same bytes: nothing of time, machine or path goes in.
//   node build.mjs [folder]     (esbuild comes from tests/browser, where its version is pinned)
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = new URL('./', import.meta.url);
const { build } = createRequire(new URL('../../tests/browser/package.json', here))('esbuild');

/** The names of the resuming socket's record of state: in the shim, where bytes count, they are shortened. */
const STATE = new RegExp(
  `^(${[
    'outer',
    'native',
    'world',
    'phase',
    'inner',
    'plain',
    'live',
    'credential',
    'windowMs',
    'deadline',
    'attempts',
    'timer',
    'sent',
    'kept',
    'keptBytes',
    'received',
    'owed',
    'owedBytes',
    'stale',
    'changed',
    // Public, but nobody sets them in the shim.
    'silence',
    'patience',
  ].join('|')})$`,
);
const LONGEST_SHIM = 4096;

const { version } = JSON.parse(await readFile(new URL('package.json', here), 'utf8'));
const notice = `/*! offhook ${version} | MIT License | the sources are in sdk/js/src */`;
const target = process.argv[2] ? new URL(`file://${process.argv[2].replace(/\/?$/, '/')}`) : new URL('dist/', here);

const common = {
  absWorkingDir: fileURLToPath(here),
  bundle: true,
  charset: 'utf8',
  define: { OFFHOOK_VERSION: JSON.stringify(version) },
  legalComments: 'none',
  logLevel: 'warning',
  target: 'es2022',
  write: false,
};

async function bundled(entry, options) {
  const { outputFiles } = await build({ ...common, ...options, entryPoints: [`src/${entry}`] });
  // esbuild says which file each part comes from, by paths relative to this folder.
  return outputFiles[0].text;
}

const files = {
  'offhook.js': await bundled('index.js', { format: 'esm', banner: { js: notice } }),
  'offhook.classic.js': await bundled('classic.js', {
    format: 'iife',
    banner: { js: notice },
    define: { ...common.define, 'import.meta.url': 'document.currentScript.src' },
  }),
  'resume-shim.js': await bundled('resume_shim.js', {
    format: 'iife',
    minify: true,
    mangleProps: STATE,
    charset: 'ascii',
  }),
};
if (Buffer.byteLength(files['resume-shim.js']) > LONGEST_SHIM) {
  throw new Error(
    `resume-shim.js has ${Buffer.byteLength(files['resume-shim.js'])} bytes, ${LONGEST_SHIM} are allowed`,
  );
}
await mkdir(target, { recursive: true });
for (const [name, text] of Object.entries(files)) await writeFile(new URL(name, target), text);
await copyFile(new URL('src/offhook.d.ts', here), new URL('offhook.d.ts', target));
