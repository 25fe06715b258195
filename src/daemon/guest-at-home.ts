import type { Engine, PortId } from '../datapath/index.js';
import { HomeComing, type HomeComingEvent, type HomeComingOutput } from '../homelink/index.js';
import type { Address, Ipv6Packet, Mac } from '../wire/index.js';
import { Driver } from './driver.js';

/** The home link that this host is on, and the guest's link-layer address there. */
export interface HomeLinkConfig {
  readonly device: string;
  readonly mac: Mac;
}

/** A guest on its home link (RFC 6275 11.5.5): the way of its signaling, and the announcement that it is back. */
export class GuestAtHome {
  readonly port: PortId;
  readonly #engine: Engine;
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
  }

  stop(): void {
    this.#driver.stop();
    this.#engine.closePort(this.port);
  }
}
