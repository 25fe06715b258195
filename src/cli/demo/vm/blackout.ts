/** What happened when, milliseconds since 1970. */
export interface Marks {
  /** The migration begins: QEMU copies memory while the guest runs. */
  readonly copy: number;
  /** QEMU stops the guest at the source. */
  readonly stop: number;
  /** QEMU resumes it at the destination. */
  readonly resume: number;
  /** The first Binding Update on the WAN, and its Acknowledgement. */
  readonly update: number;
  readonly acknowledgement: number;
  /** The first packet for the guest at its new tap. */
  readonly first: number;
}

/** The parts of the time in which nothing reaches the guest, milliseconds. */
export interface Blackout {
  /** STOP to RESUME: the hypervisor's own. */
  hypervisor_ms: number;
  /** RESUME to Binding Update; negative when the Binding Update left before (`early`). */
  trigger_ms: number;
  early: boolean;
  /** Binding Update to Binding Acknowledgement: the Home Agent's, with its duplicate address detection. */
  home_agent_ms: number;
  /** From when the guest runs and is registered to the first packet for it. */
  delivery_ms: number;
  /** STOP to the first packet that a running guest gets. */
  total_ms: number;
}

/** Splits the blackout. What is early runs beside the hypervisor's part: then the parts add up to more than the total. */
export function split({ stop, resume, update, acknowledgement, first }: Marks): Blackout {
  // What waits in the tap reaches the guest when it runs.
  const reached = Math.max(first, resume);
  return {
    hypervisor_ms: micro(resume - stop),
    trigger_ms: micro(update - resume),
    early: update < resume,
    home_agent_ms: micro(acknowledgement - update),
    delivery_ms: micro(reached - Math.max(acknowledgement, resume)),
    total_ms: micro(reached - stop),
  };
}

/** Clocks tell no more than microseconds. */
export function micro(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
