import { Drops } from '../drops.js';
import { ANY_MAC, MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER } from '../link/constants.js';
import { icmpv6Frame, receiveFrame, receiveIcmpv6 } from '../link/frame.js';
import { isNdp, ndpFault, senderMac } from '../link/ndp-rules.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Ipv6Packet, Mac, NdpMessage } from '../wire/index.js';
import {
  ALL_NODES,
  ETHERTYPE_IPV6,
  emitEthernet,
  isUnspecified,
  multicastMac,
  solicitedNode,
  UNSPECIFIED,
} from '../wire/index.js';
import { NeighborSender } from './neighbor-sender.js';

export interface HomeComingConfig {
  /** The guest's: on the home link it speaks for itself again. */
  readonly mac: Mac;
  readonly homeAddresses: readonly Address[];
}

export type HomeComingEvent =
  /** An IPv6 packet from a home address to the home agent, to be sent on the home link. */
  | { readonly type: 'packet'; readonly homeAgent: Address; readonly bytes: Uint8Array }
  /** The home agent has let go of this address: it is the guest's again. */
  | { readonly type: 'announce'; readonly address: Address }
  /** Whom the guest has a link-layer address for that is not theirs: it was its host's on the network that it comes from. */
  | { readonly type: 'neighbours'; readonly addresses: readonly Address[] }
  /** The guest leaves: what is still to be announced would be a duplicate to a home agent that is to defend it (RFC 4862 5.4.4). */
  | { readonly type: 'left' }
  /** An Ethernet frame from the home link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  | { readonly type: 'tick' };

export type HomeComingOutput =
  /** An Ethernet frame to the home link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  /** What is no Neighbor Discovery and addressed to a home address: the home agent's answer, perhaps. */
  | { readonly type: 'packet'; readonly packet: Ipv6Packet };

/** So many are looked for. */
const MAX_NEIGHBOURS = 65;

interface Announcement {
  readonly at: Millis;
  readonly left: number;
}

/**
 * A guest that is back on its home link, where the home agent still answers for it (RFC 6275 11.5.5): brings the
 * de-registration to the home agent without using the home address in Neighbor Discovery, and claims the home addresses with
 * Override once the home agent has let go of them.
 */
export class HomeComing {
  /** Frames without effect, by reason. */
  readonly drops = new Drops();

  readonly #config: HomeComingConfig;
  readonly #homeAddresses: ReadonlySet<Address>;
  readonly #sender: NeighborSender;
  /** link-layer addresses of home agents that were sought */
  readonly #homeAgents = new Map<Address, Mac>();
  readonly #announcements = new Map<Address, Announcement>();
  readonly #neighbours = new Set<Address>();
  readonly #outputs: HomeComingOutput[] = [];

  constructor(config: HomeComingConfig) {
    this.#config = config;
    this.#homeAddresses = new Set(config.homeAddresses);
    this.#sender = new NeighborSender({
      // From nobody, for the home address is not ours yet; the answer then comes to all nodes.
      solicit: (target) =>
        this.#send(UNSPECIFIED, solicitedNode(target), ANY_MAC, {
          kind: 'neighbor-solicitation',
          target,
          options: [],
        }),
      deliver: (mac, bytes) => this.#deliver(mac, bytes),
    });
  }

  /** The next thing to do, until undefined. */
  poll(): HomeComingOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return earliest(
      this.#sender.wakeAt(),
      ...[...this.#announcements.values()].map(({ at }) => at),
    );
  }

  handle(now: Millis, event: HomeComingEvent): void {
    switch (event.type) {
      case 'packet':
        this.#packet(now, event.homeAgent, event.bytes);
        break;
      case 'announce':
        if (this.#homeAddresses.has(event.address)) {
          this.#findNeighbours(event.address);
          this.#announcements.set(event.address, { at: now, left: MAX_NEIGHBOR_ADVERTISEMENT });
        }
        break;
      case 'neighbours':
        for (const address of event.addresses) {
          if (this.#neighbours.size < MAX_NEIGHBOURS) this.#neighbours.add(address);
        }
        break;
      case 'left':
        this.#announcements.clear();
        this.#neighbours.clear();
        break;
      case 'frame': {
        const reason = this.#frame(event.bytes);
        if (reason !== undefined) this.drops.count(reason);
        break;
      }
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  #advance(now: Millis): void {
    for (const [address, { at, left }] of [...this.#announcements]) {
      if (now < at) continue;
      this.#claim(address, ALL_NODES, ANY_MAC, false);
      if (left > 1) this.#announcements.set(address, { at: now + RETRANS_TIMER, left: left - 1 });
      else this.#announcements.delete(address);
    }
    for (let lost = this.#sender.advance(now); lost > 0; lost -= 1) {
      this.drops.count('home_agent_unresolved');
    }
  }

  #packet(now: Millis, homeAgent: Address, bytes: Uint8Array): void {
    const known = this.#homeAgents.get(homeAgent);
    if (known !== undefined) this.#deliver(known, bytes);
    else this.#sender.send(now, homeAgent, bytes);
  }

  #deliver(destination: Mac, payload: Uint8Array): void {
    const { mac: source } = this.#config;
    const bytes = emitEthernet({ destination, source, etherType: ETHERTYPE_IPV6, payload });
    this.#outputs.push({ type: 'frame', bytes });
  }

  #send(source: Address, destination: Address, mac: Mac, message: NdpMessage): void {
    const sourceMac = this.#config.mac;
    const bytes = icmpv6Frame({ sourceMac, destinationMac: mac, source, destination, message });
    this.#outputs.push({ type: 'frame', bytes });
  }

  /**
   * Asks for them in the guest's name: the answers go to the guest, and have Override set (RFC 4861 7.2.4), so that it knows where they
   * are. Its own entries would be good for half a minute more, and it would speak to nobody.
   */
  #findNeighbours(address: Address): void {
    for (const target of this.#neighbours) {
      if (this.#homeAddresses.has(target)) continue;
      this.#send(address, solicitedNode(target), multicastMac(solicitedNode(target)), {
        kind: 'neighbor-solicitation',
        target,
        options: [{ kind: 'source-link-layer-address', mac: this.#config.mac }],
      });
    }
    this.#neighbours.clear();
  }

  /** A Neighbor Advertisement with the guest's own link-layer address and Override set. */
  #claim(target: Address, destination: Address, mac: Mac, solicited: boolean): void {
    this.#send(target, destination, mac, {
      kind: 'neighbor-advertisement',
      router: false,
      solicited,
      override: true,
      target,
      options: [{ kind: 'target-link-layer-address', mac: this.#config.mac }],
    });
  }

  /** Gives the reason why the frame had no effect, if that is worth counting. */
  #frame(bytes: Uint8Array): string | undefined {
    const received = receiveFrame(bytes);
    if (typeof received === 'string') return received;
    const { ethernet, packet } = received;
    const message = receiveIcmpv6(packet);
    if (typeof message === 'string') return message;
    if (message === undefined || !isNdp(message)) {
      if (this.#homeAddresses.has(packet.destination))
        this.#outputs.push({ type: 'packet', packet });
      return undefined;
    }
    const fault = ndpFault(packet, message);
    if (fault !== undefined) return fault;
    const mac = senderMac(message) ?? ethernet.source;
    if (message.kind === 'neighbor-advertisement') this.#learn(message.target, mac);
    if (message.kind === 'neighbor-solicitation')
      this.#solicited(packet.source, mac, message.target);
    return undefined;
  }

  #learn(target: Address, mac: Mac): void {
    if (this.#sender.advertised(target, mac) || this.#homeAgents.has(target)) {
      this.#homeAgents.set(target, mac);
    }
  }

  /**
   * RFC 6275 11.5.5: the home agent may ask for the home address before it answers; a guest that is still being resumed does not hear
   * it.
   */
  #solicited(source: Address, mac: Mac, target: Address): void {
    if (!this.#homeAddresses.has(target) || isUnspecified(source)) return;
    const fromHomeAgent = [...this.#homeAgents.values()].includes(mac);
    if (fromHomeAgent) this.#claim(target, source, mac, true);
  }
}
