// The network of a test: the server's room, which is the network namespace that the test itself runs in, and rooms of
// clients, each with one cable to the server's and to nobody else. It has addresses of the documentation networks alone.
//
// Never touches the machine's own network. A room is held open by a process that ends with the test, however that ends; the
// kernel takes cables and addresses away with it, so nothing is ever left over.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { bounded } from '../../browser/harness/bounded.mjs';

const run = promisify(execFile);

/** Of this, relayed addresses are taken: the rooms have no way to it, unless they are given one. */
export const RELAY = { v4: '203.0.113.1', v6: '2001:db8:f::1' };

/** The first room's cable, and the second's. */
const CABLES = [
  { v4: '192.0.2', v6: '2001:db8:a:' },
  { v4: '198.51.100', v6: '2001:db8:b:' },
];

export class Network {
  rooms = [];
  #added = [];

  /** Makes `count` rooms. With `knowRelays` there is a way from them to the relayed addresses, as for peers of the world. */
  static async build(count = 2, { knowRelays = false } = {}) {
    await assertOwnNamespace();
    const network = new Network();
    try {
      await network.#prepare();
      for (const [place, cable] of CABLES.slice(0, count).entries()) {
        const room = await Room.open();
        network.rooms.push(room);
        await network.#lay(room, cable, `room${place}`, knowRelays);
      }
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  /** Gives the server's room another address of its own. */
  async add(address) {
    const prefix = address.includes('/') ? '' : address.includes(':') ? '/128' : '/32';
    const nodad = address.includes(':') ? ' nodad' : '';
    await ip([`address add ${address}${prefix} dev lo${nodad}`]);
    this.#added.push(`address delete ${address}${prefix} dev lo`);
  }

  /** Lets no longer IP packet than this pass between the server's room and this one. */
  async narrow(room, bytes) {
    await ip([`link set room${this.rooms.indexOf(room)} mtu ${bytes}`]);
    await ip([`link set eth0 mtu ${bytes}`], room);
  }

  async remove() {
    // The kernel would take the cables away by itself, but a moment later.
    await Promise.all(this.rooms.map((_, place) => unplug(`room${place}`)));
    await Promise.all(this.rooms.map((room) => room.close()));
    if (this.#added.length > 0) await ip(this.#added.splice(0));
  }

  async #prepare() {
    await ip(['link set lo up']);
    for (const address of Object.values(RELAY)) await this.add(address);
    // Nobody passes through the server's room: what gets from room to room, offhook has carried.
    await writeFile('/proc/sys/net/ipv4/ip_forward', '0');
    await writeFile('/proc/sys/net/ipv6/conf/all/forwarding', '0');
  }

  async #lay(room, { v4, v6 }, name, knowRelays) {
    room.server = { v4: `${v4}.1`, v6: `${v6}:1` };
    room.own = { v4: `${v4}.2`, v6: `${v6}:2` };
    await unplug(name);
    await ip([
      `link add ${name} type veth peer name eth0 netns ${room.pid}`,
      `address add ${room.server.v4}/24 dev ${name}`,
      `address add ${room.server.v6}/64 dev ${name} nodad`,
      `link set ${name} up`,
    ]);
    const inside = [
      'link set lo up',
      `address add ${room.own.v4}/24 dev eth0`,
      `address add ${room.own.v6}/64 dev eth0 nodad`,
      'link set eth0 up',
    ];
    if (knowRelays) inside.push(`route add ${RELAY.v4} via ${room.server.v4}`, `route add ${RELAY.v6} via ${room.server.v6}`);
    await ip(inside, room);
  }
}

/** One namespace of a client. */
export class Room {
  #holder;
  #ended;
  #folder;
  /** The server's addresses as this room reaches them, and the room's own. */
  server;
  own;

  static async open() {
    const room = new Room();
    // It ends when its input is closed, and that happens even if this process is killed.
    room.#holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'pipe', 'pipe'] });
    room.#ended = new Promise((resolve) => room.#holder.once('close', resolve));
    let complaint = '';
    room.#holder.stderr.on('data', (text) => (complaint += text));
    room.#holder.stdin.on('error', () => {});
    const echoed = new Promise((resolve, reject) => {
      room.#holder.stdout.once('data', resolve);
      room.#holder.once('error', reject);
      room.#ended.then(() => reject(new Error(`no network namespace can be made, which takes CAP_SYS_ADMIN: ${complaint}`)));
    });
    room.#holder.stdin.write('here\n');
    await bounded(echoed, 'a network namespace is made');
    return room;
  }

  get pid() {
    return this.#holder.pid;
  }

  /** The words that run a command in here. */
  inside(words) {
    return [...this.entry, ...words];
  }

  /** What stands before a command that runs in here. */
  get entry() {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, '--'];
  }

  /**
   * A program that is another one in here, where `names` mean the server: for whoever starts programs and takes no words
   * before their name.
   */
  async portal(program, names) {
    this.#folder ??= await mkdtemp(path.join(tmpdir(), 'offhook-room-'));
    const [script, hosts] = [path.basename(program), 'hosts'].map((name) => path.join(this.#folder, name));
    // Chromium looks names of TURN servers up with a dot behind them.
    const known = names.flatMap((name) => [name, `${name}.`]);
    await writeFile(hosts, `127.0.0.1 localhost\n${this.server.v4} ${known.join(' ')}\n`);
    const there = this.inside(['unshare', '--mount', 'sh', '-c']).join(' ');
    const act = `mount --bind ${hosts} /etc/hosts && exec ${program} "$@"`;
    await writeFile(script, `#!/bin/sh\nexec ${there} '${act}' sh "$@"\n`, { mode: 0o755 });
    return script;
  }

  /** How many datagrams have arrived in here, on whichever address and port, wanted or not. */
  async udpPackets() {
    const [program, ...words] = this.inside(['cat', '/proc/net/snmp', '/proc/net/snmp6']);
    const { stdout } = await run(program, words);
    const [names, values] = [...stdout.matchAll(/^Udp: (.*)$/gm)].map(([, line]) => line.split(' '));
    const v4 = ['InDatagrams', 'NoPorts', 'InErrors'].map((name) => Number(values[names.indexOf(name)]));
    const v6 = [...stdout.matchAll(/^Udp6(?:InDatagrams|NoPorts|InErrors)\s+(\d+)$/gm)].map(([, value]) => Number(value));
    return [...v4, ...v6].reduce((sum, count) => sum + count, 0);
  }

  async close() {
    this.#holder.stdin.destroy();
    await this.#ended;
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Runs commands of `ip`, here or in a room. */
async function ip(lines, room) {
  const words = ['ip', '-batch', '-'];
  const [program, ...rest] = room ? room.inside(words) : words;
  const running = run(program, rest);
  running.child.stdin.end(`${lines.join('\n')}\n`);
  await running;
}

/** Takes a cable away that may be there. */
async function unplug(name) {
  await run('ip', ['link', 'delete', name]).catch(() => {});
}

/** Nothing here may be tried on the network that others use. */
async function assertOwnNamespace() {
  const table = await readFile('/proc/self/net/dev', 'utf8');
  const names = [...table.matchAll(/^ *([^\s:]+):/gm)].map(([, name]) => name);
  // The kernel puts its own tunnels into every namespace.
  const foreign = names.filter((name) => !/^(lo|room\d|tunl0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|sit0|ip6tnl0|ip6gre0)$/.test(name));
  if (foreign.length > 0) {
    const cure = 'run `cargo xtask test turn`, or `unshare --net node --test …`';
    throw new Error(`these tests want a network namespace of their own, and this one has ${foreign.join(', ')}: ${cure}`);
  }
}
