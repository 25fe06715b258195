import {
  Engine,
  type MemoryPort,
  type MemoryUplink,
  type SlowPathKind,
} from '../../src/datapath/index.js';
import {
  type Address,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitPacket,
  type Ipv6Packet,
  type Mac,
  PROTOCOL,
  parseAddress,
  parseMac,
  upperLayerChecksum,
} from '../../src/wire/index.js';

export const HOME = parseAddress('2001:db8:2000::10');
export const OTHER_HOME = parseAddress('2001:db8:2000::11');
export const AGENT = parseAddress('2001:db8:2000::1');
export const CARE_OF = parseAddress('2001:db8:3000::44');
export const OTHER_CARE_OF = parseAddress('2001:db8:4000::44');
export const FAR = parseAddress('2001:db8:5::5');
export const LINK_LOCAL = parseAddress('fe80::10');
export const GROUP = parseAddress('ff0e::1');
export const ROUTER_MAC: Mac = parseMac('02:00:00:00:00:01');
export const GUEST_MAC: Mac = parseMac('02:00:00:00:00:10');
export const MTU = 1460;

/** The virtio_net_hdr of a TCP train in a frame or, with `start` 40, in a bare packet. */
export function tcpTrain(start: number, gsoSize: number) {
  return {
    flags: 1,
    gsoType: 4,
    gsoSize,
    headerLength: 0,
    checksumStart: start,
    checksumOffset: 16,
  };
}

export function ipv6(
  source: Address,
  destination: Address,
  protocol: number,
  payload: Uint8Array,
  more: Partial<Ipv6Packet> = {},
): Uint8Array {
  const base = { trafficClass: 0, flowLabel: 0, hopLimit: 64, extensions: [] };
  return emitPacket({ ...base, source, destination, protocol, payload, ...more });
}

/** A UDP packet; `size` is of its data. */
export function udp(source: Address, destination: Address, size = 32): Uint8Array {
  const datagram = new Uint8Array(8 + size).fill(0x5a);
  new DataView(datagram.buffer).setUint16(4, datagram.length);
  datagram.set([0, 0], 6);
  const sum = upperLayerChecksum({ source, destination }, PROTOCOL.udp, datagram);
  new DataView(datagram.buffer).setUint16(6, sum);
  return ipv6(source, destination, PROTOCOL.udp, datagram);
}

/** A TCP packet with ACK set. `partial`: the checksum field holds the pseudo-header's sum, as with NEEDS_CSUM. */
export function tcp(
  source: Address,
  destination: Address,
  sequence: number,
  data: Uint8Array,
  partial = false,
): Uint8Array {
  const segment = new Uint8Array(20 + data.length);
  const view = new DataView(segment.buffer);
  view.setUint16(0, 40000);
  view.setUint16(2, 443);
  view.setUint32(4, sequence);
  view.setUint32(8, 77);
  segment[12] = 5 << 4;
  segment[13] = 0x10;
  view.setUint16(14, 501);
  segment.set(data, 20);
  const sum = upperLayerChecksum({ source, destination }, PROTOCOL.tcp, segment);
  // Of the pseudo-header alone: the checksum of an empty segment of the same length, uncomplemented.
  const empty = new Uint8Array(segment.length);
  const pseudo = ~upperLayerChecksum({ source, destination }, PROTOCOL.tcp, empty) & 0xffff;
  view.setUint16(16, partial ? pseudo : sum);
  return ipv6(source, destination, PROTOCOL.tcp, segment);
}

export function tunnelled(
  source: Address,
  destination: Address,
  inner: Uint8Array,
  flowLabel = 0,
): Uint8Array {
  return ipv6(source, destination, PROTOCOL.ipv6, inner, { flowLabel });
}

export function frame(packet: Uint8Array, etherType = ETHERTYPE_IPV6): Uint8Array {
  return emitEthernet({ destination: ROUTER_MAC, source: GUEST_MAC, etherType, payload: packet });
}

/** Waits until `probe` gives something, or gives up after twenty seconds. */
export async function eventually<T>(what: string, probe: () => T | undefined): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const result = probe();
    if (result !== undefined) return result;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export interface Received {
  kind: SlowPathKind;
  port?: number;
  tunnelSlot?: number;
  mtu?: number;
  bytes: Uint8Array;
  originalLength: number;
}

/** The next slow-path packet, copied out of the ring and released. */
export async function received(engine: Engine): Promise<Received> {
  return await eventually('a slow-path packet', () => {
    const packet = engine.receive();
    if (!packet) return undefined;
    const { release, ...fields } = packet;
    const copy = { ...fields, bytes: packet.bytes.slice() };
    release();
    return copy;
  });
}

/** A host whose guest has one home address; no tunnel yet when `bound` is false. */
export class Host {
  readonly engine = new Engine({ maxPorts: 8, maxTunnels: 8 });
  readonly guest: MemoryPort = this.engine.openMemoryPort({ localMac: ROUTER_MAC });
  readonly network: MemoryUplink = this.engine.openMemoryUplink();

  constructor(bound = true) {
    if (bound) this.bind();
  }

  bind(careOf = CARE_OF): void {
    this.engine.publish({
      tunnels: [
        {
          slot: 1,
          side: 'mobile-node',
          local: careOf,
          remote: AGENT,
          homeAddresses: [HOME],
          port: this.guest.port,
          mtu: MTU,
        },
      ],
      locals: [{ address: careOf, side: 'mobile-node' }],
    });
    this.engine.setPeerMac(this.guest.port, GUEST_MAC);
  }
}

/** A home agent with two bindings. What its kernel routes, and the network, are both behind `network`. */
export class Agent {
  readonly engine = new Engine({ maxPorts: 8, maxTunnels: 8 });
  readonly network: MemoryUplink = this.engine.openMemoryUplink();

  constructor() {
    const tunnel = { side: 'home-agent', local: AGENT, mtu: MTU } as const;
    this.engine.publish({
      tunnels: [
        { ...tunnel, slot: 1, remote: CARE_OF, homeAddresses: [HOME] },
        { ...tunnel, slot: 2, remote: OTHER_CARE_OF, homeAddresses: [OTHER_HOME] },
      ],
      locals: [{ address: AGENT, side: 'home-agent' }],
    });
  }
}
