import type { Millis } from '../time.js';

/** How a guest's arrival on this host went, milliseconds. */
export interface ArrivalReport {
  /** When it was here first, since 1970: its machine ran, or its first frame came. */
  readonly at: Millis;
  /** The hypervisor's part: how long the machine stood still before, where the host that it left told. */
  readonly hypervisor?: Millis;
  /** From `at` until the first Binding Update left; negative when that left early, while the machine stood still. */
  readonly trigger: Millis;
  /** From that Binding Update until the Home Agent's answer. */
  readonly answer?: Millis;
  /** From then, or from `at` where that is later, until the first packet out of the tunnel. */
  readonly firstPacket?: Millis;
  /** All that the guest was not to be reached, from its stop to that first packet. */
  readonly blackout?: Millis;
}

/** No machine stands still for longer on its way to another host. */
export const LONGEST_STOP: Millis = 120_000;

/** Watches one arrival; all times since 1970, by one clock but for that of the stop, which is the other host's. */
export class Arrival {
  #stopped: Millis | undefined;
  #at: Millis | undefined;
  #sent: Millis | undefined;
  #answered: Millis | undefined;
  #delivered: Millis | undefined;

  /** The machine stopped on the host that it leaves. */
  stopped(at: Millis): void {
    this.#stopped = at;
  }

  /** The guest was here first. */
  here(at: Millis): void {
    this.#at ??= at;
  }

  /** A Binding Update left. The first one counts: that others were needed is part of the wait. */
  sent(at: Millis): void {
    this.#sent ??= at;
  }

  /** The Home Agent has confirmed the binding. */
  answered(at: Millis): void {
    if (this.#sent !== undefined) this.#answered ??= at;
  }

  /** A packet came out of the tunnel for the guest. */
  delivered(at: Millis): void {
    if (this.#at !== undefined) this.#delivered ??= at;
  }

  get isHere(): boolean {
    return this.#at !== undefined;
  }

  /** Undefined until the guest is here and a Binding Update has left. */
  get report(): ArrivalReport | undefined {
    const at = this.#at;
    const sent = this.#sent;
    if (at === undefined || sent === undefined) return undefined;
    // That of a migration which failed, say.
    const stopped = at - (this.#stopped ?? at) > LONGEST_STOP ? undefined : this.#stopped;
    const answered = this.#answered;
    const delivered = answered === undefined ? undefined : this.#delivered;
    const since = Math.max(at, answered ?? at);
    return {
      at,
      ...(stopped === undefined ? {} : { hypervisor: at - stopped }),
      trigger: sent - at,
      ...(answered === undefined ? {} : { answer: answered - sent }),
      ...(delivered === undefined ? {} : { firstPacket: Math.max(0, delivered - since) }),
      ...(delivered === undefined || stopped === undefined
        ? {}
        : { blackout: delivered - stopped }),
    };
  }
}
