import type { Engine, SignalerSpec } from '../datapath/index.js';
import type { HomeAddressPolicy, Protection } from '../signaling/index.js';
import type { Address } from '../wire/index.js';
import type { HomeAgentConfig, MobileNodeConfig } from './config/schema.js';
import { protectionOf } from './protection.js';
import { sameSecurity } from './same-security.js';
import type { Store } from './store/index.js';
import { TunnelSlots } from './tunnel-slots.js';

interface Served {
  readonly config: MobileNodeConfig;
  readonly protection: Protection;
  /** of the engine's policing; undefined for those beyond its room, who share one lane */
  readonly index: number | undefined;
}

/** The mobile nodes that a Home Agent lists: their protection, and what the engine expects of them. */
export class ServedNodes {
  readonly #address: Address;
  readonly #store: Store;
  readonly #engine: Pick<Engine, 'expectSequence'>;
  readonly #indexes: TunnelSlots;
  readonly #room: number;
  #served = new Map<Address, Served>();

  /** @param room signalers that the engine has room for */
  constructor(
    address: Address,
    engine: Pick<Engine, 'expectSequence'>,
    store: Store,
    room: number,
  ) {
    this.#address = address;
    this.#engine = engine;
    this.#store = store;
    this.#room = room;
    this.#indexes = new TunnelSlots(room);
  }

  /** Follows the configuration: the numbers of nodes whose security did not change go on. Gives the policies that hold now. */
  follow({ mobileNodes }: HomeAgentConfig): HomeAddressPolicy[] {
    const before = this.#served;
    const served = new Map<Address, Served>();
    const listed = new Set(mobileNodes.map(({ homeAddress }) => homeAddress));
    for (const [homeAddress, { index }] of before) {
      if (index !== undefined && !listed.has(homeAddress)) this.#indexes.release(index);
    }
    for (const config of mobileNodes) {
      const { homeAddress, security } = config;
      const known = before.get(homeAddress);
      const index = known?.index ?? this.#index();
      // A protection tells the engine of its numbers by this index; who gets one now is told of anew.
      const same =
        known !== undefined &&
        known.index === index &&
        sameSecurity(known.config.security, security);
      const protection = same ? known.protection : this.#protect(homeAddress, config, index);
      served.set(homeAddress, { config, protection, index });
    }
    // All of it or, when the store fails above, nothing.
    this.#served = served;
    return [...this.#served].map(([homeAddress, { protection }]) => ({ homeAddress, protection }));
  }

  lists(homeAddress: Address): boolean {
    return this.#served.has(homeAddress);
  }

  /** The last Binding Update of this node that was accepted: in the clear it tells the next one from a forgery. */
  accepted(homeAddress: Address, sequence: number): void {
    const served = this.#served.get(homeAddress);
    if (served?.index === undefined || served.protection.kind === 'esp') return;
    this.#engine.expectSequence(served.index, sequence);
  }

  signalers(): SignalerSpec[] {
    return [...this.#served].flatMap(([homeAddress, { protection, index }]): SignalerSpec[] => {
      if (index === undefined) return [];
      const common = { index, side: 'home-agent' as const, local: this.#address, homeAddress };
      return protection.kind === 'esp'
        ? [{ ...common, protection: 'esp', spi: protection.spiIn }]
        : [{ ...common, protection: 'plain' }];
    });
  }

  #index(): number | undefined {
    return this.#indexes.taken < this.#room ? this.#indexes.take() : undefined;
  }

  #protect(
    homeAddress: Address,
    { security }: MobileNodeConfig,
    index: number | undefined,
  ): Protection {
    if (index !== undefined) this.#engine.expectSequence(index, undefined);
    return protectionOf(homeAddress, security, this.#store, (sequence) => {
      if (index !== undefined) this.#engine.expectSequence(index, sequence);
    });
  }
}
