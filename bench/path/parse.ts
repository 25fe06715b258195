import type { Figures } from './types.js';

/** What iperf3 -J prints, as far as it is read here. */
interface IperfSum {
  readonly bits_per_second: number;
  readonly seconds: number;
  readonly packets?: number;
  readonly lost_packets?: number;
}

interface IperfOutput {
  readonly error?: string;
  readonly end?: {
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum_received?: IperfSum;
  };
  readonly intervals?: readonly { readonly sum: IperfSum & { readonly omitted?: boolean } }[];
  readonly server_output_json?: IperfOutput;
}

function iperfJson(text: string): IperfOutput {
  const output = JSON.parse(text) as IperfOutput;
  if (output.error !== undefined) throw new Error(`iperf3: ${output.error}`);
  return output;
}

/** A TCP run: what the receiver got. @throws Error when iperf3 failed or says something else */
export function tcpFigures(text: string): Figures {
  const { end } = iperfJson(text);
  if (end?.sum_received === undefined) throw new Error('iperf3: no sum of what was received');
  return {
    gbit_per_s: end.sum_received.bits_per_second / 1e9,
    retransmits: end.sum_sent?.retransmits ?? 0,
  };
}

/**
 * A UDP run: how many datagrams a second were sent, and how many came, by the intervals of both ends. The other end's come with
 * `--get-server-output` from a server that speaks JSON too. @throws Error when iperf3 failed or says something else
 */
export function udpFigures(text: string, down: boolean): Figures {
  const client = iperfJson(text);
  const server = client.server_output_json;
  const sent = datagrams(down ? server : client);
  const received = datagrams(down ? client : server);
  const delivered = (received.packets - received.lost) / received.seconds;
  const offered = sent.packets / sent.seconds;
  return {
    offered_pps: offered,
    delivered_pps: delivered,
    loss_percent: Math.max(0, 100 * (1 - delivered / offered)),
  };
}

function datagrams(output: IperfOutput | undefined): {
  packets: number;
  lost: number;
  seconds: number;
} {
  const counted = (output?.intervals ?? []).map(({ sum }) => sum).filter((sum) => !sum.omitted);
  const total = (of: (sum: IperfSum) => number): number =>
    counted.reduce((result, sum) => result + of(sum), 0);
  const seconds = total((sum) => sum.seconds);
  if (!(seconds > 0)) throw new Error('iperf3: an end without intervals');
  return {
    packets: total((sum) => sum.packets ?? 0),
    lost: total((sum) => sum.lost_packets ?? 0),
    seconds,
  };
}

/** Round-trip times in milliseconds, in the order of ping's lines (iputils). */
export function replyTimes(text: string): number[] {
  return [...text.matchAll(/ time=([\d.]+) ms/g)].map(([, time]) => Number(time));
}

/** Seconds that all cores together were busy since the machine started: all but idle, waiting for a disk, and stolen. proc_stat(5) */
export function busySeconds(stat: string): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').map(Number) ?? [];
  const [user, nice, system, , , irq, softirq] = fields;
  if (softirq === undefined) throw new Error('/proc/stat without a line of all cores');
  const ticks = (user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + softirq;
  return ticks / 100; // USER_HZ, as every Linux that Node runs on shows it
}

/** What a device has received (first) and sent, in packets and octets (/proc/net/dev). */
export interface DeviceCounts {
  readonly packets: number;
  readonly octets: number;
}

/** Both directions of a device together. @throws Error when there is none of that name */
export function deviceCounts(text: string, device: string): DeviceCounts {
  const line = text.split('\n').find((one) => one.trim().startsWith(`${device}:`));
  const fields = line?.split(':')[1]?.trim().split(/ +/).map(Number);
  if (fields === undefined) throw new Error(`/proc/net/dev without ${device}`);
  return {
    octets: (fields[0] ?? 0) + (fields[8] ?? 0),
    packets: (fields[1] ?? 0) + (fields[9] ?? 0),
  };
}
