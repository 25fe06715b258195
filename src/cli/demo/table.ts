import { PAPER_COLUMNS, PAPER_FIGURES } from './paper-figures.js';
import type { DemoResult } from './result.js';
import { tabulate } from './tabulate.js';

const mbit = (bps: number): string =>
  bps >= 1e9 ? `${(bps / 1e9).toFixed(2)} Gbit/s` : `${(bps / 1e6).toFixed(1)} Mbit/s`;
const ms = (value: number): string => `${value.toFixed(3)} ms`;

/** The demo's result for a person: Listings 2 and 1, what happened to ping and TCP, and the paper's table with ours beside it. */
export function describe(result: DemoResult): string {
  const { binding, ping, tcp, iperf, paper_wire: wire, capture } = result;
  const rtt = (p: typeof ping.registered): string =>
    `${p.avg_ms.toFixed(2)} ms (${p.stddev_ms.toFixed(3)})`;
  const rows: string[][] = [
    ['', ...PAPER_COLUMNS, 'here: tunnel', 'here: native'],
    [
      ...PAPER_FIGURES.tcp,
      mbit(wire.tunnel.tcp.bits_per_second),
      mbit(wire.native.tcp.bits_per_second),
    ],
    [...PAPER_FIGURES.cpu, `${wire.tunnel.tcp.cpu_percent.toFixed(1)} %`, '-'],
    [...PAPER_FIGURES.rtt, rtt(wire.tunnel.ping), rtt(wire.native.ping)],
    [...PAPER_FIGURES.memory, `${(result.memory.host_daemon_rss_bytes / 1e6).toFixed(0)} MB`, '-'],
  ];
  return `
The WAN, as tcpdump read it (the paper's Listing 2: the registration under ESP)
  1  ${capture.protected_binding_update}
  2  ${capture.protected_binding_acknowledgement}
  3  ${capture.guest_to_correspondent}
  4  ${capture.correspondent_to_guest}

The same registration without protection (the paper's Listing 1)
  1  ${capture.binding_update}
  2  ${capture.binding_acknowledgement}

The move
  binding        ${binding.homeAddress} at ${binding.careOfAddress}: ${binding.state}, status ${binding.status}, protected by ${binding.protection}, lifetime ${binding.lifetime} s
  registered     ${binding.move_to_registered_ms} ms after the cable moved (the Home Agent's duplicate address detection takes 1000 ms of it)
  ping6 before   ${ping.at_home.received}/${ping.at_home.sent} answered, ${ms(ping.at_home.avg_ms)} on average
  ping6 across   ${ping.across_move.received}/${ping.across_move.sent} answered, one each 100 ms, from Host A to the guest
  ping6 after    ${ping.registered.received}/${ping.registered.sent} answered, ${ms(ping.registered.avg_ms)} on average; lost while registered: ${ping.lost}
  TCP stream     ${tcp.survived ? 'alive' : `dead (${tcp.error ?? 'no octets'})`}: ${tcp.bytes_before_move} octets before the move, ${tcp.bytes_after_move} after, longest gap ${tcp.longest_gap_ms} ms
  iperf3         up ${mbit(iperf.up_bps)}, down ${mbit(iperf.down_bps)} (bare wire, everything on this machine's ${result.machine.cores} cores)

Beside the paper (100 Mbit/s, 2-core host, 2011)
${tabulate(rows)}

Where each number comes from
  paper            its authors' own figures, repeated here for comparison
  iperf TCP        ${wire.tunnel.tcp.command}   (tunnel: guest at Host B to Host A; native: guest at home to Host B, same wire)
  CPU              utime + stime of the kagemusha host process in /proc over that iperf3 run, percent of one core
  ping6            ${wire.tunnel.ping.command}
  memory           VmRSS of the kagemusha host process (Node.js included)
  iperf3           ${iperf.up.command}; with -R for down
  Listings         kagemusha capture on Host B's wan0, read by ${capture.command.split(' -r ')[0]}
  machine          ${result.machine.cpu}, ${result.machine.cores} cores, ${result.machine.kernel} ${result.machine.architecture}, Node ${result.machine.node}
`;
}
