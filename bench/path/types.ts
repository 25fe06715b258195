import type { Machine } from '../machine.js';

/** What is between Home Agent and host: a wire as fast as the machine, or the paper's. */
export const PROFILES = ['wire', 'shaped'] as const;
export type Profile = (typeof PROFILES)[number];

/** Numbers by what they are; the unit is the end of the name. */
export type Figures = Readonly<Record<string, number>>;

/** One measurement. */
export interface Run {
  readonly profile: Profile;
  /** from 1 */
  readonly round: number;
  readonly row: string;
  readonly measure: string;
  readonly figures: Figures;
  readonly command: string;
}

/** Medians over the rounds. */
export interface Summary {
  readonly median: Figures;
  /** own ÷ kernel of the same round, the median of these; where the kernel's row ran too */
  readonly ratio_to_kernel?: Figures;
  /** own − kernel of the same round, the median of these; of times */
  readonly added_to_kernel?: Figures;
  /** own ÷ (native less the headers that a packet carries for the tunnel), the median over rounds; of `gbit_per_s` */
  readonly ratio_to_native_less_headers?: number;
}

export interface RowResult {
  readonly name: string;
  /** what it is, in a line */
  readonly path: string;
  /** by name of the measurement */
  readonly measures: Readonly<Record<string, Summary>>;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** bench/results/path.json */
export interface PathResult {
  readonly schemaVersion: 1;
  /** ISO 8601 */
  readonly date: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly command: string;
  /** how the kernel makes its tunnel: `srv6` or `ip6tnl` */
  readonly kernel_tunnel: string;
  /** cores that were busy before anything ran: what else the machine was doing */
  readonly background_busy_cores: number;
  readonly rounds: number;
  /** how long all of it took */
  readonly seconds: number;
  readonly profiles: readonly { readonly name: Profile; readonly rows: readonly RowResult[] }[];
  readonly skipped: readonly Skipped[];
  readonly runs: readonly Run[];
}
