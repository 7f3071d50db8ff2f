// Makes the pictures of docs/images: the softphone page in its states, against the real server. Not a test: run it by
// hand (`OFFHOOK_BIN=… node screenshots.mjs [folder]`) when the page has changed, and look at what comes out.
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { eventually } from './harness/bounded.mjs';
import { launch } from './harness/browser.mjs';
import { Server } from './harness/server.mjs';
import { Tab } from './harness/softphone.mjs';

const FOLDER = process.argv[2] ?? fileURLToPath(new URL('../../docs/images/', import.meta.url));
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const LARGEST = 150 * 1024;

/** In place of the browser's test picture: somebody before a wall, in the colours of `person`. */
function camera(person) {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const stream = constraints.audio ? await ask({ audio: true }) : new MediaStream();
    if (!constraints.video) return stream;
    const canvas = Object.assign(document.createElement('canvas'), { width: 960, height: 540 });
    const paint = canvas.getContext('2d');
    const oval = (colour, ...shape) => {
      paint.fillStyle = colour;
      paint.beginPath();
      paint.ellipse(...shape, 0, 0, 2 * Math.PI);
      paint.fill();
    };
    const draw = () => {
      const sway = 6 * Math.sin(performance.now() / 900);
      paint.fillStyle = person.wall;
      paint.fillRect(0, 0, 960, 540);
      paint.fillStyle = person.shade;
      paint.fillRect(0, 0, 210, 540);
      paint.fillRect(690, 70, 170, 210);
      oval(person.coat, 480 + sway / 2, 560, 250, 210);
      oval(person.skin, 480 + sway, 255, 98, 122);
      oval(person.hair, 480 + sway, 175, 108, 72);
      oval(person.eyes, 445 + sway, 262, 8, 10);
      oval(person.eyes, 515 + sway, 262, 8, 10);
      oval(person.mouth, 480 + sway, 318, 30, 9);
      requestAnimationFrame(draw);
    };
    draw();
    stream.addTrack(canvas.captureStream(15).getVideoTracks()[0]);
    return stream;
  };
}

const OTTER = {
  wall: '#c9d8d0',
  shade: '#b4c7bd',
  coat: '#0e6a52',
  skin: '#d9a27e',
  hair: '#3d2b22',
  eyes: '#241813',
  mouth: '#a2584c',
};
const HERON = {
  wall: '#e3d5bd',
  shade: '#d3c2a4',
  coat: '#8a2733',
  skin: '#8f5d42',
  hair: '#1f1714',
  eyes: '#160f0c',
  mouth: '#6b2f2b',
};

const server = await Server.prepare([], { plain: true });
await server.start();
const browser = await launch(undefined, { whole: true });
const tabs = [];

async function open(name, person, { viewport = DESKTOP, colorScheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
  if (process.env.SOFTPHONE_FROM_TREE) await context.grantPermissions(['local-network-access', 'camera', 'microphone']);
  const tab = new Tab(await context.newPage());
  tabs.push(tab);
  await tab.load(`http://localhost:${server.port}/`, { scripts: [`(${camera})(${JSON.stringify(person)})`] });
  if (name) await tab.takeDemo(name);
  return tab;
}

async function closeAll() {
  await Promise.all(tabs.splice(0).map((tab) => tab.page.context().close()));
}

async function shoot(tab, name) {
  const file = path.join(FOLDER, `softphone-${name}.png`);
  await tab.page.mouse.move(0, 0);
  await tab.page.screenshot({ path: file });
  const { size } = await stat(file);
  console.log(`${name}: ${Math.ceil(size / 1024)} KiB${size > LARGEST ? ', too large for docs/images' : ''}`);
}

/** Two in a call; the first of them is the one to be looked at. */
async function talking(look, { video = false } = {}) {
  const [heron, otter] = [await open('amber-heron', HERON), await open('quiet-otter', OTTER, look)];
  await otter.button('Call amber-heron').waitFor();
  await otter.dial('amber-heron', { video });
  await heron.press(video ? 'Answer with video' : 'Answer');
  await Promise.all([otter.talks(), heron.talks()]);
  await otter.shows('Good line');
  // A call begins with a small picture, which grows.
  const sharp = () => otter.page.locator('#tiles video').evaluate(({ videoWidth }) => videoWidth >= 640);
  if (video) await eventually('the picture is sharp', sharp, 60_000);
  return { heron, otter };
}

const views = {
  async 'signed-out'(look) {
    return open(null, OTTER, look);
  },
  async idle(look) {
    const otter = await open('quiet-otter', OTTER, look);
    for (const other of ['amber-heron', 'bob', 'reception']) await open(other, HERON);
    await otter.button('Call reception').waitFor();
    return otter;
  },
  async ringing(look) {
    const [, otter] = [await open('amber-heron', HERON), await open('quiet-otter', OTTER, look)];
    await otter.button('Call amber-heron').waitFor();
    await otter.dial('amber-heron');
    await otter.shows('Ringing…');
    return otter;
  },
  async incoming(look) {
    const [heron, otter] = [await open('amber-heron', HERON), await open('quiet-otter', OTTER, look)];
    await heron.dial('quiet-otter', { video: true, note: 'About the garden gate' });
    await otter.incoming.waitFor();
    return otter;
  },
  async audio(look) {
    return (await talking(look)).otter;
  },
  async video(look) {
    return (await talking(look, { video: true })).otter;
  },
  async hold(look) {
    const { otter } = await talking(look);
    await otter.press('Hold');
    await otter.shows('On hold');
    return otter;
  },
  async keypad(look) {
    const { otter } = await talking(look);
    await otter.press('Keypad');
    await otter.page.keyboard.type('42#');
    return otter;
  },
  async ended(look) {
    const { heron, otter } = await talking(look);
    await heron.press('Hang up');
    await otter.ended();
    return otter;
  },
  async reconnecting(look) {
    const { otter } = await talking(look);
    await otter.page.context().setOffline(true);
    await server.stop('SIGKILL');
    await otter.shows('come back');
    return otter;
  },
  async test(look) {
    const otter = await open('quiet-otter', OTTER, look);
    await otter.press('Test connection');
    await otter.page.locator('#test-list li').first().waitFor();
    return otter;
  },
  async error(look) {
    const otter = await open(null, OTTER, look);
    await otter.page.getByLabel('Token', { exact: true }).fill('hello');
    await otter.press('Sign in');
    await otter.shows('This is not a token');
    return otter;
  },
};

const looks = [
  ['1280', { viewport: DESKTOP }],
  ['390', { viewport: PHONE }],
  ['1280-dark', { viewport: DESKTOP, colorScheme: 'dark' }],
  ['390-dark', { viewport: PHONE, colorScheme: 'dark' }],
];
/** Those that are kept in docs/images; with a folder of one's own, all are made. */
const KEPT = new Set([
  'signed-out-1280',
  'idle-1280',
  'incoming-390',
  'audio-1280',
  'audio-390-dark',
  'video-1280',
  'video-390',
  'ended-1280-dark',
]);

try {
  await mkdir(FOLDER, { recursive: true });
  for (const [state, view] of Object.entries(views)) {
    for (const [suffix, look] of looks) {
      const name = `${state}-${suffix}`;
      if (process.argv[2] === undefined && !KEPT.has(name)) continue;
      await shoot(await view(look), name);
      await closeAll();
      if (state === 'reconnecting') await server.start();
    }
  }
} finally {
  await browser.close();
  await server.discard();
}
