import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address } from '../wire/index.js';

/** RFC 6275 12, 13 */
const MAX_MOB_PFX_ADV_INTERVAL: Millis = 86_400_000;
const MIN_MOB_PFX_ADV_INTERVAL: Millis = 600_000;
const PREFIX_ADV_RETRIES = 3;
const PREFIX_ADV_TIMEOUT: Millis = 3000;

/** The mobile prefix advertisements to one mobile node. */
interface Delivery {
  /** unsolicited, at this time */
  readonly scheduledAt?: Millis;
  readonly sentAt?: Millis;
  /** sent unsolicited and not acknowledged by a solicitation yet */
  readonly unacknowledged?: {
    readonly resendAt?: Millis;
    readonly timeout: Millis;
    readonly left: number;
  };
  /** octets of unprotected solicitations that nothing was sent for yet */
  readonly credit: number;
}

/** When mobile nodes are told of the home prefixes (RFC 6275 10.6.2). */
export class PrefixAdvertiser {
  readonly #random: () => number;
  readonly #deliveries = new Map<Address, Delivery>();
  /** nothing is due before; may be too early, never too late */
  #deadline: Millis | undefined;

  /** @param random 0 <= r < 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  wakeAt(): Millis | undefined {
    return this.#deadline;
  }

  /**
   * A Binding Update was accepted: who was told nothing for MaxMobPfxAdvInterval will be, and who has not acknowledged
   * is told again.
   * @param preferredLifetime of the home prefix, seconds
   */
  registered(now: Millis, homeAddress: Address, preferredLifetime: number): void {
    const delivery = this.#deliveries.get(homeAddress) ?? { credit: 0 };
    const { sentAt, unacknowledged } = delivery;
    const age = sentAt === undefined ? Number.POSITIVE_INFINITY : now - sentAt;
    if (age >= MAX_MOB_PFX_ADV_INTERVAL) {
      this.#schedule(now, homeAddress, delivery, preferredLifetime);
    } else if (unacknowledged?.left === 0 && age >= MIN_MOB_PFX_ADV_INTERVAL) {
      const resendAt = now + PREFIX_ADV_TIMEOUT;
      const again = { resendAt, timeout: PREFIX_ADV_TIMEOUT, left: PREFIX_ADV_RETRIES };
      this.#set(homeAddress, { ...delivery, unacknowledged: again });
    }
  }

  /** The prefixes have changed: everybody who is bound will be told. */
  changed(now: Millis, preferredLifetimeOf: (homeAddress: Address) => number): void {
    for (const [homeAddress, delivery] of [...this.#deliveries]) {
      this.#schedule(now, homeAddress, delivery, preferredLifetimeOf(homeAddress));
    }
  }

  /** The binding is no more: nothing is sent any longer. */
  unregistered(homeAddress: Address): void {
    this.#deliveries.delete(homeAddress);
    this.#deadline = earliest(...[...this.#deliveries.values()].map(dueAt));
  }

  /**
   * A solicitation, which acknowledges what was sent before. An unprotected one is answered as soon as no fewer octets
   * have come than the answer has: without a key nobody makes us send more than he sends.
   * @param cost octets of the answer @param earned octets of the solicitation, undefined: it is protected
   * @returns whether it is to be answered now
   */
  solicited(now: Millis, homeAddress: Address, cost: number, earned: number | undefined): boolean {
    const { unacknowledged: _, ...delivery } = this.#deliveries.get(homeAddress) ?? { credit: 0 };
    const credit = earned === undefined ? cost : delivery.credit + earned;
    if (credit < cost) {
      this.#set(homeAddress, { ...delivery, credit });
      return false;
    }
    this.#set(homeAddress, { sentAt: now, credit: 0 });
    return true;
  }

  /** Who is to be told now, unsolicited. */
  due(now: Millis): Address[] {
    if (this.#deadline === undefined || now < this.#deadline) return [];
    const homeAddresses: Address[] = [];
    for (const [homeAddress, delivery] of [...this.#deliveries]) {
      const { scheduledAt, unacknowledged, ...rest } = delivery;
      if (scheduledAt !== undefined && now >= scheduledAt) {
        // The new advertisement holds what an unacknowledged one held: the whole list is sent in all cases.
        this.#sent(now, homeAddress, rest, PREFIX_ADV_TIMEOUT, PREFIX_ADV_RETRIES);
        homeAddresses.push(homeAddress);
      } else if (unacknowledged?.resendAt !== undefined && now >= unacknowledged.resendAt) {
        const { timeout, left } = unacknowledged;
        const kept = scheduledAt === undefined ? rest : { ...rest, scheduledAt };
        this.#sent(now, homeAddress, kept, 2 * timeout, left - 1);
        homeAddresses.push(homeAddress);
      }
    }
    this.#deadline = earliest(...[...this.#deliveries.values()].map(dueAt));
    return homeAddresses;
  }

  #sent(now: Millis, homeAddress: Address, rest: Delivery, timeout: Millis, left: number): void {
    const unacknowledged =
      left > 0 ? { resendAt: now + timeout, timeout, left } : { timeout, left: 0 };
    this.#set(homeAddress, { ...rest, sentAt: now, unacknowledged });
  }

  /** RAND_ADV_DELAY; what is scheduled already stays at its time. */
  #schedule(
    now: Millis,
    homeAddress: Address,
    delivery: Delivery,
    preferredLifetime: number,
  ): void {
    const most = Math.min(MAX_MOB_PFX_ADV_INTERVAL, 1000 * preferredLifetime);
    const spread = Math.abs(most - MIN_MOB_PFX_ADV_INTERVAL);
    const scheduledAt = now + MIN_MOB_PFX_ADV_INTERVAL + Math.floor(this.#random() * spread);
    this.#set(homeAddress, { scheduledAt, ...delivery });
  }

  #set(homeAddress: Address, delivery: Delivery): void {
    this.#deliveries.set(homeAddress, delivery);
    this.#deadline = earliest(this.#deadline, dueAt(delivery));
  }
}

function dueAt({ scheduledAt, unacknowledged }: Delivery): Millis | undefined {
  return earliest(scheduledAt, unacknowledged?.resendAt);
}
