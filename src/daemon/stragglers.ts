import type { TunnelSpec } from '../datapath/index.js';
import { LONGEST_STOP } from '../migration/index.js';
import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';

/** What the Home Agent sends to the old care-of address is on its way for no longer than this after the guest has left. */
const TAIL: Millis = 5_000;

/** Counter blocks of the engine, of which there may be none left. */
export interface SlotPool {
  take(): number | undefined;
  release(slot: number): void;
}

interface Onward {
  readonly slot: number;
  /** The tunnels that its home agents still use. */
  readonly tunnels: readonly TunnelSpec[];
  readonly to: Address;
}

interface Inbound {
  readonly slot: number;
  readonly from: Address;
}

/**
 * Packets that its Home Agent still sends to where a guest was: its old host sends them on to the new one, as an access router does
 * when a mobile node moves to the next (RFC 5568 3.2). Without the numbers to count them there is none, and they are lost.
 */
export class Stragglers {
  readonly #slots: SlotPool;
  readonly #changed: () => void;
  #onward: Onward | undefined;
  #inbound: Inbound | undefined;
  #onwardEnd: NodeJS.Timeout | undefined;
  #inboundEnd: NodeJS.Timeout | undefined;

  /** @param changed the engine's table is out of date */
  constructor(slots: SlotPool, changed: () => void) {
    this.#slots = slots;
    this.#changed = changed;
  }

  /** What comes by these tunnels of ours goes on to the guest's new care-of address, for two minutes at most. */
  sendOnward(tunnels: readonly TunnelSpec[], to: Address): void {
    // What was sent on already is all that there is, once the guest has left.
    if (tunnels.length === 0 || this.#onward?.to === to) return;
    this.endOnward();
    const slot = this.#slots.take();
    if (slot === undefined) return;
    this.#onward = { slot, tunnels, to };
    this.#onwardEnd = setTimeout(() => this.endOnward(), LONGEST_STOP);
    this.#changed();
  }

  /** The guest runs on its new host: the last of them come soon. */
  letRunOut(): void {
    if (this.#onward === undefined) return;
    clearTimeout(this.#onwardEnd);
    this.#onwardEnd = setTimeout(() => this.endOnward(), TAIL);
  }

  /** The guest runs here: what comes is for it, and the last of what its old host sends on comes soon. */
  arrived(): void {
    this.endOnward();
    if (this.#inbound === undefined) return;
    clearTimeout(this.#inboundEnd);
    this.#inboundEnd = setTimeout(() => this.endInbound(), TAIL);
  }

  endOnward(): void {
    clearTimeout(this.#onwardEnd);
    if (this.#onward === undefined) return;
    this.#slots.release(this.#onward.slot);
    this.#onward = undefined;
    this.#changed();
  }

  /** The guest's old host sends on what comes to its old care-of address. */
  expectFrom(from: Address): void {
    this.endOnward();
    this.endInbound();
    const slot = this.#slots.take();
    if (slot === undefined) return;
    this.#inbound = { slot, from };
    this.#inboundEnd = setTimeout(() => this.endInbound(), LONGEST_STOP);
    this.#changed();
  }

  endInbound(): void {
    clearTimeout(this.#inboundEnd);
    if (this.#inbound === undefined) return;
    this.#slots.release(this.#inbound.slot);
    this.#inbound = undefined;
    this.#changed();
  }

  stop(): void {
    this.endOnward();
    this.endInbound();
  }

  /**
   * A guest's part of the engine's table with them. @param here how a tunnel of the guest's looks that begins at its care-of address
   */
  table(tunnels: readonly TunnelSpec[], here: Omit<TunnelSpec, 'slot' | 'remote'>): TunnelSpec[] {
    const onward = this.#onward;
    const inbound = this.#inbound;
    if (onward !== undefined) return leading(onward, here.mtu);
    // A peer may say anything; the ends of two tunnels must not be the same.
    const taken = tunnels.some(({ remote }) => remote === inbound?.from);
    if (inbound === undefined || taken || inbound.from === here.local) return [...tunnels];
    const { slot, from } = inbound;
    return [...tunnels, { ...here, slot, remote: from, inbound: true }];
  }
}

function leading({ slot, tunnels, to }: Onward, mtu: number): TunnelSpec[] {
  const [first] = tunnels;
  if (first === undefined || first.local === to || first.remote === to) return [];
  const { local, hopLimit, dscp } = first;
  const outer = {
    ...(hopLimit === undefined ? {} : { hopLimit }),
    ...(dscp === undefined ? {} : { dscp }),
  };
  const homeAddresses = tunnels.flatMap((tunnel) => tunnel.homeAddresses);
  return [
    ...tunnels.map((tunnel) => ({ ...tunnel, onward: true })),
    { ...outer, slot, side: 'home-agent', local, remote: to, homeAddresses, mtu },
  ];
}
