import type { Millis } from '../time.js';
import { MAX_PROBES } from './size-search.js';

/** Between a Packet Too Big and the question whether it was true. */
const FIRST_DELAY: Millis = 2000;
const LONGEST_DELAY: Millis = 600_000;

/** A size that a Packet Too Big denied: `tries` probes of it have been sent since. */
interface Question {
  readonly size: number;
  readonly at: Millis;
  readonly tries: number;
}

/**
 * Asks whether a Packet Too Big that was believed is true: it may be forged, or the path healed. A probe of the former size
 * costs nothing but itself. RFC 8201 4 forbids to look for an increase so soon; this looks whether there was a decrease (RFC 8899
 * 4.6 wants Packet Too Big messages checked by probes). Where they are refuted again and again (paths of different MTUs side by
 * side), the question comes later each time.
 */
export class Refutation {
  readonly #random: () => number;
  #question: Question | undefined;
  #refuted = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  get at(): Millis | undefined {
    return this.#question?.at;
  }

  /** A Packet Too Big lowered the estimate from `former` octets. */
  lowered(now: Millis, former: number): void {
    const question = this.#question;
    if (question !== undefined && question.tries === 0) return;
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#refuted);
    const size = Math.max(former, question?.size ?? 0);
    this.#question = { size, at: now + delay * (1 + this.#random() / 4), tries: 0 };
  }

  /** A Packet Too Big that lowers nothing: somebody on the path says the same once more, no use to ask on. */
  repeated(): void {
    if (this.#question !== undefined && this.#question.tries > 0) this.#question = undefined;
  }

  /**
   * The size of which a probe is due, at most three times for one question.
   * @param timeout ms that an answer takes at most
   */
  due(now: Millis, timeout: Millis): number | undefined {
    const question = this.#question;
    if (question === undefined || now < question.at) return undefined;
    const { size, tries } = question;
    this.#question = tries < MAX_PROBES ? { size, at: now + timeout, tries: tries + 1 } : undefined;
    return this.#question?.size;
  }

  /** The Packet Too Big was not true. */
  succeeded(): void {
    this.#refuted += 1;
    this.#question = undefined;
  }

  /** The size is no longer of interest. */
  drop(): void {
    this.#question = undefined;
  }

  /** Another path, or a quiet time: earlier refutations say nothing. */
  forget(): void {
    this.#refuted = 0;
    this.#question = undefined;
  }
}
