// The shim: lets pages of the unmodified SDK run against offhook, and lets their calls survive a lost connection. It
// wraps the global WebSocket before the SDK loads: sockets to the SDK's built-in hosts go to our server and are
// resumable. It touches no other socket and nothing else of the page.
import { ResumingSocket } from './resuming_socket.js';

const BUILT_IN = /^wss?:\/\/webrtc-\d+-\d+-\d+\.aculabcloud\.net(?::\d+)?(\/.*)?$/i;

const tag = document.currentScript;
const server = new URL(tag.dataset.server || new URL(tag.src).origin, location);
const base = server.origin.replace('http', 'ws') + server.pathname.replace(/\/$/, '');
const Native = WebSocket;

// To be an instance of WebSocket without being a broken one: every member of its prototype is replaced by our own.
Object.setPrototypeOf(ResumingSocket.prototype, Native.prototype);

globalThis.WebSocket = new Proxy(Native, {
  construct(target, words, newTarget) {
    const found = BUILT_IN.exec(words[0]);
    return found ? new ResumingSocket(base + (found[1] ?? '/'), Native) : Reflect.construct(target, words, newTarget);
  },
});
