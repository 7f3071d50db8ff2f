// A program that speaks, for `--speech-command`: a text becomes two seconds of a tone, and which one its letters say.
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const [RATE, SECONDS] = [8_000, 2];

/** The words for `--speech-command`. */
export const SPEECH_COMMAND = `${process.execPath} ${fileURLToPath(import.meta.url)}`;

/** The frequency of a text. */
export function pitch(words) {
  return 420 + 60 * ([...Buffer.from(words)].reduce((sum, byte) => sum + byte, 0) % 35);
}

function wav(hz) {
  const samples = Int16Array.from({ length: RATE * SECONDS }, (_, at) => 8_000 * Math.sin((2 * Math.PI * hz * at) / RATE));
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.byteLength, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer)]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(wav(pitch(await text(process.stdin))));
