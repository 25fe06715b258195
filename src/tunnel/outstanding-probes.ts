import type { Millis } from '../time.js';

/** A probe that may still be answered. */
export interface OutstandingProbe {
  /** octets of the outer packet */
  readonly size: number;
  readonly sentAt: Millis;
  /** Its number; 0: none. */
  readonly round: number;
  /** Sent to see whether a Packet Too Big was true. */
  readonly refutes: boolean;
}

/** The oldest are forgotten: an answer to them tells nothing. */
const MAX_OUTSTANDING = 64;
const MAX_AGE: Millis = 30_000;
const SHORTEST_TIMEOUT: Millis = 200;
const LONGEST_TIMEOUT: Millis = 10_000;

/** The probes under way, by token, and the round trip that their answers show. */
export class OutstandingProbes {
  readonly #random: () => number;
  readonly #probes = new Map<number, OutstandingProbe>();
  #roundTrip: Millis | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Another path: what was sent tells nothing about it. */
  clear(): void {
    this.#probes.clear();
    this.#roundTrip = undefined;
  }

  /** @returns the token: 32 bits that nobody off the path can know */
  add(probe: OutstandingProbe): number {
    let token = Math.floor(this.#random() * 0x100000000);
    while (this.#probes.has(token)) token = (token + 1) % 0x100000000;
    this.#probes.set(token, probe);
    const [oldest] = this.#probes.keys();
    if (this.#probes.size > MAX_OUTSTANDING && oldest !== undefined) this.#probes.delete(oldest);
    return token;
  }

  /** The probe that a token answers, once; undefined when there is none. */
  take(now: Millis, token: number): OutstandingProbe | undefined {
    const probe = this.#probes.get(token);
    if (probe === undefined) return undefined;
    this.#probes.delete(token);
    const elapsed = now - probe.sentAt;
    if (elapsed > MAX_AGE) return undefined;
    const known = this.#roundTrip ?? 0;
    // Up at once, down slowly: a time-out too short sees losses where there are none.
    this.#roundTrip = elapsed > known ? elapsed : known + (elapsed - known) / 8;
    return probe;
  }

  /** The path is another one than before: answers to what was larger and sent before are old news. */
  forgetLarger(size: number): void {
    for (const [token, probe] of this.#probes) if (probe.size > size) this.#probes.delete(token);
  }

  /** How long to wait for an answer. @param doublings for a peer that is slow to answer */
  timeout(doublings: number): Millis {
    const plain = Math.max(SHORTEST_TIMEOUT, 3 * (this.#roundTrip ?? 0)) * 2 ** doublings;
    // Hundreds of tunnels that were opened at one instant do not ask again at one instant.
    return Math.min(LONGEST_TIMEOUT, plain) * (1 + this.#random() / 4);
  }
}
