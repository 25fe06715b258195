import { resolve } from 'node:path';
import { PAPER_MIGRATION } from '../paper-figures.js';
import { tabulate } from '../tabulate.js';
import type { EchoStatistics } from './echoes.js';
import type { VmResult } from './result.js';

/** A part of the blackout: since the migration began, milliseconds. */
export interface Part {
  readonly name: string;
  readonly between: string;
  readonly from_ms: number;
  /** Negative when the end came first (`early`). */
  readonly duration_ms: number;
  readonly early: boolean;
  /** The paper's words. */
  readonly paper: string;
}

/** The parts of the blackout in their order, and the whole. */
export function partsOf({ marks, blackout }: Pick<VmResult, 'marks' | 'blackout'>): Part[] {
  const { resume_ms, binding_update_ms, binding_acknowledgement_ms } = marks;
  const delivered = Math.max(resume_ms, binding_acknowledgement_ms);
  const part = (
    name: keyof typeof PAPER_MIGRATION.blackout,
    between: string,
    from_ms: number,
    duration_ms: number,
    early = false,
  ): Part => ({
    name,
    between,
    from_ms,
    duration_ms,
    early,
    paper: PAPER_MIGRATION.blackout[name],
  });
  return [
    part('hypervisor', 'STOP to RESUME', marks.stop_ms, blackout.hypervisor_ms),
    part('trigger', 'RESUME to BU', resume_ms, blackout.trigger_ms, blackout.early),
    part('Home Agent', 'BU to BA', binding_update_ms, blackout.home_agent_ms),
    part('delivery', 'to the first packet', delivered, blackout.delivery_ms),
    part('total', 'STOP to first packet', marks.stop_ms, blackout.total_ms),
  ];
}

/** `12.3 ms`, and `5.0 ms early` of what is negative. */
export function milliseconds(ms: number): string {
  const digits = Math.abs(ms) < 100 ? 1 : 0;
  return ms < 0 ? `${(-ms).toFixed(digits)} ms early` : `${ms.toFixed(digits)} ms`;
}

/** The result of the demo with a virtual machine, for a person. */
export function describeVm(result: VmResult): string {
  const { binding, ping, tcp, disk, capture, migration, virtual_machine: vm } = result;
  const blackout = [
    ['', '', 'paper', 'here'],
    ...partsOf(result).map(({ name, between, duration_ms, paper }) => [
      name,
      between,
      paper,
      milliseconds(duration_ms),
    ]),
  ];
  const { rtt } = PAPER_MIGRATION;
  const rtts = [
    ['', 'sent', 'lost', 'min', 'median', 'p95', 'max', 'paper'],
    row('before', ping.before, rtt.before),
    row('during the copy', ping.copy, rtt.copy),
    row('through the tunnel', ping.after, rtt.after),
  ];
  const answer = binding.arrival?.answer_ms;
  const arrival =
    binding.arrival === undefined
      ? ''
      : `; the daemon's own times: BU ${milliseconds(binding.arrival.trigger_ms)} after it knew${answer === undefined ? '' : `, BA ${milliseconds(answer)} after that`}`;
  return `
The WAN and the guest's tap on Host B, as tcpdump read them
  BU     ${capture.binding_update}
  BA     ${capture.binding_acknowledgement}
  first  ${capture.first_packet}

The move
  machine        ${vm.memory_mib} MB, ${vm.hypervisor} with ${vm.accelerator === 'kvm' ? 'KVM' : 'software emulation'}, ${vm.kernel}
  migration      ${(migration.octets / 1e6).toFixed(1)} MB in ${(migration.total_ms / 1000).toFixed(1)} s over ${migration.wan_bps / 1e6} Mbit/s, to ${migration.uri}; QEMU's own downtime ${migration.downtime_ms} ms
  binding        ${binding.homeAddress} at ${binding.careOfAddress}: ${binding.state}, status ${binding.status}, protected by ${binding.protection}${arrival}
  ping6 after    ${ping.reachable_after ? 'reachable' : 'not reachable'}${ping.gap_ms === undefined ? '' : `; ${milliseconds(ping.gap_ms)} between two answered echo requests across the move`}
  TCP stream     ${tcp.alive ? 'alive' : `dead (${tcp.error ?? 'no octets'})`}: ${tcp.bytes_before_move} octets before the move, ${tcp.bytes_after_move} after, longest gap ${tcp.longest_gap_ms} ms${
    disk === undefined
      ? ''
      : `
  disk           ${disk.export}: ${disk.records_intact} of ${disk.records_written} records are as the guest wrote them, ${disk.records_after_move} of them written after the move`
  }

The blackout, beside the paper (128 MB over 100 Mbit/s, 2011)
${tabulate(blackout)}

ping6 from the correspondent, every ${ping.interval_ms} ms, ms
${tabulate(rtts)}

Where each number comes from
  paper            its authors' own words, repeated here for comparison
  STOP, RESUME     QEMU's events at Host A and Host B, with QEMU's times
  BU, BA           the capture of Host B's wan0, read by ${capture.command.split(' -r ')[0]}
  first packet     the first of the correspondent's at the guest's tap on Host B; one leaves every ${ping.interval_ms} ms
  ping6            ${ping.command}
  machine          ${result.machine.cpu}, ${result.machine.cores} cores, ${result.machine.kernel} ${result.machine.architecture}, Node ${result.machine.node}

Figure 4 is in ${resolve(result.figure)}
`;
}

function row(name: string, echoes: EchoStatistics, paper: string): string[] {
  const time = (ms: number | undefined): string => (ms === undefined ? '-' : ms.toFixed(2));
  const { sent, lost, min_ms, median_ms, p95_ms, max_ms } = echoes;
  return [name, `${sent}`, `${lost}`, ...[min_ms, median_ms, p95_ms, max_ms].map(time), paper];
}
