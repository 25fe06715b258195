import type { GuestStatus } from '../../../daemon/status.js';
import type { ArrivalReport } from '../../../migration/index.js';
import { PAPER } from '../configuration.js';
import type { StreamReport } from '../tcp-stream.js';
import { thisMachine } from '../this-machine.js';
import { type Marks, micro, split } from './blackout.js';
import type { DiskResult } from './disk.js';
import { type Echo, gapAround, statistics } from './echoes.js';
import type { VmResult } from './result.js';
import type { Stage } from './stage.js';
import type { Seen } from './wan.js';

/** All of the result but where the figure is. */
export type VmStory = Omit<VmResult, 'figure'>;

/** What QEMU told; times in milliseconds since 1970. */
export interface Migration extends Pick<Marks, 'copy' | 'stop' | 'resume'> {
  readonly uri: string;
  readonly wanBps: number;
  readonly hypervisor: string;
  readonly octets: number;
  readonly totalMs: number;
  readonly downtimeMs: number;
}

/** What was seen of a move. */
export interface Observed {
  readonly stage: Pick<Stage, 'machine' | 'kernel'>;
  readonly migration: Migration;
  readonly seen: Seen;
  readonly guest: GuestStatus;
  readonly ping: { readonly command: string; readonly interval: number; readonly echoes: Echo[] };
  readonly stream: { readonly before: number; readonly report: StreamReport };
  readonly disk?: DiskResult;
  readonly capture: { readonly command: string; readonly file?: string };
}

/** Echo requests that must all be answered in the end. */
const REACHABLE = 20;

/** The result of what was seen; its times are since the migration began. */
export function report(observed: Observed): VmStory {
  const { stage, migration, seen, guest, stream, disk, capture } = observed;
  const { copy, stop, resume } = migration;
  const { update, acknowledgement, first, packets } = seen;
  const marks: Marks = { copy, stop, resume, update, acknowledgement, first };
  const { machine } = stage;
  const { error, bytes, longestGapMs } = stream.report;
  return {
    schemaVersion: 1,
    date: new Date().toISOString(),
    command: `kagemusha demo --vm${disk === undefined ? '' : ' --disk'} --json`,
    virtual_machine: {
      hypervisor: migration.hypervisor,
      accelerator: machine.accelerator,
      memory_mib: machine.memoryMib,
      kernel: stage.kernel,
    },
    migration: {
      uri: migration.uri,
      wan_bps: migration.wanBps,
      octets: migration.octets,
      total_ms: migration.totalMs,
      downtime_ms: migration.downtimeMs,
    },
    marks: {
      stop_ms: micro(stop - copy),
      resume_ms: micro(resume - copy),
      binding_update_ms: micro(update - copy),
      binding_acknowledgement_ms: micro(acknowledgement - copy),
      first_packet_ms: micro(first - copy),
    },
    blackout: split(marks),
    binding: bindingOf(guest),
    ping: pingOf(observed, marks),
    tcp: {
      alive: error === undefined && bytes > stream.before,
      bytes_before_move: stream.before,
      bytes_after_move: bytes - stream.before,
      longest_gap_ms: longestGapMs,
      ...(error === undefined ? {} : { error }),
    },
    ...(disk === undefined ? {} : { disk }),
    capture: {
      binding_update: packets.protected_binding_update,
      binding_acknowledgement: packets.protected_binding_acknowledgement,
      first_packet: packets.first_packet,
      ...capture,
    },
    machine: thisMachine(),
  };
}

function bindingOf({ binding, protection, arrival }: GuestStatus): VmStory['binding'] {
  return {
    state: binding.state,
    status: binding.status,
    homeAddress: PAPER.guest,
    careOfAddress: PAPER.careOf,
    homeAgent: PAPER.homeAgent,
    protection,
    ...(arrival === undefined
      ? {}
      : { arrival: { trigger_ms: micro(arrival.trigger), ...answerOf(arrival) } }),
  };
}

function answerOf({ answer }: ArrivalReport): { answer_ms?: number } {
  return answer === undefined ? {} : { answer_ms: micro(answer) };
}

function pingOf({ ping }: Observed, marks: Marks): VmStory['ping'] {
  const { command, interval, echoes } = ping;
  const { copy, stop } = marks;
  const back = stop + split(marks).total_ms;
  const last = echoes.slice(-REACHABLE);
  const gap = gapAround(echoes, stop);
  return {
    command,
    interval_ms: interval,
    reachable_after: last.length === REACHABLE && last.every(({ rtt }) => rtt !== undefined),
    ...(gap === undefined ? {} : { gap_ms: micro(gap) }),
    before: statistics(echoes.filter(({ sentAt }) => sentAt < copy)),
    copy: statistics(echoes.filter(({ sentAt }) => sentAt >= copy && sentAt < stop)),
    after: statistics(echoes.filter(({ sentAt }) => sentAt >= back)),
    echoes: echoes.map(({ sentAt, rtt }) => ({ at_ms: micro(sentAt - copy), rtt_ms: rtt ?? null })),
  };
}
