import type { SlowPathPacket } from '../datapath/index.js';
import type { Drops } from '../drops.js';
import {
  packetTooBig,
  parameterProblem,
  probeReply,
  quotedTunnelPacket,
  readProbe,
  relayedError,
  timeExceeded,
} from '../tunnel/index.js';
import {
  type Address,
  emitIcmpv6Packet,
  type Icmpv6Error,
  type Icmpv6Message,
  type Ipv6Packet,
  peekAddresses,
} from '../wire/index.js';
import type { HomeTunnel, HomeTunnels } from './home-tunnels.js';
import type { QuotingMessage, TunnelServices } from './tunnel-path.js';

/** IPv6 and ICMPv6 error headers. */
const ERROR_HEADERS = 48;

/**
 * ICMPv6 around the tunnels of a Home Agent: errors about what does not get into one, errors from the paths of the outer packets
 * (RFC 2473 8), and the probes of path MTU discovery.
 */
export class HomeIcmp {
  readonly #address: Address;
  readonly #tunnels: HomeTunnels;
  readonly #services: Pick<TunnelServices, 'engine' | 'limits'>;
  readonly #drops: Drops;

  /** @param address the Home Agent's, which errors come from */
  constructor(
    address: Address,
    tunnels: HomeTunnels,
    services: Pick<TunnelServices, 'engine' | 'limits'>,
    drops: Drops,
  ) {
    this.#address = address;
    this.#tunnels = tunnels;
    this.#services = services;
    this.#drops = drops;
  }

  /** What the engine did not carry, and whose source is to hear of it; false: a packet of another kind. */
  onRefused({ kind, tunnelSlot, bytes, mtu = 0 }: SlowPathPacket): boolean {
    const tunnel = this.#tunnels.withSlot(tunnelSlot);
    switch (kind) {
      case 'too-big':
        this.#tell(tunnel, packetTooBig(bytes, mtu));
        return true;
      case 'hop-limit':
        this.#tell(tunnel, timeExceeded(bytes));
        return true;
      case 'encapsulation-limit':
        this.#tell(tunnel, parameterProblem(bytes, mtu));
        return true;
      default:
        return false;
    }
  }

  /** A message to the Home Agent's address from outside: true when it is an error, which counts when it quotes a packet of a tunnel. */
  onError(message: Icmpv6Message): boolean {
    if (!('quoted' in message)) return false;
    this.#onPathError(message);
    return true;
  }

  #onPathError(error: QuotingMessage): void {
    const { engine, limits } = this.#services;
    const remote = peekAddresses(error.quoted)?.destination;
    if (remote === undefined) {
      this.#drops.count('quote_truncated');
      return;
    }
    const ends = { local: this.#address, remote };
    const quoted = quotedTunnelPacket(error.quoted, ends, (inner) => engine.flowLabel(inner));
    if (typeof quoted === 'string') {
      this.#drops.count(quoted);
      return;
    }
    const inner = peekAddresses(quoted.inner);
    const tunnel = inner && this.#tunnels.to(inner.destination);
    if (tunnel?.path.ends.remote !== remote) {
      this.#drops.count('quote_not_ours');
      return;
    }
    const disbelief = tunnel.path.onError(error, quoted.outerLength);
    if (disbelief !== undefined) this.#drops.count(disbelief);
    // Probes and answers are ours: nobody else is to hear of them.
    else if (inner?.source !== this.#address) {
      this.#tell(tunnel, relayedError(error, quoted.inner, limits.overhead));
    }
  }

  /** A packet to the Home Agent out of a tunnel: true when it is a probe, or the answer to one. */
  onProbe(packet: Ipv6Packet): boolean {
    const probe = readProbe(packet);
    if (probe === undefined || probe.destination !== this.#address) return false;
    const path = this.#tunnels.to(probe.source)?.path;
    if (path === undefined) this.#drops.count('probe_not_ours');
    else if (probe.kind === 'reply') path.answered(probe.token);
    else {
      path.hasten();
      path.transmit(probeReply(probe, path.room));
    }
    return true;
  }

  /** Sends an error to where the packet came from. @param tunnel on whose account */
  #tell(tunnel: HomeTunnel | undefined, error: Icmpv6Error | string): void {
    if (typeof error === 'string') this.#drops.count(error);
    else if (tunnel === undefined) this.#drops.count('error_no_tunnel');
    else if (error.destination === this.#address) this.#drops.count('error_own_packet');
    else if (!tunnel.errors.take()) this.#drops.count('icmpv6_error_limited');
    else {
      // To a node that is away, by its own tunnel.
      const back = this.#tunnels.to(error.destination)?.path;
      if (back !== undefined) back.transmit(this.#packet(error, back.room));
      else this.#services.engine.transmit('uplink', this.#packet(error));
    }
  }

  /** @param room octets that the packet may have; errors about large packets are as large as may be */
  #packet({ destination, message }: Icmpv6Error, room = Number.POSITIVE_INFINITY): Uint8Array {
    const cut =
      'quoted' in message
        ? { ...message, quoted: message.quoted.subarray(0, room - ERROR_HEADERS) }
        : message;
    return emitIcmpv6Packet(cut, { source: this.#address, destination });
  }
}
