import type { Engine, PortId } from '../datapath/index.js';
import { HomeLinkDefender, type HomeLinkDefenderOutput } from '../homelink/index.js';
import type { Address } from '../wire/index.js';
import type { HomeAgentConfig } from './config/schema.js';
import { Driver } from './driver.js';

/** What the home link tells: an address is unique or not, a home agent speaks. */
export type HomeLinkNews = Exclude<HomeLinkDefenderOutput, { type: 'frame' }>;

/** The home link of a Home Agent: where home addresses are probed and defended. */
export class HomeLink {
  readonly port: PortId;
  readonly #defender: HomeLinkDefender;
  readonly #driver: Driver<Parameters<HomeLinkDefender['handle']>[1], HomeLinkDefenderOutput>;

  /** @throws KagemushaError of the engine when the interface cannot be opened */
  constructor(
    engine: Engine,
    device: string,
    config: HomeAgentConfig,
    onNews: (news: HomeLinkNews) => void,
  ) {
    const { port, mac } = engine.openPacketPort(device);
    this.port = port;
    const { address, homePrefix } = config;
    this.#defender = new HomeLinkDefender({ mac, address, homePrefix, random: Math.random });
    this.#driver = new Driver(this.#defender, (output) => {
      if (output.type === 'frame') engine.transmit(port, output.bytes);
      else onNews(output);
    });
  }

  get drops(): ReadonlyMap<string, number> {
    return this.#defender.drops;
  }

  /** Announces the Home Agent's address. */
  start(): void {
    this.#driver.send({ type: 'start' });
  }

  onFrame(bytes: Uint8Array): void {
    this.#driver.send({ type: 'frame', bytes });
  }

  probe(address: Address): void {
    this.#driver.send({ type: 'probe', address });
  }

  defend(address: Address): void {
    this.#driver.send({ type: 'defend', address });
  }

  release(address: Address): void {
    this.#driver.send({ type: 'release', address });
  }

  /** Sends an IPv6 packet to a node that is back on the link. */
  transmit(destination: Address, bytes: Uint8Array): void {
    this.#driver.send({ type: 'packet', destination, bytes });
  }

  stop(): void {
    this.#driver.stop();
  }
}
