/** One echo request of ping's. Times in milliseconds. */
export interface Echo {
  readonly sequence: number;
  /** Since 1970. */
  readonly sentAt: number;
  /** Left out when nothing came back by the time that the next one left, nor later. */
  readonly rtt?: number;
}

/** The echoes of a phase; times in milliseconds, left out where none was answered. */
export interface EchoStatistics {
  sent: number;
  lost: number;
  min_ms?: number;
  median_ms?: number;
  p95_ms?: number;
  max_ms?: number;
}

const LINE = /^\[(\d+\.\d+)\] (.*)$/;
const ANSWER = /icmp_seq=(\d+) ttl=.* time=([\d.]+) ms/;
const MISSING = /^no answer yet for icmp_seq=(\d+)/;

/**
 * Reads what `ping -D -O` (iputils) says of each echo request, in their order. An answer's time is when it came, that of `no answer yet` when
 * the next request leaves. Requests of which nothing was said yet are left out.
 */
export function readEchoes(output: string, intervalMs: number): Echo[] {
  const echoes = new Map<number, Echo>();
  for (const line of output.split('\n')) {
    const [, stamp, said = ''] = LINE.exec(line) ?? [];
    if (stamp === undefined) continue;
    const at = Number(stamp) * 1000;
    const [, answered, time] = ANSWER.exec(said) ?? [];
    const [, missing] = MISSING.exec(said) ?? [];
    const sequence = Number(answered ?? missing);
    if (Number.isNaN(sequence)) continue;
    if (echoes.get(sequence)?.rtt !== undefined) continue;
    if (time === undefined) echoes.set(sequence, { sequence, sentAt: at - intervalMs });
    else echoes.set(sequence, { sequence, sentAt: at - Number(time), rtt: Number(time) });
  }
  return [...echoes.values()].sort((a, b) => a.sequence - b.sequence);
}

export function statistics(echoes: readonly Echo[]): EchoStatistics {
  const rtts = echoes.flatMap(({ rtt }) => rtt ?? []).sort((a, b) => a - b);
  const counts = { sent: echoes.length, lost: echoes.length - rtts.length };
  const [min] = rtts;
  const max = rtts.at(-1);
  if (min === undefined || max === undefined) return counts;
  const at = (share: number): number => rtts[Math.ceil(share * rtts.length) - 1] ?? max;
  return { ...counts, min_ms: min, median_ms: at(0.5), p95_ms: at(0.95), max_ms: max };
}

/** From the last answered echo before a time to the first answered one sent after it; undefined without either. */
export function gapAround(echoes: readonly Echo[], time: number): number | undefined {
  const answered = echoes.filter(({ rtt }) => rtt !== undefined);
  const before = answered.findLast(({ sentAt, rtt = 0 }) => sentAt + rtt <= time);
  const after = answered.find(({ sentAt }) => sentAt > time);
  if (before === undefined || after === undefined) return undefined;
  return after.sentAt - before.sentAt;
}
