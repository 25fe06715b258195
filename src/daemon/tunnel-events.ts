import type { TunnelCounters } from '../datapath/index.js';

/** What happened to packets of a tunnel that were carried all the same; as the engine counts it. */
export type TunnelEvents = Pick<TunnelCounters, 'ecnAlarms' | 'fragmentsSent' | 'mssClamped'>;

/** Of several tunnels together. */
export function tunnelEvents(counters: readonly TunnelEvents[]): TunnelEvents {
  const sum = (pick: (one: TunnelEvents) => number): number =>
    counters.reduce((total, one) => total + pick(one), 0);
  return {
    ecnAlarms: sum(({ ecnAlarms }) => ecnAlarms),
    fragmentsSent: sum(({ fragmentsSent }) => fragmentsSent),
    mssClamped: sum(({ mssClamped }) => mssClamped),
  };
}
