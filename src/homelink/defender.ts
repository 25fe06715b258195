import { Drops } from '../drops.js';
import { ANY_MAC, MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER } from '../link/constants.js';
import { carriesNonce, makeNonce, probeOf } from '../link/duplicates.js';
import { icmpv6Frame, receiveFrame, receiveIcmpv6 } from '../link/frame.js';
import { MldListener, readMldQuery } from '../link/mld-listener.js';
import { isNdp, ndpFault, senderMac } from '../link/ndp-rules.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Mac, NdpMessage, Prefix } from '../wire/index.js';
import {
  ALL_NODES,
  contains,
  ETHERTYPE_IPV6,
  emitEthernet,
  isLinkLocal,
  isUnspecified,
  solicitedNode,
  UNSPECIFIED,
} from '../wire/index.js';
import type { HomeAgentAdvertisement } from './home-agent-advertisement.js';
import { homeAgentAdvertisement } from './home-agent-advertisement.js';
import { NeighborSender } from './neighbor-sender.js';

export interface HomeLinkDefenderConfig {
  /** of the home agent's interface on the home link */
  readonly mac: Mac;
  /** the home agent's own, defended always */
  readonly address: Address;
  readonly homePrefix: Prefix;
  /** 0 <= r < 1 */
  readonly random: () => number;
}

export type HomeLinkDefenderEvent =
  | { readonly type: 'start' }
  /** Is this address unique on the link (RFC 4862 5.4)? Answered by `unique` or `duplicate`. */
  | { readonly type: 'probe'; readonly address: Address }
  /** Announce it as ours and answer for it until `release`. */
  | { readonly type: 'defend'; readonly address: Address }
  | { readonly type: 'release'; readonly address: Address }
  /** An IPv6 packet to a node that is back on the link, whatever address of it we defend. */
  | { readonly type: 'packet'; readonly destination: Address; readonly bytes: Uint8Array }
  /** An Ethernet frame from the home link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  | { readonly type: 'tick' };

export type HomeLinkDefenderOutput =
  /** An Ethernet frame to the home link. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array }
  | { readonly type: 'unique'; readonly address: Address }
  | { readonly type: 'duplicate'; readonly address: Address }
  /** A router of the link speaks: a home agent, or one no more. */
  | ({ readonly type: 'router-advertisement' } & HomeAgentAdvertisement);

type Defence =
  | { readonly kind: 'probing'; readonly until: Millis; readonly nonce: Uint8Array }
  | { readonly kind: 'announcing'; readonly announceAt: Millis; readonly left: number }
  | { readonly kind: 'defending' };

function deadline(defence: Defence): Millis | undefined {
  switch (defence.kind) {
    case 'probing':
      return defence.until;
    case 'announcing':
      return defence.announceAt;
    case 'defending':
      return undefined;
  }
}

type Solicitation = Extract<NdpMessage, { kind: 'neighbor-solicitation' }>;

/**
 * The home agent on the home link: proves home addresses unique, and then stands in for the nodes that are away
 * (RFC 6275 10.4.1).
 */
export class HomeLinkDefender {
  /** Frames without effect, by reason. Neighbor Discovery between other nodes is none of our business, nor counted. */
  readonly drops = new Drops();

  readonly #config: HomeLinkDefenderConfig;
  readonly #defences = new Map<Address, Defence>();
  /** addresses whose solicited-node groups are joined: from the probe, or the defence, to the release */
  readonly #joined = new Set<Address>();
  /** nothing is due before; may be too early, never too late */
  #deadline: Millis | undefined;
  readonly #listener: MldListener;
  readonly #sender: NeighborSender;
  readonly #outputs: HomeLinkDefenderOutput[] = [];

  constructor(config: HomeLinkDefenderConfig) {
    this.#config = config;
    this.#listener = new MldListener(config.mac, config.random, (bytes) =>
      this.#outputs.push({ type: 'frame', bytes }),
    );
    this.#sender = new NeighborSender({
      solicit: (address) => this.#solicit(address),
      deliver: (mac, bytes) => this.#deliver(mac, bytes),
    });
  }

  /** The next thing to do, until undefined. */
  poll(): HomeLinkDefenderOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    return earliest(this.#deadline, this.#listener.wakeAt(), this.#sender.wakeAt());
  }

  handle(now: Millis, event: HomeLinkDefenderEvent): void {
    switch (event.type) {
      case 'start':
        this.#defend(now, this.#config.address);
        break;
      case 'probe':
        this.#probe(now, event.address);
        break;
      case 'defend':
        this.#defend(now, event.address);
        break;
      case 'release':
        if (event.address !== this.#config.address) this.#release(now, event.address);
        break;
      case 'packet':
        if (!this.#sender.send(now, event.destination, event.bytes)) {
          this.drops.count('home_sender_full');
        }
        break;
      case 'frame': {
        const reason = this.#frame(now, event.bytes);
        if (reason !== undefined) this.drops.count(reason);
        break;
      }
      case 'tick':
        break;
    }
    this.#advance(now);
  }

  #set(address: Address, defence: Defence): void {
    this.#defences.set(address, defence);
    this.#deadline = earliest(this.#deadline, deadline(defence));
  }

  /** RFC 4861 7.2.1: solicitations for an address go to its group. */
  #join(now: Millis, address: Address): void {
    if (this.#joined.has(address)) return;
    this.#joined.add(address);
    this.#listener.join(now, solicitedNode(address));
  }

  #release(now: Millis, address: Address): void {
    this.#defences.delete(address);
    if (this.#joined.delete(address)) this.#listener.leave(now, solicitedNode(address));
  }

  #advance(now: Millis): void {
    this.#listener.advance(now);
    this.#sender.advance(now);
    if (this.#deadline === undefined || now < this.#deadline) return;
    for (const [address, defence] of [...this.#defences]) {
      const at = deadline(defence);
      if (at === undefined || now < at) continue;
      if (defence.kind === 'probing') {
        // Its defence or its release follows: its group is not left in between.
        this.#defences.delete(address);
        this.#outputs.push({ type: 'unique', address });
      } else if (defence.kind === 'announcing') {
        this.#announce(now, address, defence.left);
      }
    }
    this.#deadline = earliest(...[...this.#defences.values()].map(deadline));
  }

  /** RFC 4862 5.4.2 with DupAddrDetectTransmits 1: one solicitation from nobody, then RetransTimer of silence. */
  #probe(now: Millis, address: Address): void {
    if (this.#defences.get(address)?.kind === 'probing') return;
    if (!contains(this.#config.homePrefix, address) && !isLinkLocal(address)) {
      this.drops.count('probe_off_link');
      return;
    }
    if (this.#defences.has(address)) {
      // What we hold nobody else has; our own address is not to be had at all.
      const type = address === this.#config.address ? 'duplicate' : 'unique';
      this.#outputs.push({ type, address });
      return;
    }
    // RFC 4862 5.4.2: before the solicitation, or the answer may not come this far.
    this.#join(now, address);
    const nonce = makeNonce(this.#config.random);
    this.#send(UNSPECIFIED, solicitedNode(address), ANY_MAC, probeOf(address, nonce));
    this.#set(address, { kind: 'probing', until: now + RETRANS_TIMER, nonce });
  }

  #defend(now: Millis, address: Address): void {
    this.#join(now, address);
    this.#announce(now, address, MAX_NEIGHBOR_ADVERTISEMENT);
  }

  /** RFC 6275 10.4.1: to all nodes, unsolicited, with Override, so that caches change over; repeated, as it may be lost. */
  #announce(now: Millis, address: Address, left: number): void {
    this.#advertise(address, ALL_NODES, ANY_MAC, false);
    this.#set(
      address,
      left > 1
        ? { kind: 'announcing', announceAt: now + RETRANS_TIMER, left: left - 1 }
        : { kind: 'defending' },
    );
  }

  /** RFC 6275 10.4.1: the mobile node's address, our link-layer address, Override set, not a router. */
  #advertise(target: Address, destination: Address, mac: Mac, solicited: boolean): void {
    this.#send(this.#config.address, destination, mac, {
      kind: 'neighbor-advertisement',
      router: target === this.#config.address,
      solicited,
      override: true,
      target,
      options: [{ kind: 'target-link-layer-address', mac: this.#config.mac }],
    });
  }

  #solicit(target: Address): void {
    this.#send(this.#config.address, solicitedNode(target), ANY_MAC, {
      kind: 'neighbor-solicitation',
      target,
      options: [{ kind: 'source-link-layer-address', mac: this.#config.mac }],
    });
  }

  #deliver(destination: Mac, payload: Uint8Array): void {
    const { mac: source } = this.#config;
    const bytes = emitEthernet({ destination, source, etherType: ETHERTYPE_IPV6, payload });
    this.#outputs.push({ type: 'frame', bytes });
  }

  #send(source: Address, destination: Address, mac: Mac, message: NdpMessage): void {
    const bytes = icmpv6Frame({
      sourceMac: this.#config.mac,
      destinationMac: mac,
      source,
      destination,
      message,
    });
    this.#outputs.push({ type: 'frame', bytes });
  }

  /** Gives the reason why the frame had no effect, if that is worth counting. */
  #frame(now: Millis, bytes: Uint8Array): string | undefined {
    const received = receiveFrame(bytes);
    if (typeof received === 'string') return received;
    const { ethernet, packet } = received;
    if (ethernet.source === this.#config.mac) return 'own_source';
    const message = receiveIcmpv6(packet);
    if (typeof message === 'string') return message;
    if (message === undefined) return undefined;
    const query = readMldQuery(packet, message);
    if (typeof query === 'string') return query;
    if (query !== undefined) {
      this.#listener.query(now, query);
      return undefined;
    }
    if (!isNdp(message)) return undefined;
    const fault = ndpFault(packet, message);
    if (fault !== undefined) return fault;
    if (message.kind === 'neighbor-solicitation') {
      const mac = senderMac(message) ?? ethernet.source;
      return this.#solicited(packet.source, mac, message);
    }
    if (message.kind === 'neighbor-advertisement') {
      const mac = senderMac(message) ?? ethernet.source;
      if (this.#sender.advertised(message.target, mac)) return undefined;
      return this.#claimed(message.target);
    }
    if (message.kind === 'router-advertisement') {
      const heard = homeAgentAdvertisement(packet.source, message);
      this.#outputs.push({ type: 'router-advertisement', ...heard });
    }
    return undefined;
  }

  #solicited(source: Address, mac: Mac, message: Solicitation): string | undefined {
    const { target } = message;
    const defence = this.#defences.get(target);
    if (defence === undefined) return undefined;
    const anonymous = isUnspecified(source);
    if (defence.kind === 'probing') {
      // RFC 7527 4.2: our own question, that a loop of the link brings back, says nothing.
      if (carriesNonce(message, defence.nonce)) return 'own_source';
      // RFC 4862 5.4.3: somebody else probes it too, then neither may have it. A question by others is ignored.
      if (anonymous) this.#duplicate(target);
    } else if (anonymous) {
      this.#advertise(target, ALL_NODES, ANY_MAC, false);
    } else {
      this.#advertise(target, source, mac, true);
    }
    return undefined;
  }

  /** RFC 4862 5.4.4: an advertisement for an address that we probe: it is in use. */
  #claimed(target: Address): string | undefined {
    const defence = this.#defences.get(target);
    if (defence === undefined) return undefined;
    if (defence.kind !== 'probing') return 'address_conflict';
    this.#duplicate(target);
    return undefined;
  }

  #duplicate(address: Address): void {
    this.#defences.delete(address);
    this.#outputs.push({ type: 'duplicate', address });
  }
}
