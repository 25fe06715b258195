import type { Engine, PortId } from '../datapath/index.js';
import { HomeComing, type HomeComingEvent, type HomeComingOutput } from '../homelink/index.js';
import type { Address, Ipv6Packet, Mac } from '../wire/index.js';
import { Driver } from './driver.js';
import { run } from './ip-route.js';

/** The home link that this host is on, and the guest's link-layer address there. */
export interface HomeLinkConfig {
  readonly device: string;
  readonly mac: Mac;
}

/** A guest on its home link (RFC 6275 11.5.5): the way of its signaling, and the announcement that it is back. */
export class GuestAtHome {
  readonly port: PortId;
  readonly #engine: Engine;
  readonly #link: HomeLinkConfig;
  readonly #machine: HomeComing;
  readonly #driver: Driver<HomeComingEvent, HomeComingOutput>;

  /**
   * @param onPacket what comes for a home address and is no Neighbor Discovery
   * @throws KagemushaError of the engine when the link cannot be opened
   */
  constructor(
    engine: Engine,
    link: HomeLinkConfig,
    homeAddresses: readonly Address[],
    onPacket: (packet: Ipv6Packet) => void,
  ) {
    this.#engine = engine;
    this.#link = link;
    this.port = engine.openPacketPort(link.device, { signaling: true, promiscuous: true }).port;
    this.#machine = new HomeComing({ mac: link.mac, homeAddresses });
    this.#driver = new Driver(this.#machine, (output) => {
      if (output.type === 'frame') engine.transmit(this.port, output.bytes);
      else onPacket(output.packet);
    });
  }

  get drops(): ReadonlyMap<string, number> {
    return this.#machine.drops;
  }

  onFrame(bytes: Uint8Array): void {
    this.#driver.send({ type: 'frame', bytes });
  }

  /** Sends an IPv6 packet from a home address to its home agent. */
  transmit(homeAgent: Address, bytes: Uint8Array): void {
    this.#driver.send({ type: 'packet', homeAgent, bytes });
  }

  /** The home address is the guest's again. */
  announce(address: Address): void {
    this.#driver.send({ type: 'announce', address });
    void this.#tellKernel(address);
  }

  /** It comes from a network where it had a link-layer address of its host's for these. */
  expectNeighbours(addresses: readonly Address[]): void {
    this.#driver.send({ type: 'neighbours', addresses });
  }

  /** The guest leaves. */
  left(): void {
    this.#driver.send({ type: 'left' });
  }

  /**
   * What we send on the link does not reach this host's own kernel. Where it has an entry for the guest, that one changes over too;
   * without the right to (CAP_NET_ADMIN) it finds out by itself in some seconds (RFC 4861 7.3.3).
   */
  async #tellKernel(address: Address): Promise<void> {
    const { device, mac } = this.#link;
    const entry = [address, 'lladdr', mac, 'dev', device, 'nud', 'stale'];
    await run(['ip', '-6', 'neighbour', 'change', ...entry]).catch(() => {});
  }

  stop(): void {
    this.#driver.stop();
    this.#engine.closePort(this.port);
  }
}
