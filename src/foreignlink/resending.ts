import type { Millis } from '../time.js';

/** Before what could not be sent is tried again. */
export const RESEND_PAUSE: Millis = 100;
/** Then it is given up: whoever asked asks again, and what is announced is announced more than once. */
const MAX_TRIES = 10;
/** As many at a time as a ring that was full a moment ago may have room for. */
const AT_ONCE = 32;
const MAX_WAITING = 1024;

/** Frames that did not leave (there was no room on their way) are sent again, a bounded number of them, a bounded number of times. */
export class Resending {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #tries = new WeakMap<Uint8Array, number>();
  #waiting: Uint8Array[] = [];
  #at: Millis | undefined;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  wakeAt(): Millis | undefined {
    return this.#at;
  }

  /** False: it is given up. */
  failed(now: Millis, bytes: Uint8Array): boolean {
    const tries = 1 + (this.#tries.get(bytes) ?? 0);
    if (tries >= MAX_TRIES || this.#waiting.length >= MAX_WAITING) return false;
    this.#tries.set(bytes, tries);
    this.#waiting.push(bytes);
    this.#at ??= now + RESEND_PAUSE;
    return true;
  }

  advance(now: Millis): void {
    if (this.#at === undefined || now < this.#at) return;
    const turn = this.#waiting.splice(0, AT_ONCE);
    this.#at = this.#waiting.length > 0 ? now + RESEND_PAUSE : undefined;
    for (const bytes of turn) this.#send(bytes);
  }

  /** What waits is of no use any more. */
  clear(): void {
    this.#waiting = [];
    this.#at = undefined;
  }
}
