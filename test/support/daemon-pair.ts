import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { loadHomeAgentConfig, loadHostConfig } from '../../src/daemon/config/load.js';
import type { GuestConfig } from '../../src/daemon/config/schema.js';
import { ROUTER_MAC } from '../../src/daemon/guest.js';
import { HomeAgentDaemon } from '../../src/daemon/home-agent-daemon.js';
import { HostDaemon } from '../../src/daemon/host-daemon.js';
import type { TunnelStatus } from '../../src/daemon/status.js';
import { MemoryStore } from '../../src/daemon/store/index.js';
import type { Engine, MemoryPort, MemoryUplink } from '../../src/datapath/index.js';
import { Drops } from '../../src/drops.js';
import type { Address, Icmpv6Message, Ipv6Packet } from '../../src/wire/index.js';
import {
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6,
  PROTOCOL,
  parseAddress,
  parsePacket,
  peekAddresses,
} from '../../src/wire/index.js';
import { eventually, ipv6 } from '../datapath/world.js';
import { icmpv6Frame, read } from './link-frames.js';
import { CARE_OF, GUEST_MAC, HOME_ADDRESS, HOME_AGENT } from './testbed-addresses.js';

/** A second mobile node of the Home Agent. */
export const OTHER_HOME = parseAddress('2001:db8:2000::11');
export const CORRESPONDENT = parseAddress('2001:db8:5::5');
/** A router on the way between host and Home Agent. */
export const ROUTER = parseAddress('2001:db8:ffff::1');

/** What the network between host and Home Agent does to outer packets. */
export interface Path {
  /** octets */
  mtu: number;
  /** whether its router says Packet Too Big */
  icmp: boolean;
}

/** What crossed the network, or did not. */
export interface Crossing {
  readonly from: 'host' | 'agent';
  readonly bytes: Uint8Array;
  readonly arrived: boolean;
}

const silent = pino({ level: 'silent' });

/** A packet of the guest's in its frame. */
export function guestFrame(payload: Uint8Array): Uint8Array {
  return emitEthernet({
    destination: ROUTER_MAC,
    source: GUEST_MAC,
    etherType: ETHERTYPE_IPV6,
    payload,
  });
}

/** An ICMPv6 message as an IPv6 packet. */
export function icmpv6(source: Address, destination: Address, message: Icmpv6Message): Uint8Array {
  const payload = emitIcmpv6(message, { source, destination });
  return ipv6(source, destination, PROTOCOL.icmpv6, payload);
}

/**
 * A host with one guest and a Home Agent, both daemons whole, with devices in memory; between them a path that can be narrow and
 * silent, behind the Home Agent the world.
 */
export class DaemonPair {
  readonly stores: { readonly host: MemoryStore; readonly agent: MemoryStore };
  readonly host: HostDaemon;
  readonly agent: HomeAgentDaemon;
  readonly path: Path = { mtu: 1500, icmp: true };
  readonly crossed: Crossing[] = [];
  /** What the Home Agent's kernel would have routed elsewhere. */
  readonly world: Uint8Array[] = [];
  #hostUplink: MemoryUplink | undefined;
  #agentUplink: MemoryUplink | undefined;
  #guest: MemoryPort | undefined;
  /** Guests' ports that were opened. */
  portsOpened = 0;
  readonly hostFile: string;
  readonly #carrying: NodeJS.Timeout;

  /**
   * @param directory for configurations @param lines of TOML for [host], [home_agent] and [[guest]]; a port there that is a stream
   * of QEMU's is opened as one @param stores of daemons before these
   */
  constructor(
    directory: string,
    lines: { host?: string; agent?: string; guest?: string } = {},
    stores = { host: new MemoryStore(), agent: new MemoryStore() },
  ) {
    this.stores = stores;
    this.hostFile = join(directory, 'host.toml');
    this.host = this.#openHost(lines.host ?? '', lines.guest);
    this.agent = this.#openAgent(join(directory, 'agent.toml'), lines.agent ?? '');
    this.#carrying = setInterval(() => this.#carry(), 1);
    this.agent.start();
    this.host.start();
  }

  async close(): Promise<void> {
    clearInterval(this.#carrying);
    this.host.close();
    await this.agent.close();
  }

  get guestStatus() {
    const [guest] = this.host.status().guests;
    if (guest === undefined) throw new Error('no guest');
    return guest;
  }

  get binding() {
    return this.agent.status().bindings.find(({ homeAddress }) => homeAddress === HOME_ADDRESS);
  }

  /** Waits until both ends have the tunnel, and the host knows where its guest is. */
  async registered(): Promise<void> {
    const target = HOME_ADDRESS;
    const told = { router: false, solicited: false, override: true } as const;
    this.fromGuest(
      icmpv6Frame({
        source: HOME_ADDRESS,
        destination: parseAddress('ff02::1'),
        message: { kind: 'neighbor-advertisement', target, options: [], ...told },
      }),
    );
    await eventually('a registration', () =>
      this.guestStatus.binding.state === 'registered' && this.binding?.tunnel !== undefined
        ? true
        : undefined,
    );
  }

  /** Waits for the path MTU that both ends find in the end, at most `less` octets below this one. */
  async settled(pathMtu: number, less = 0): Promise<void> {
    const found = (tunnel: TunnelStatus | undefined) =>
      tunnel?.state === 'confirmed' &&
      tunnel.pathMtu <= pathMtu &&
      tunnel.pathMtu >= pathMtu - less;
    await eventually(`a path MTU of ${pathMtu}`, () =>
      found(this.guestStatus.tunnel) && found(this.binding?.tunnel) ? true : undefined,
    );
  }

  fromGuest(frame: Uint8Array): void {
    this.#guest?.inject(frame);
  }

  /** The next ICMPv6 message for the guest that `wanted` takes. */
  async toGuest(wanted: (message: Icmpv6Message) => boolean): Promise<ReturnType<typeof read>> {
    return await eventually('a message for the guest', () => {
      for (let bytes = this.#guest?.take(); bytes; bytes = this.#guest?.take()) {
        if (bytes[14 + 6] !== PROTOCOL.icmpv6) continue;
        const frame = read(bytes);
        if (wanted(frame.message)) return frame;
      }
      return undefined;
    });
  }

  /** A packet that reaches the host, or the Home Agent, from anywhere. */
  inject(at: 'host' | 'agent', packet: Uint8Array): void {
    (at === 'host' ? this.#hostUplink : this.#agentUplink)?.inject(packet);
  }

  /** The first packet of this protocol that left the Home Agent for the world. */
  async toWorld(protocol: number = PROTOCOL.icmpv6): Promise<Ipv6Packet> {
    return await eventually('a packet to the world', () =>
      this.world.map((bytes) => parsePacket(bytes)).find((packet) => packet.protocol === protocol),
    );
  }

  #openHost(lines: string, guest = 'port = { kind = "tap", device = "kgtap0" }'): HostDaemon {
    writeFileSync(
      this.hostFile,
      `[host]\n${lines}
[[guest]]
name = "vm1"
home_addresses = ["${HOME_ADDRESS}"]
home_prefix = "2001:db8:2000::/64"
home_agent = "${HOME_AGENT}"
care_of_address = "${CARE_OF}"
${guest}
[guest.security]
kind = "none"
`,
    );
    const devices = {
      openUplink: (engine: Engine) => {
        this.#hostUplink = engine.openMemoryUplink();
        return undefined;
      },
      openPort: (engine: Engine, { port }: GuestConfig) => {
        this.portsOpened += 1;
        if (port.kind === 'qemu-stream') {
          return engine.openStream(port.path, { localMac: ROUTER_MAC });
        }
        this.#guest = engine.openMemoryPort({ localMac: ROUTER_MAC });
        return this.#guest.port;
      },
    };
    const config = loadHostConfig(this.hostFile);
    return new HostDaemon(config, this.stores.host, new Drops(), new Map(), silent, devices);
  }

  #openAgent(path: string, lines: string): HomeAgentDaemon {
    const nodes = [HOME_ADDRESS, OTHER_HOME].map(
      (address) =>
        `[[mobile_node]]\nhome_address = "${address}"\n[mobile_node.security]\nkind = "none"\n`,
    );
    writeFileSync(
      path,
      `[home_agent]
address = "${HOME_AGENT}"
home_prefix = "2001:db8:2000::/64"
virtual_home_link = true
${lines}
${nodes.join('')}`,
    );
    const routes = {
      addHomeRoute: async () => {},
      removeHomeRoute: async () => {},
      settled: async () => {},
    };
    const config = loadHomeAgentConfig(path);
    return new HomeAgentDaemon(config, this.stores.agent, new Drops(), routes, silent, (engine) => {
      this.#agentUplink = engine.openMemoryUplink();
    });
  }

  #carry(): void {
    for (let bytes = this.#hostUplink?.take(); bytes; bytes = this.#hostUplink?.take()) {
      this.#cross('host', bytes);
    }
    for (let bytes = this.#agentUplink?.take(); bytes; bytes = this.#agentUplink?.take()) {
      if (peekAddresses(bytes)?.destination === CARE_OF) this.#cross('agent', bytes);
      else this.world.push(bytes);
    }
  }

  #cross(from: 'host' | 'agent', bytes: Uint8Array): void {
    const arrived = bytes.length <= this.path.mtu;
    this.crossed.push({ from, bytes, arrived });
    if (arrived) this.inject(from === 'host' ? 'agent' : 'host', bytes);
    else if (this.path.icmp) this.inject(from, this.tooBig(bytes, this.path.mtu));
  }

  /** What the router on the way says about a packet. */
  tooBig(bytes: Uint8Array, mtu: number): Uint8Array {
    const source = peekAddresses(bytes)?.source ?? ROUTER;
    return icmpv6(ROUTER, source, { kind: 'packet-too-big', mtu, quoted: bytes.slice(0, 1232) });
  }
}
