import type { ThisMachine } from '../this-machine.js';
import type { Blackout } from './blackout.js';
import type { DiskResult } from './disk.js';
import type { EchoStatistics } from './echoes.js';
import type { Accelerator } from './machine.js';

/** The outcome of the demo with a virtual machine; `demo --vm --json` prints exactly this. Times in milliseconds. */
export interface VmResult {
  schemaVersion: 1;
  /** ISO 8601, and how to get such a result. */
  date: string;
  command: string;
  virtual_machine: {
    hypervisor: string;
    accelerator: Accelerator;
    memory_mib: number;
    kernel: string;
  };
  migration: {
    uri: string;
    wan_bps: number;
    /** QEMU's own figures (query-migrate). */
    octets: number;
    total_ms: number;
    downtime_ms: number;
  };
  /** What happened when, since the migration began, by one clock. */
  marks: {
    stop_ms: number;
    resume_ms: number;
    binding_update_ms: number;
    binding_acknowledgement_ms: number;
    first_packet_ms: number;
  };
  blackout: Blackout;
  binding: {
    state: string;
    status: number | undefined;
    homeAddress: string;
    careOfAddress: string;
    homeAgent: string;
    protection: string;
    /** As the daemon on Host B saw it. */
    arrival?: { trigger_ms: number; answer_ms?: number };
  };
  ping: {
    command: string;
    interval_ms: number;
    /** The last twenty echo requests were all answered. */
    reachable_after: boolean;
    /** Between the last answer before and the first answered request after the blackout. */
    gap_ms?: number;
    /** Before the migration, while QEMU copies, through the tunnel. */
    before: EchoStatistics;
    copy: EchoStatistics;
    after: EchoStatistics;
    /** Each echo request: when it left, since the migration began, and its round trip; null: lost. */
    echoes: { at_ms: number; rtt_ms: number | null }[];
  };
  tcp: {
    alive: boolean;
    bytes_before_move: number;
    bytes_after_move: number;
    longest_gap_ms: number;
    error?: string;
  };
  disk?: DiskResult;
  /** In tcpdump's words, with the time in seconds since 1970. */
  capture: {
    binding_update: string;
    binding_acknowledgement: string;
    first_packet: string;
    command: string;
    file?: string;
  };
  /** The file with Figure 4, as it was asked for. */
  figure: string;
  machine: ThisMachine;
}

/** Whether the guest came over whole: the demo's exit code says so. */
export function held({ binding, ping, tcp, disk }: VmResult): boolean {
  const registered = binding.state === 'registered' && binding.status === 0;
  const intact =
    disk === undefined ||
    (disk.records_after_move > 0 && disk.records_intact === disk.records_written);
  return registered && ping.reachable_after && tcp.alive && intact;
}
