import { MAX_MULTICAST_SOLICIT, RETRANS_TIMER } from '../link/constants.js';
import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Mac } from '../wire/index.js';

/** Neighbours sought at a time, and packets that wait for the link-layer address of each. */
const MAX_SOUGHT = 256;
const MAX_WAITING = 4;

interface Sought {
  readonly askAt: Millis;
  readonly left: number;
  readonly waiting: readonly Uint8Array[];
}

export interface NeighborSenderLink {
  /** A Neighbor Solicitation for this address. */
  solicit(address: Address): void;
  deliver(destination: Mac, packet: Uint8Array): void;
}

/**
 * Packets to neighbours whose link-layer address is asked for first (RFC 4861 7.2.2) and then forgotten: on the way home it changes hands
 * (RFC 6275 11.5.5).
 */
export class NeighborSender {
  readonly #link: NeighborSenderLink;
  readonly #sought = new Map<Address, Sought>();

  constructor(link: NeighborSenderLink) {
    this.#link = link;
  }

  wakeAt(): Millis | undefined {
    return earliest(...[...this.#sought.values()].map(({ askAt }) => askAt));
  }

  /** Sends an IPv6 packet once its destination has told its link-layer address. False: too many are sought already. */
  send(now: Millis, destination: Address, packet: Uint8Array): boolean {
    const known = this.#sought.get(destination);
    if (known === undefined && this.#sought.size >= MAX_SOUGHT) return false;
    const { askAt, left, waiting } = known ?? {
      askAt: now,
      left: MAX_MULTICAST_SOLICIT,
      waiting: [],
    };
    this.#sought.set(destination, {
      askAt,
      left,
      waiting: [...waiting, packet].slice(-MAX_WAITING),
    });
    return true;
  }

  /** Somebody has this address; true when that is whom we seek. */
  advertised(address: Address, mac: Mac): boolean {
    const sought = this.#sought.get(address);
    if (sought === undefined) return false;
    this.#sought.delete(address);
    for (const packet of sought.waiting) this.#link.deliver(mac, packet);
    return true;
  }

  /** Gives how many neighbours were given up. */
  advance(now: Millis): number {
    let lost = 0;
    for (const [address, sought] of [...this.#sought]) {
      if (now < sought.askAt) continue;
      if (sought.left === 0) {
        // The next Binding Update, or its answer, asks again.
        this.#sought.delete(address);
        lost += 1;
        continue;
      }
      this.#sought.set(address, { ...sought, askAt: now + RETRANS_TIMER, left: sought.left - 1 });
      this.#link.solicit(address);
    }
    return lost;
  }
}
