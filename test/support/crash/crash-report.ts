import type { PingResult } from '../../../src/cli/demo/measure.js';
import type { AssociationVerdict, UpdatesVerdict } from './sequence-judge.js';
import type { Sighting } from './sightings.js';
import type { Victim } from './victim.js';

/** Milliseconds. */
export interface Spread {
  readonly median: number;
  readonly max: number;
}

export interface VictimReport {
  readonly kills: number;
  /** From the start of the process to the first answer of its control socket. */
  readonly start_ms: Spread;
  /** From kill -9 until all is as before: registered anew, bound, echo replies through the tunnel. */
  readonly back_ms: Spread;
}

export interface CrashReport {
  readonly rounds: number;
  readonly seed: number;
  readonly seconds: number;
  /** Rounds by instant and victims. */
  readonly scenes: Readonly<Record<string, number>>;
  readonly host: VictimReport;
  readonly homeAgent: VictimReport;
  readonly associations: readonly AssociationVerdict[];
  readonly updates: readonly UpdatesVerdict[];
  /** Binding Acknowledgements by status. */
  readonly acknowledgements: Readonly<Record<string, number>>;
  /** Restarts of the Home Agent after which a binding had to be there still, and those after which it was not. */
  readonly bindings: { readonly checked: number; readonly lost: number };
  /** Restarts of the host after which the tunnel had to be open at once, and those after which it was not. */
  readonly tunnels: { readonly checked: number; readonly closed: number };
  /** Packets that the capture missed. */
  readonly unseen: number;
  readonly echo: PingResult;
  readonly failures: readonly string[];
}

export function reportOf(victim: Victim): VictimReport {
  const { kills, startTimes, backTimes } = victim;
  return { kills, start_ms: spread(startTimes), back_ms: spread(backTimes) };
}

export function countStatuses(sightings: readonly Sighting[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { message } of sightings) {
    if (message?.kind !== 'acknowledgement') continue;
    counts[message.status] = (counts[message.status] ?? 0) + 1;
  }
  return counts;
}

function spread(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (index: number): number => Math.round(sorted.at(index) ?? Number.NaN);
  return { median: at(sorted.length >> 1), max: at(-1) };
}
