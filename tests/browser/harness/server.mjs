// The server under test: its store in a folder of its own, its accounts, its process, and its web services.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { bounded, Happenings } from './bounded.mjs';

const run = promisify(execFile);

export const CLOUD_ID = '1-2-0';
const READY = /^offhook serves (https?):\/\/(?:[0-9.]+|\[[0-9a-f:.]+\]):([0-9]+)$/;
const KEPT_LINES = 60;

export class Server {
  #binary;
  #folder;
  #settings;
  #plain;
  #listen;
  #environment;
  #process = null;
  #output = new Happenings();
  certificate;
  key;
  port;

  /**
   * Makes the folder and the certificate; nothing runs yet. `settings` are further words for `serve`; a `plain` server
   * has no certificate. It listens on loopback, and for TURN at any port; or at the address `listen`, and for TURN as
   * `settings` say. `environment`: variables that the process, and each command, gets besides our own. It may have the certificate
   * of a server that is `like` it, as those behind one balancer do.
   */
  static async prepare(settings, { plain = false, listen, environment = {}, like } = {}) {
    const binary = process.env.OFFHOOK_BIN;
    if (!binary) throw new Error('OFFHOOK_BIN names no server; `cargo xtask test browser` sets it');
    const server = new Server();
    server.#settings = listen ? settings : [...anyPort(plain), ...settings];
    server.#plain = plain;
    server.#environment = environment;
    server.#listen = listen ?? '127.0.0.1:0';
    server.#binary = path.resolve(binary);
    server.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-browser-'));
    await (like ? server.#takeCertificate(like) : server.#makeCertificate());
    return server;
  }

  async createAccount(username) {
    const account = await this.#json(['account', 'create', '--cloud-id', CLOUD_ID, '--username', username]);
    for (const field of ['cloud_id', 'username', 'api_key', 'webrtc_access_key']) {
      if (typeof account[field] !== 'string') throw new Error(`\`account create --json\` gave no ${field}`);
    }
    return account;
  }

  /** `offhook account disable` or `enable`. */
  setAccount({ cloud_id, username }, how) {
    return run(this.#binary, ['account', how, `${cloud_id}/${username}`, '--data', this.#data], this.#ours);
  }

  /** A token from the command line, where any lifetime is allowed. */
  async createToken(account, clientId, ttl) {
    const whose = `${account.cloud_id}/${account.username}`;
    const words = ['token', 'create', '--account', whose, '--client-id', clientId, '--ttl', String(ttl)];
    return (await this.#json(words)).token;
  }

  /** The records of the account's calls, the newest first. */
  calls(account) {
    return this.#json(['calls', 'list', '--account', `${account.cloud_id}/${account.username}`]);
  }

  /** What `offhook status` tells of the running process. */
  status() {
    return this.#json(['status']);
  }

  /** Starts the process and waits until it says where it serves. */
  async start() {
    const words = ['serve', '--data', this.#data, '--listen', this.#listen, ...this.#settings];
    if (!this.#plain) words.push('--tls-cert', this.#path('cert.pem'), '--tls-key', this.#path('key.pem'));
    const from = this.#output.all.length;
    const child = spawn(this.#binary, words, { stdio: ['ignore', 'pipe', 'pipe'], ...this.#ours });
    this.#process = child;
    const dieTogether = () => child.kill('SIGKILL');
    process.once('exit', dieTogether);
    child.once('exit', (code, signal) => {
      process.removeListener('exit', dieTogether);
      this.#output.add(`(ended: ${signal ?? code})`);
    });
    child.once('error', (error) => this.#output.add(`(ended: ${error.message})`));
    for (const stream of [child.stdout, child.stderr]) this.#keepLines(stream);

    const settled = (line) => READY.test(line) || line.startsWith('(ended');
    const { happening } = await this.#output.first('the server says where it serves', settled, { from, ms: 20_000 });
    const ready = READY.exec(happening);
    if (!ready) throw new Error(`the server did not start:\n${this.lastOutput()}`);
    if (ready[1] !== (this.#plain ? 'http' : 'https')) throw new Error(`not what was asked for: ${happening}`);
    this.port = Number(ready[2]);
  }

  /** The process does nothing any more, as one that hangs, until it is ended by SIGKILL. */
  hang() {
    this.#process.kill('SIGSTOP');
  }

  get isRunning() {
    return this.#process !== null;
  }

  /** Ends the process by `signal` and waits until it is gone; gives back how it ended. */
  async stop(signal = 'SIGTERM') {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    try {
      return await bounded(gone, `the server ends by ${signal}`, 15_000);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** Ends the process and starts it again where pages that are open will look for it. */
  async restart(signal) {
    await this.stop(signal);
    this.#listen = `127.0.0.1:${this.port}`;
    await this.start();
  }

  async discard() {
    try {
      await this.stop();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  /** As a page names it. */
  get origin() {
    return `${this.#plain ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** Where its certificate is. */
  get certificatePath() {
    return this.#path('cert.pem');
  }

  lastOutput() {
    return this.#output.all.slice(-KEPT_LINES).join('\n');
  }

  /** A token from the web service. */
  async token(account, clientId, { ttl, callClient, enableIncoming } = {}) {
    const form = new URLSearchParams({ client_id: clientId });
    if (ttl !== undefined) form.set('ttl', String(ttl));
    if (callClient !== undefined) form.set('call_client', callClient);
    if (enableIncoming !== undefined) form.set('enable_incoming', String(enableIncoming));
    const answer = await this.request('POST', '/webrtc_generate_token', {
      authorization: basic(account),
      type: 'application/x-www-form-urlencoded',
      body: form.toString(),
    });
    if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text).token;
  }

  /** The client ids that `webrtc_registered_clients` lists. */
  async registeredClients(account) {
    const answer = await this.request('GET', '/webrtc_registered_clients', { authorization: basic(account) });
    if (answer.status !== 200) throw new Error(`no list of clients: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  /** The answer of `/v1/turn_credentials`. */
  async turnCredentials(account, ttl) {
    const query = ttl === undefined ? '' : `?ttl_s=${ttl}`;
    const answer = await this.request('GET', `/v1/turn_credentials${query}`, { authorization: basic(account) });
    if (answer.status !== 200) throw new Error(`no TURN credentials: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  /** Makes a service, or replaces it: these clients ring, as `clients` says beside. */
  async putService(account, name, list, clients = {}) {
    const answer = await this.request('PUT', `/service/v1/inbound/${name}`, {
      authorization: basic(account),
      type: 'application/json',
      body: JSON.stringify({ clients: { list: list.map(({ id }) => id), ...clients } }),
    });
    if (![200, 201].includes(answer.status)) throw new Error(`no service: ${answer.status} ${answer.text}`);
  }

  /** Makes a service that this webhook answers for, and gives back the key that its requests are signed with. */
  async putApplication(account, name, webhook) {
    const page = (last) => ({ address: webhook.address(last) });
    const rest = { first_page: page('first'), final_page: page('final'), error_page: page('error') };
    const answer = await this.request('PUT', `/service/v1/inbound/${name}`, {
      authorization: basic(account),
      type: 'application/json',
      body: JSON.stringify({ rest }),
    });
    if (![200, 201].includes(answer.status)) throw new Error(`no service: ${answer.status} ${answer.text}`);
    const whose = `${account.cloud_id}/${account.username}`;
    return (await this.#json(['service', 'show', name, '--account', whose, '--secret'])).secret;
  }

  /** Has an application leave off what it does; `page` says what is next. */
  async interrupt(account, instance, page) {
    const form = new URLSearchParams({ application_instance_ids: instance });
    if (page) form.set('redirect_page', page);
    const answer = await this.request('POST', '/rest_interrupt', {
      authorization: basic(account),
      type: 'application/x-www-form-urlencoded',
      body: form.toString(),
    });
    if (answer.status !== 200) throw new Error(`not interrupted: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  /** Has the application of a service begin calls; the answer to the request. */
  async begin({ cloud_id, username }, service, secret, calls) {
    return this.request('POST', '/service_start', {
      authorization: basic({ cloud_id, username: `${username}/${service}`, api_key: secret }),
      type: 'application/x-www-form-urlencoded',
      body: new URLSearchParams({ rest_calls: JSON.stringify(calls) }).toString(),
    });
  }

  /** A file of the account's. */
  async file(account, name) {
    const answer = await this.request('GET', `/v1/files/${name}`, { authorization: basic(account) });
    if (answer.status !== 200) throw new Error(`no file ${name}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  request(method, target, { authorization, type, body } = {}) {
    const headers = {};
    if (authorization) headers.authorization = authorization;
    if (type) headers['content-type'] = type;
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body);
    const where = { host: '127.0.0.1', port: this.port, path: target, method, headers, ca: this.certificate, agent: false };
    const answered = new Promise((resolve, reject) => {
      const request = (this.#plain ? http : https).request(where, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: response.statusCode, headers: response.headers, text: bytes.toString(), body: bytes });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
    return bounded(answered, `${method} ${target} is answered`);
  }

  async #json(words) {
    const { stdout } = await run(this.#binary, [...words, '--data', this.#data, '--json'], this.#ours);
    return JSON.parse(stdout);
  }

  #keepLines(stream) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.#output.add(line);
    });
  }

  async #makeCertificate() {
    const names = ['IP:127.0.0.1', 'DNS:localhost', 'DNS:*.aculabcloud.net'];
    const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    words.push('-subj', '/CN=offhook browser tests', '-addext', `subjectAltName=${names}`);
    words.push('-keyout', this.#path('key.pem'), '-out', this.#path('cert.pem'));
    await run('openssl', words);
    this.certificate = await readFile(this.#path('cert.pem'));
    this.key = await readFile(this.#path('key.pem'));
  }

  async #takeCertificate({ certificate, key }) {
    Object.assign(this, { certificate, key });
    await writeFile(this.#path('cert.pem'), certificate);
    await writeFile(this.#path('key.pem'), key, { mode: 0o600 });
  }

  get #ours() {
    return { env: { ...process.env, ...this.#environment } };
  }

  get #data() {
    return this.#path('store');
  }

  #path(name) {
    return path.join(this.#folder, name);
  }
}

/**
 * TURN's own ports would be the same for every server on this machine. Its host is told as an address: with resolver rules
 * a browser finds no name but the SDK's, and those it does not find for TURN end Chromium's network process.
 */
function anyPort(plain) {
  const any = '127.0.0.1:0';
  return ['--turn-host', '127.0.0.1', '--turn-listen', any, ...(plain ? [] : ['--turn-tls-listen', any])];
}

/** The Authorization header of an account's web services. */
export function basic({ cloud_id, username, api_key }) {
  return `Basic ${Buffer.from(`${cloud_id}/${username}:${api_key}`).toString('base64')}`;
}

/** The claims of a token, unverified. */
export function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}
