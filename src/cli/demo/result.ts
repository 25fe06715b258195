import type { IperfResult, PingResult } from './measure.js';
import type { ThisMachine } from './this-machine.js';

/** The demo's outcome; `demo --json` prints exactly this. */
export interface DemoResult {
  schemaVersion: 1;
  /** ISO 8601, and how to get such a result. */
  date: string;
  command: string;
  binding: {
    status: number | undefined;
    state: string;
    homeAddress: string;
    careOfAddress: string;
    homeAgent: string;
    /** How the Binding Update and its Acknowledgement were protected. */
    protection: string;
    lifetime: number | undefined;
    /** From pulling the cable to the accepted binding, as the demo saw it. */
    move_to_registered_ms: number;
  };
  ping: {
    /** Echo requests without an answer while the guest was registered. */
    lost: number;
    at_home: PingResult;
    /** From Host A, across the move: what the move itself cost. */
    across_move: PingResult;
    registered: PingResult;
  };
  tcp: {
    survived: boolean;
    bytes_before_move: number;
    bytes_after_move: number;
    longest_gap_ms: number;
    error?: string;
  };
  iperf: { up_bps: number; down_bps: number; up: IperfResult; down: IperfResult };
  /** The paper's wire: 100 Mbit/s each way. */
  paper_wire: {
    native: { tcp: IperfResult; ping: PingResult };
    tunnel: { tcp: IperfResult; ping: PingResult };
  };
  memory: { host_daemon_rss_bytes: number };
  /** One packet of each kind, as tcpdump words it: the paper's Listing 2 (protected), then its Listing 1. */
  capture: {
    protected_binding_update: string;
    protected_binding_acknowledgement: string;
    binding_update: string;
    binding_acknowledgement: string;
    guest_to_correspondent: string;
    correspondent_to_guest: string;
    file?: string;
    command: string;
  };
  machine: ThisMachine;
}
