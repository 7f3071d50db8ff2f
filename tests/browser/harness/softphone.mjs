// The softphone page as a person has it: a tab that is read by roles and names, and driven by click and key. One
// plain server on loopback, with demo mode, and one browser for a file; tabs of its own for each scenario.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { eventually, PATIENCE_MS } from './bounded.mjs';
import { launch } from './browser.mjs';
import { Server } from './server.mjs';

const LONGEST_MS = 60_000;
const CONSOLE = new URL('../../../console/', import.meta.url);
const SDK = new URL('../../../sdk/js/dist/', import.meta.url);
/** For whoever writes the page: its files as they are in the tree, and not as they were built into the server. */
const FROM_TREE = Boolean(process.env.SOFTPHONE_FROM_TREE);
const DESKTOP = { width: 1280, height: 800 };

/**
 * Prepares a file's server and browser; gives back `scenario(title, body)`, whose body gets a Street to open tabs
 * in.
 */
export function street({ settings = [], username } = {}) {
  const props = { server: null, browser: null, account: null };
  before(
    async () => {
      props.server = await Server.prepare(settings, { plain: true });
      if (username) props.account = await props.server.createAccount(username);
      await props.server.start();
      props.browser = await launch(undefined, { whole: true });
    },
    { timeout: LONGEST_MS },
  );
  after(
    async () => {
      await props.browser?.close();
      await props.server?.discard();
    },
    { timeout: LONGEST_MS },
  );
  let count = 0;
  return (title, body) =>
    test(title, { timeout: LONGEST_MS }, async () => {
      count += 1;
      const scene = new Street(props, count);
      try {
        await body(scene);
        scene.assertClean();
      } catch (error) {
        console.log(`--- ${title}: what the tabs show and said\n${await scene.story()}`);
        console.log(`--- the server's last words\n${props.server.lastOutput()}\n---`);
        throw error;
      } finally {
        await scene.close();
      }
    });
}

/** Where the tabs of one scenario are. */
class Street {
  #props;
  #count;
  #tabs = [];

  constructor(props, count) {
    this.#props = props;
    this.#count = count;
  }

  get server() {
    return this.#props.server;
  }

  get account() {
    return this.#props.account;
  }

  /** A client id that no other scenario has. */
  id(name) {
    return `${name}-${this.#count}`;
  }

  /** Opens the page; `scripts` run before its own, `library` is served in place of the real one. */
  async open({ query = '', viewport = DESKTOP, scripts = [], library, ...look } = {}) {
    const context = await this.#props.browser.newContext({ viewport, reducedMotion: 'reduce', ...look });
    // A page that does not come over the wire counts as a stranger's, which may not reach loopback.
    if (FROM_TREE) await context.grantPermissions(['local-network-access', 'camera', 'microphone']);
    const tab = new Tab(await context.newPage());
    this.#tabs.push(tab);
    await tab.load(`http://localhost:${this.server.port}/${query}`, { scripts, library });
    return tab;
  }

  /** Opens the page and takes a demo client. */
  async demo(name, options) {
    const tab = await this.open(options);
    await tab.takeDemo(this.id(name));
    return tab;
  }

  /** Two who are in a call, `caller` having called `callee`; nobody has a camera on unless `video`. */
  async call({ video = false } = {}) {
    const [callee, caller] = await Promise.all([this.demo('bob'), this.demo('alice')]);
    await caller.dial(callee.id, { video });
    await callee.press(video ? 'Answer with video' : 'Answer');
    await Promise.all([caller.talks(), callee.talks()]);
    return { caller, callee };
  }

  /** Nobody broke the Content-Security-Policy, and no script failed. */
  assertClean() {
    for (const tab of this.#tabs) assert.deepEqual(tab.complaints, []);
  }

  async story() {
    const stories = await Promise.all(this.#tabs.map((tab) => tab.story()));
    return stories.join('\n');
  }

  async close() {
    await Promise.all(this.#tabs.map((tab) => tab.page.context().close()));
  }
}

/** One tab with the page in it. */
export class Tab {
  page;
  id = '?';
  complaints = [];

  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.complaints.push(`page error: ${error.stack}`));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`console: ${message.text()} (${message.location().url})`);
    });
  }

  async load(address, { scripts, library }) {
    await this.page.exposeFunction('complain', (words) => this.complaints.push(words));
    await this.page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) => {
        window.complain(`CSP: ${violatedDirective} by ${blockedURI} in ${sourceFile}`);
      });
    });
    for (const script of scripts) await this.page.addInitScript(script);
    if (FROM_TREE) await this.#fromTree();
    if (library) await this.#serve('**/sdk/offhook.js', library);
    await this.page.goto(address);
    await this.heading('Pick up and talk.').waitFor();
  }

  /** Takes a demo client, by one click. */
  async takeDemo(name) {
    await this.page.getByLabel('Name').fill(name);
    await this.press('Try it: demo client');
    this.id = name;
    await this.shows('Can be called');
  }

  /** Types whom to call, and calls. */
  async dial(id, { video = false, note } = {}) {
    await this.page.getByLabel('Client id').fill(id);
    if (note !== undefined) {
      await this.page.getByText('Send a note along').click();
      await this.page.getByLabel('Note', { exact: true }).fill(note);
    }
    await this.button(video ? 'Video call' : 'Call')
      .first()
      .click();
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  heading(name) {
    return this.page.getByRole('heading', { name });
  }

  /** The panel of a call that comes in. */
  get incoming() {
    return this.page.getByRole('alertdialog');
  }

  press(name) {
    return this.button(name).click();
  }

  /** Waits until a text can be seen. */
  shows(text) {
    return this.page.getByText(text, { exact: false }).filter({ visible: true }).first().waitFor();
  }

  /** Waits until the call is up. */
  talks() {
    return this.page
      .getByRole('timer')
      .filter({ hasText: /\d:\d\d/ })
      .waitFor();
  }

  /** Waits until the last call's end is shown, and gives back the reason. */
  async ended() {
    await this.page.locator('#ended').waitFor();
    return this.page.locator('#ended-reason').innerText();
  }

  /** Whether this button is pressed in. */
  async isPressed(name) {
    return (await this.button(name).getAttribute('aria-pressed')) === 'true';
  }

  /** Waits until the picture with this label grows by frames. */
  async seesMoving(label) {
    const picture = this.page.locator('video:not([aria-hidden=true])').and(this.page.getByLabel(label)).first();
    await picture.waitFor();
    const frames = () => picture.evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
    const before = await frames();
    await eventually(`${this.id} sees ${label} move`, async () => (await frames()) > before + 3);
  }

  /** Waits until no picture of the other side is shown. */
  async seesNothing() {
    await eventually(
      `${this.id} sees no picture`,
      async () => (await this.page.locator('#tiles').getAttribute('data-pictures')) === '0',
    );
  }

  /** What has arrived as sound so far: { energy, seconds }. */
  sound() {
    return this.page.evaluate(async () => {
      let heard = { energy: 0, seconds: 0 };
      for (const connection of window.connections ?? []) {
        for (const report of (await connection.getStats()).values()) {
          if (report.type !== 'inbound-rtp' || report.kind !== 'audio') continue;
          heard = {
            energy: heard.energy + report.totalAudioEnergy,
            seconds: heard.seconds + report.totalSamplesDuration,
          };
        }
      }
      return heard;
    });
  }

  /** Waits until something is heard that was not heard before. */
  async hears() {
    const before = await this.sound();
    await eventually(`${this.id} hears something`, async () => (await this.sound()).energy > before.energy + 1e-4);
  }

  /** Waits until nothing at all was heard for `seconds` of played sound. */
  async hearsNothing(seconds = 2.5) {
    let from = await this.sound();
    await eventually(`${this.id} hears nothing`, async () => {
      const now = await this.sound();
      if (now.energy > from.energy + 1e-6) from = now;
      return now.seconds > from.seconds + seconds;
    });
  }

  async story() {
    const seen = await this.page
      .locator('body')
      .ariaSnapshot()
      .catch((error) => `(${error.message})`);
    return `--- ${this.id}\n${seen}\n${this.complaints.join('\n')}`;
  }

  /** The files of the tree, with the headers of the server. */
  async #fromTree() {
    await this.page.route(/\/(console\/[a-z_]+\.(js|css|svg))?(\?.*)?$/, async (route) => {
      const name = new URL(route.request().url()).pathname.replace(/^\/(console\/)?/, '') || 'index.html';
      await route.fulfill({ response: await route.fetch(), body: await readFile(new URL(name, CONSOLE)) });
    });
    await this.#serve('**/sdk/offhook.js', await readFile(new URL('offhook.js', SDK)));
  }

  #serve(pattern, body) {
    return this.page.route(pattern, (route) => route.fulfill({ contentType: 'text/javascript', body }));
  }
}

/** Keeps every RTCPeerConnection of the page for those who ask what arrives. */
export function keepConnections() {
  window.connections = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...given) {
      super(...given);
      window.connections.push(this);
    }
  };
}
