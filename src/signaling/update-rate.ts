import type { Millis } from '../time.js';
import { MAX_UPDATE_RATE } from './constants.js';

const SECOND: Millis = 1000;

/**
 * MAX_UPDATE_RATE: not more Binding Updates than that within any second (RFC 6275 11.8). The limit is one home agent's, so the
 * home addresses of one mobile node share it.
 */
export class UpdateRate {
  /** when the last updates left, oldest first, at most MAX_UPDATE_RATE of them */
  #sent: Millis[] = [];

  /** When the next update may leave: `now`, or later. */
  freeAt(now: Millis): Millis {
    const [oldest] = this.#sent;
    if (oldest === undefined || this.#sent.length < MAX_UPDATE_RATE) return now;
    return Math.max(now, oldest + SECOND);
  }

  /** An update leaves now. */
  spend(now: Millis): void {
    this.#sent = [...this.#sent, now].slice(-MAX_UPDATE_RATE);
  }
}
