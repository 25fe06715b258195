import type { Drops } from '../drops.js';
import type { ReservedCounter } from '../reserved-counter.js';
import type { Millis } from '../time.js';
import type { Address, MobilityMessage } from '../wire/index.js';
import { alignMobilityOptions } from '../wire/index.js';
import { isNewer, nextSequence } from './sequence.js';
import type { Signal } from './signal.js';
import type { UpdateRate } from './update-rate.js';

export type BindingAcknowledgement = Extract<MobilityMessage, { kind: 'binding-acknowledgement' }>;

/** A Binding Update that may still be acknowledged: it is all that its acknowledgement confirms. */
export interface SentUpdate {
  readonly homeAgent: Address;
  /** the home address itself for a de-registration from home */
  readonly careOfAddress: Address;
  readonly sequence: number;
  /** seconds asked for, 0 to de-register */
  readonly lifetime: number;
  readonly sentAt: Millis;
}

const MAX_ENTRIES = 16;
/** Resynchronisations at once before the ordinary back-off has its say: two nodes must not play ping-pong. */
const MAX_RESYNCHRONISATIONS = 3;

interface BindingUpdateListConfig {
  readonly homeAddress: Address;
  /** of Binding Updates, modulo 2^16; what was reserved is never used twice */
  readonly sequence: ReservedCounter;
  readonly rate: UpdateRate;
  readonly drops: Drops;
}

/** The Binding Updates of one home address that wait for an acknowledgement (RFC 6275 11.1), of bounded number. */
export class BindingUpdateList {
  readonly #config: BindingUpdateListConfig;
  #entries: SentUpdate[] = [];
  #resynchronisations = 0;
  #lastSentAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(config: BindingUpdateListConfig) {
    this.#config = config;
  }

  /** Of the next Binding Update. */
  get nextSequence(): number {
    return this.#config.sequence.next;
  }

  get lastSentAt(): Millis {
    return this.#lastSentAt;
  }

  /** When the next Binding Update may leave: `now`, or later. */
  freeAt(now: Millis): Millis {
    return this.#config.rate.freeAt(now);
  }

  /** Whether this home agent may still answer. */
  awaits(homeAgent: Address): boolean {
    return this.#entries.some((entry) => entry.homeAgent === homeAgent);
  }

  /** No answer counts any more. */
  clear(): void {
    this.#entries = [];
  }

  /** The causes for trouble so far are past: registering begins afresh. */
  settled(): void {
    this.#resynchronisations = 0;
  }

  /** This update was accepted: what was sent before it, to other home agents too, binds nothing any more. */
  confirmed(update: SentUpdate): void {
    this.settled();
    this.#entries = this.#entries.filter(({ sentAt }) => sentAt >= update.sentAt);
  }

  /**
   * A Binding Update (RFC 6275 11.7.1) with a number of its own, a retransmitted one too (11.8); undefined when there is no
   * number left. The care-of address is the home address itself for a de-registration from home, which then is the source (11.5.5).
   * @param lifetime seconds, a multiple of 4
   */
  send(
    now: Millis,
    update: Pick<SentUpdate, 'homeAgent' | 'careOfAddress' | 'lifetime'>,
  ): Signal | undefined {
    const { homeAddress, rate } = this.#config;
    const { homeAgent, careOfAddress, lifetime } = update;
    const sequence = this.#config.sequence.take();
    if (sequence === undefined) return undefined;
    rate.spend(now);
    this.#lastSentAt = now;
    // After resynchronisations a number may come round again: it stands for the latest update that has it.
    const others = this.#entries.filter((entry) => entry.sequence !== sequence);
    this.#entries = [...others, { ...update, sequence, sentAt: now }].slice(-MAX_ENTRIES);
    return {
      source: careOfAddress,
      destination: homeAgent,
      ...(careOfAddress === homeAddress ? {} : { homeAddressOption: homeAddress }),
      message: {
        kind: 'binding-update',
        sequence,
        acknowledge: true,
        homeRegistration: true,
        linkLocalCompatible: true,
        keyManagement: false,
        reserved: 0,
        lifetime,
        options: alignMobilityOptions([
          { kind: 'alternate-care-of-address', address: careOfAddress },
        ]),
      },
    };
  }

  /** The update that this acknowledges, which is settled by it; undefined: ignored and counted (RFC 6275 11.7.3). */
  acknowledged(signal: Signal, message: BindingAcknowledgement): SentUpdate | undefined {
    const entry = this.#entries.find(
      ({ homeAgent, sequence }) => homeAgent === signal.source && sequence === message.sequence,
    );
    const fault = this.#fault(signal, message, entry);
    if (fault !== undefined || entry === undefined) {
      this.#config.drops.count(fault ?? 'no_such_update');
      return undefined;
    }
    // What this home agent was sent before is settled too: a late acknowledgement must not turn time back.
    const index = this.#entries.indexOf(entry);
    this.#entries = this.#entries.filter(
      (other, at) => at > index || other.homeAgent !== entry.homeAgent,
    );
    return entry;
  }

  /**
   * Status 135: the numbers go on from the last one that the home agent accepted (RFC 6275 11.7.1, 11.7.3). Whether the
   * Binding Update may be sent again at once.
   */
  resynchronise(signal: Signal, message: BindingAcknowledgement): boolean {
    const { sequence, drops } = this.#config;
    const latest = this.#entries.findLast(({ homeAgent }) => homeAgent === signal.source);
    const fault = this.#fault(signal, message, latest);
    if (fault !== undefined || latest === undefined) {
      drops.count(fault ?? 'no_such_update');
      return false;
    }
    if (isNewer(latest.sequence, message.sequence)) {
      // It answers an update older than our latest, which the home agent will accept.
      drops.count('stale_resynchronisation');
      return false;
    }
    sequence.jump(nextSequence(message.sequence));
    return this.again();
  }

  /** Whether a Binding Update may be repeated at once, its cause being mended. */
  again(): boolean {
    if (this.#resynchronisations >= MAX_RESYNCHRONISATIONS) {
      this.#config.drops.count('resynchronisation_limited');
      return false;
    }
    this.#resynchronisations += 1;
    return true;
  }

  #fault(
    { destination, routingHeader }: Signal,
    { options }: BindingAcknowledgement,
    entry: SentUpdate | undefined,
  ): string | undefined {
    const { homeAddress } = this.#config;
    const fromHome = entry?.careOfAddress === homeAddress;
    // RFC 6275 6.4: away from home the home address is in the routing header; at home it is the destination.
    if (routingHeader !== (fromHome ? undefined : homeAddress)) return 'not_the_home_address';
    const authorization = options.findIndex(({ kind }) => kind === 'binding-authorization-data');
    if (authorization >= 0 && authorization < options.length - 1) {
      return 'authorization_data_not_last';
    }
    if (entry === undefined) return 'no_such_update';
    return destination === entry.careOfAddress ? undefined : 'not_the_care_of_address';
  }
}
