// Waiting: for something that happens, and never for longer than was said. The only timers of these tests are here.

export const PATIENCE_MS = 10_000;

/** Settles as `promise` does, or fails after `ms` with a sentence that says what did not happen. */
export async function bounded(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until the answer is true (or an object), and gives it back. */
export async function eventually(what, ask, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    last = await ask();
    if (last) return last;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((next) => setTimeout(next, 25));
  }
}

/** Does something again and again, as a clock of media does, until what it gives back is called. */
export function every(ms, act) {
  const timer = setInterval(act, ms);
  return () => clearInterval(timer);
}

/** A list that only grows, and that can be waited on. */
export class Happenings {
  all = [];
  #waiting = new Set();

  add(happening) {
    this.all.push(happening);
    for (const look of [...this.#waiting]) look();
  }

  /** The first that fits, from the place `from` on; with its own place. */
  async first(what, fits, { from = 0, ms = PATIENCE_MS } = {}) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const place = this.all.findIndex((happening, index) => index >= from && fits(happening));
        if (place >= 0) resolve({ place, happening: this.all[place] });
      };
    });
    this.#waiting.add(look);
    look();
    try {
      return await bounded(found, what, ms);
    } finally {
      this.#waiting.delete(look);
    }
  }
}
