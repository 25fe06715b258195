import type { Millis } from '../time.js';

/** A sans-IO state machine: events in, outputs out, and the time at which it wants to be woken. */
export interface Machine<Event, Output> {
  handle(now: Millis, event: Event): void;
  poll(): Output | undefined;
  wakeAt(): Millis | undefined;
}

/** Milliseconds on the monotonic clock; the one clock of a daemon. */
export function monotonicNow(): Millis {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Longest delay setTimeout takes without wrapping (2^31 - 1 ms). */
const MAX_DELAY = 0x7fffffff;

/**
 * Gives a machine its clock and its timer. Outputs reach `onOutput` in order; an event sent from inside `onOutput`
 * is handled after the outputs before it.
 */
export class Driver<Event, Output> {
  readonly #machine: Machine<Event | { type: 'tick' }, Output>;
  readonly #onOutput: (output: Output) => void;
  readonly #queue: (Event | { type: 'tick' })[] = [];
  #draining = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    machine: Machine<Event | { type: 'tick' }, Output>,
    onOutput: (output: Output) => void,
  ) {
    this.#machine = machine;
    this.#onOutput = onOutput;
  }

  /** Hands the machine an event and carries out everything it then asks for. */
  send(event: Event | { type: 'tick' }): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#machine.handle(monotonicNow(), next);
        for (let output = this.#machine.poll(); output; output = this.#machine.poll()) {
          this.#onOutput(output);
        }
      }
    } finally {
      // Whatever was thrown: what the machine waits for still comes.
      this.#draining = false;
      this.#schedule();
    }
  }

  /** Ends the timer; later events are ignored. */
  stop(): void {
    this.#stopped = true;
    this.#queue.length = 0;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const at = this.#machine.wakeAt();
    if (at === undefined || this.#stopped) return;
    const delay = Math.min(Math.max(Math.ceil(at - monotonicNow()), 0), MAX_DELAY);
    this.#timer = setTimeout(() => this.send({ type: 'tick' }), delay);
  }
}
