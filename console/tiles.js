// The pictures of a call, and its sound: one video element for each stream of the other side, one for each own
// picture. It asks for no camera and holds no call.

import { isScreen, videoOf } from './line.js';
import { find, make } from './page.js';

export class Tiles {
  #remote = new Map();
  #own = new Map();
  #onHeldBack;

  /** `onHeldBack()` is told when the browser plays no sound before a gesture. */
  constructor({ onHeldBack }) {
    this.#onHeldBack = onHeldBack;
  }

  /** Shows what `line` sends and receives; nothing for null. True if a picture of the other side is there. */
  render(line) {
    const remote = line?.remoteStreams ?? [];
    const own = (line?.localStreams ?? []).filter(videoOf);
    this.#match(this.#remote, remote, find('tiles'), (stream) => this.#remoteTile(stream, line));
    this.#match(this.#own, own, find('own-tiles'), ownTile);
    let pictures = 0;
    for (const [stream, tile] of this.#remote) {
      const hasPicture = Boolean(videoOf(stream)) && !line.isHeld && !line.isHeldByOther;
      tile.classList.toggle('sound-only', !hasPicture);
      tile.ariaHidden = String(!hasPicture);
      pictures += hasPicture ? 1 : 0;
      // A held line is not heard, whatever still arrives.
      tile.muted = line.isHeld;
    }
    find('tiles').dataset.pictures = String(pictures);
    return pictures > 0;
  }

  /** Plays what the browser held back; to be called in a click. */
  async play() {
    await Promise.all([...this.#remote.values()].map((tile) => tile.play().catch(() => {})));
  }

  #remoteTile(stream, line) {
    const tile = make('video', {
      autoplay: true,
      playsInline: true,
      className: 'tile',
      'aria-label': `Picture of ${line.otherName}`,
    });
    tile.srcObject = stream;
    tile.play().catch((error) => {
      if (error.name === 'NotAllowedError') this.#onHeldBack();
    });
    return tile;
  }

  #match(tiles, streams, place, tileOf) {
    for (const [stream, tile] of tiles) {
      if (streams.includes(stream)) continue;
      tile.srcObject = null;
      tile.remove();
      tiles.delete(stream);
    }
    for (const stream of streams) {
      if (tiles.has(stream)) continue;
      const tile = tileOf(stream);
      tiles.set(stream, tile);
      place.append(tile);
    }
  }
}

function ownTile(stream) {
  const screen = isScreen(stream);
  const tile = make('video', {
    autoplay: true,
    playsInline: true,
    muted: true,
    className: screen ? 'own screen' : 'own',
  });
  tile.setAttribute('aria-label', screen ? 'The screen that you share' : 'Your own picture');
  tile.srcObject = stream;
  // A muted picture may always play; where it cannot, nothing is lost but the preview.
  tile.play().catch(() => {});
  return tile;
}
