// TLS for a SIPp that has none, as Debian builds it: what it says by TCP goes on by TLS, and the other way round. Changes nothing.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';

/** A certificate that vouches for itself, and its key. */
export class Identity {
  #folder;
  path;
  cert;
  key;

  /** For this name, as a certificate has it. */
  static async make(name = 'IP:127.0.0.1') {
    const identity = new Identity();
    identity.#folder = await mkdtemp(path.join(tmpdir(), 'offhook-peer-'));
    const at = (name) => path.join(identity.#folder, name);
    const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    words.push('-subj', '/CN=the peer of a trunk', '-addext', `subjectAltName=${name}`);
    words.push('-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', at('key.pem'), '-out', at('cert.pem'));
    await promisify(execFile)('openssl', words);
    identity.path = at('cert.pem');
    identity.cert = await readFile(identity.path);
    identity.key = await readFile(at('key.pem'));
    return identity;
  }

  discard() {
    return rm(this.#folder, { recursive: true, force: true });
  }
}

export class Tunnel {
  #listener;
  #sockets = new Set();

  /** From a port of its own, by TCP, into `address`, by TLS. */
  static async into(address) {
    const tunnel = new Tunnel();
    const [host, port] = address.split(':');
    tunnel.#listener = net.createServer((near) => {
      tunnel.#join(near, tls.connect({ host, port: Number(port), rejectUnauthorized: false }));
    });
    await tunnel.#listen(0);
    return tunnel;
  }

  /** From `port`, by TLS and as this identity, to `inner`, by TCP. */
  static async outOf(port, inner, { cert, key }) {
    const tunnel = new Tunnel();
    tunnel.#listener = tls.createServer({ cert, key }, (near) => {
      tunnel.#join(near, net.connect({ host: '127.0.0.1', port: inner }));
    });
    // Whoever does not like the certificate is nothing to tell.
    tunnel.#listener.on('tlsClientError', () => {});
    await tunnel.#listen(port);
    return tunnel;
  }

  get address() {
    return `127.0.0.1:${this.#listener.address().port}`;
  }

  close() {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #listen(port) {
    return new Promise((listening) => this.#listener.listen(port, '127.0.0.1', listening));
  }

  #join(near, far) {
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#keep(one);
      one.once('close', () => other.destroy());
      one.pipe(other);
    }
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
