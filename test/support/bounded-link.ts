import type { ForeignLinkEvent } from '../../src/foreignlink/index.js';
import type { Address } from '../../src/wire/index.js';
import { drain } from './drain.js';
import type { ForeignLinkHarness } from './foreign-link-harness.js';
import { read } from './link-frames.js';
import { isMldReport } from './mld.js';

/** A foreign link behind a queue that takes `room` frames and is emptied `every` so many milliseconds. */
export class BoundedLink {
  /** What left, but for Multicast Listener reports. */
  readonly left: { readonly at: number; readonly packet: ReturnType<typeof read> }[] = [];
  /** When each address was usable at first. */
  readonly usable = new Map<Address, number>();
  refused = 0;
  /** in the queue at a time */
  most = 0;
  readonly #harness: ForeignLinkHarness;
  readonly #options: { readonly room: number; readonly every: number };
  #queued = 0;
  #emptiedAt = 0;

  constructor(
    harness: ForeignLinkHarness,
    options: { readonly room: number; readonly every: number },
  ) {
    this.#harness = harness;
    this.#options = options;
  }

  /** As src/daemon/driver.ts does it: an event that an output leads to comes after the outputs before it. */
  handle(event: ForeignLinkEvent): void {
    const events = [event];
    const { link, now } = this.#harness;
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      link.handle(now, next);
      for (const output of drain(link)) {
        if (output.type === 'usable' && !this.usable.has(output.address)) {
          this.usable.set(output.address, now);
        }
        if (output.type !== 'frame') continue;
        if (this.#take(output.bytes)) continue;
        this.refused += 1;
        events.push({ type: 'unsent', bytes: output.bytes });
      }
    }
  }

  pass(milliseconds: number): void {
    const { link } = this.#harness;
    const end = this.#harness.now + milliseconds;
    for (let at = link.wakeAt(); at !== undefined && at <= end; at = link.wakeAt()) {
      this.#harness.now = Math.max(this.#harness.now, at);
      this.handle({ type: 'tick' });
    }
    this.#harness.now = end;
  }

  /** When it wants to be woken next, once this time has passed. */
  wakeAfter(milliseconds: number): number | undefined {
    this.pass(milliseconds);
    return this.#harness.link.wakeAt();
  }

  #take(bytes: Uint8Array): boolean {
    const { room, every } = this.#options;
    const { now } = this.#harness;
    if (now >= this.#emptiedAt + every) {
      this.#emptiedAt = now;
      this.#queued = 0;
    }
    if (this.#queued >= room) return false;
    this.#queued += 1;
    this.most = Math.max(this.most, this.#queued);
    if (!isMldReport(bytes)) this.left.push({ at: now, packet: read(bytes) });
    return true;
  }
}
