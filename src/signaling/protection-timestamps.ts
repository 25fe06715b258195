import {
  isLater,
  justAfter,
  sameFraction,
  timestampDifference,
  toTimestamp,
  withSecondsOf,
} from '../crypto/index.js';

/** Milliseconds since 1970. */
type Clock = number;

/** How many messages may be under way (a mobile node sends at most three a second, DAD takes one second). */
const UNDER_WAY = 16;
/** RFC 4285 5.1: how far apart clocks may be, milliseconds. */
export const CLOSE_ENOUGH = 7000;
/** Milliseconds: a home agent's answer tells its time to the second, and took its way. */
const ROUGH = 2000;

/** RFC 6275 6.1.8, RFC 4285 6 */
const STATUS = {
  sequence: 135,
  identificationMismatch: 144,
  authenticationFailed: 146,
} as const;

/** The timestamps of a mobile node towards one home agent (RFC 4285 6.1). */
export class MobileNodeTimestamps {
  readonly #noise: () => number;
  /** milliseconds that the home agent's clock is ahead of ours */
  #offset = 0;
  #last: bigint | undefined;
  /** of the last Binding Update that was accepted */
  #confirmed: bigint | undefined;
  #sent: bigint[] = [];

  /** @param noise 0 up to 1, for the bits that the clock has not */
  constructor(noise: () => number) {
    this.#noise = noise;
  }

  /** For a Binding Update: the time, and later than any before. */
  next(now: Clock): bigint {
    const time = toTimestamp(now + this.#offset, this.#noise());
    const timestamp =
      this.#last === undefined || isLater(time, this.#last) ? time : justAfter(this.#last);
    this.#last = timestamp;
    this.#sent = [...this.#sent, timestamp].slice(-UNDER_WAY);
    return timestamp;
  }

  /**
   * Whether an authentic Binding Acknowledgement answers one of our Binding Updates. One with status 144 tells the home
   * agent's time, once, and our clock follows.
   */
  answers(status: number, timestamp: bigint | undefined, now: Clock): boolean {
    if (timestamp === undefined) return false;
    if (status !== STATUS.identificationMismatch) {
      if (!this.#sent.includes(timestamp)) return false;
      const newest = this.#confirmed === undefined || isLater(timestamp, this.#confirmed);
      if (status < 128 && newest) this.#confirmed = timestamp;
      return true;
    }
    const asked = this.#sent.find((sent) => sameFraction(sent, timestamp));
    if (asked === undefined) return false;
    this.#sent = this.#sent.filter((sent) => sent !== asked);
    const apart = timestampDifference(timestamp, toTimestamp(now + this.#offset));
    if (Math.abs(apart) > ROUGH) {
      this.#offset += apart;
      this.#forgetFuture(timestamp);
      // What was refused does not bind us; what was accepted does.
      this.#last = this.#confirmed;
    }
    return true;
  }

  /** The home agent's clock has been set back far: it has given up what it accepted before, and so do we. */
  #forgetFuture(told: bigint): void {
    if (this.#confirmed === undefined) return;
    if (timestampDifference(this.#confirmed, told) > CLOSE_ENOUGH) this.#confirmed = undefined;
  }
}

interface Request {
  readonly sequence: number;
  readonly timestamp: bigint | undefined;
}

/** The timestamps of one mobile node at its home agent (RFC 4285 6.1). */
export class HomeAgentTimestamps {
  readonly #closeEnough: number;
  readonly #setBack: (milliseconds: number) => void;
  /** the latest that was accepted */
  #last: bigint | undefined;
  #accepted: Request[] = [];
  #refused: Request | undefined;

  /**
   * @param closeEnough milliseconds that clocks may differ
   * @param lastAccepted milliseconds since 1970 of the last one before a restart
   * @param setBack told that our clock was set back since the last one, and by how much at least
   */
  constructor(
    closeEnough: number,
    lastAccepted?: number,
    setBack: (milliseconds: number) => void = () => {},
  ) {
    this.#closeEnough = closeEnough;
    this.#setBack = setBack;
    this.#last = lastAccepted === undefined ? undefined : toTimestamp(Math.floor(lastAccepted) + 1);
  }

  /** Judges the timestamp of an authentic Binding Update. */
  judge(request: Request, now: Clock): 'ok' | 'replayed' | 'missing' {
    const { timestamp } = request;
    if (timestamp === undefined) {
      this.#refused = request;
      return 'missing';
    }
    this.#forgetFuture(now);
    const close = Math.abs(timestampDifference(timestamp, toTimestamp(now))) <= this.#closeEnough;
    if (!close || (this.#last !== undefined && !isLater(timestamp, this.#last))) {
      this.#refused = request;
      return 'replayed';
    }
    this.#last = timestamp;
    this.#accepted = [...this.#accepted, request].slice(-UNDER_WAY);
    return 'ok';
  }

  /**
   * What was accepted was close to our clock: one from the future tells that the clock was wrong then, and has been set back. It
   * must not lock the mobile node out until that time comes; sequence numbers still tell old from new.
   */
  #forgetFuture(now: Clock): void {
    if (this.#last === undefined) return;
    const ahead = timestampDifference(this.#last, toTimestamp(now)) - this.#closeEnough;
    // What was stored is a millisecond later than what was accepted.
    if (ahead <= 1) return;
    this.#last = undefined;
    this.#setBack(ahead);
  }

  /** Milliseconds since 1970 of the latest that was accepted; `now` tells the era. */
  lastAccepted(now: Clock): number {
    return now + timestampDifference(this.#last ?? toTimestamp(now), toTimestamp(now));
  }

  /** A Binding Update that is not authentic; its answer carries its timestamp all the same. */
  refuse(request: Request): void {
    this.#refused = request;
  }

  /** For the Binding Acknowledgement: the request's, or with our seconds when it was not valid; undefined if it had none. */
  answer(status: number, sequence: number, now: Clock): bigint | undefined {
    if (status >= STATUS.identificationMismatch && status <= STATUS.authenticationFailed) {
      const asked = this.#refused?.sequence === sequence ? this.#refused.timestamp : undefined;
      if (asked === undefined || status !== STATUS.identificationMismatch) return asked;
      return withSecondsOf(toTimestamp(now), asked);
    }
    // An answer about the sequence number carries another than the request's, and comes at once.
    const same = this.#accepted.findLast((request) => request.sequence === sequence);
    const latest = this.#accepted.at(-1);
    return (status === STATUS.sequence ? latest : (same ?? latest))?.timestamp;
  }
}
