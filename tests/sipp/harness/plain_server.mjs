// The server under test, without TLS, as SIPp's bridge needs it: one account, its SIP domain, its clients' tokens.
import { CLOUD_ID, Server } from '../../browser/harness/server.mjs';

export class PlainServer {
  #server;
  #account;

  /** Makes a store with one account, starts the process and waits until it says where it serves. */
  static async start() {
    const plain = new PlainServer();
    plain.#server = await Server.prepare([], { plain: true });
    try {
      plain.#account = await plain.#server.createAccount('a@b.c');
      await plain.#server.start();
    } catch (error) {
      await plain.stop();
      throw error;
    }
    return plain;
  }

  get port() {
    return this.#server.port;
  }

  /** The SIP domain of the account, as existing clients build it. */
  get domain() {
    return `${this.#account.webrtc_access_key}.webrtc-${CLOUD_ID}.aculabcloud.net`;
  }

  /** A token of the client from the web service; `permissions` as `Server.token` takes them. */
  token(clientId, permissions) {
    return this.#server.token(this.#account, clientId, permissions);
  }

  lastOutput() {
    return this.#server.lastOutput();
  }

  /** Ends the process and removes its store. */
  stop() {
    return this.#server.discard();
  }
}
