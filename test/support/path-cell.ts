import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import type { TunnelStatus } from '../../src/daemon/status.js';
import { type Filter, PathLab } from './path-lab.js';
import {
  type Echoes,
  echoes,
  type Oddities,
  serve,
  sizesFor,
  transfer,
  watchFor,
  watchSegmentSizes,
} from './path-traffic.js';

/** A path of the matrix. */
export interface Path {
  /** MTU of the link in the middle, of the others, and of the guest's NIC and the home link. */
  readonly path: number;
  readonly uplink: number;
  readonly nic: number;
}

/** What a cell of the matrix measured, for the record. */
export interface CellFigures extends Path {
  readonly filter: Filter;
  /** Milliseconds from `registered` until the first transfer was complete. */
  readonly first: {
    readonly tcpUp: number;
    readonly tcpDown: number;
    readonly udp: number;
    /** Until both ends knew what the path carries. */
    readonly found: number;
  };
  readonly tunnel: unknown;
  readonly mbit: { readonly fromGuest: number; readonly fromCorrespondent: number };
  /** Seconds for the big transfers with curl. */
  readonly curl: { readonly up: number; readonly down: number };
  readonly sizes: number;
  /** How many sizes needed another attempt. */
  readonly again: Record<string, number>;
  readonly fragments: number;
}

export const FILTERS = ['none', 'icmpv6-errors', 'all-icmpv6'] as const;

const FIRST = 1_000_000;
const BIG = 20_000_000;
/** Octets of an IPv6 packet. */
const LARGEST = 9000;
/** What a first transfer may need: a black hole is found by then. */
const FIRST_WITHIN_MS = 8000;
const OUTER_HEADER = 40;
const TCP_IP_HEADERS = 60;
const MINIMUM_MTU = 1280;
const TCP = '6';

/** Builds a path, and tries everything on it behind each filter. */
export async function tryPath(
  t: Test,
  path: Path,
  filters: readonly Filter[],
): Promise<CellFigures[]> {
  const lab = await PathLab.start(path);
  t.teardown(() => lab.remove());
  const { guest, correspondent } = lab.nodes;
  for (const netns of [guest, correspondent]) {
    await serve(netns, 'every-size.py', 'serve');
    await serve(netns, 'web.py');
  }
  await Promise.all([FIRST, BIG].map((octets) => zeros(lab, octets)));
  const figures: CellFigures[] = [];
  for (const filter of filters) {
    await t.test(`filter ${filter}`, async (t) => {
      await lab.filter(filter);
      try {
        figures.push(await tryCell(t, lab, path, filter));
      } finally {
        await lab.unregister();
      }
    });
  }
  return figures;
}

async function tryCell(t: Test, lab: PathLab, path: Path, filter: Filter): Promise<CellFigures> {
  const wires = await watchWires(lab, path);
  await lab.register();
  const registered = performance.now();
  const first = await firstTransfers(t, lab, registered);
  const tunnel = await agreed(t, lab, path);
  const found = Math.round(performance.now() - registered);
  t.comment(`first transfers ${JSON.stringify(first)}, path known ${found} ms after registration`);
  const searching = await wires();

  const steady = await watchWires(lab, path);
  const syns = await watchSyns(lab);
  const { mbit, curl } = await bigTransfers(t, lab);
  await segmentsFit(t, path, await syns());
  const { sizes, again } = await everySize(t, lab, path);
  const behaving = await steady();
  await agreed(t, lab, path);

  for (const [index, where] of ['the host', 'the Home Agent'].entries()) {
    const [before, after] = [searching[index] ?? NOTHING, behaving[index] ?? NOTHING];
    judgeWire(t, `the wire of ${where}, first transfers`, before);
    judgeWire(t, `the wire of ${where}`, after);
    t.notOk(
      after.carried.some((chain) => chain.split(' ').includes(TCP)),
      'RFC 2473 7.1: no fragments of TCP that began after the path was known',
    );
    if (path.path - OUTER_HEADER >= MINIMUM_MTU)
      t.equal(after.fragments, 0, 'no fragments where 1280 octets fit');
  }
  const fragments = behaving.reduce((sum, { fragments: more }) => sum + more, 0);
  return {
    ...path,
    filter,
    first: { ...first, found },
    tunnel,
    mbit,
    curl,
    sizes,
    again,
    fragments,
  };
}

const NOTHING: Oddities = { tooLong: 0, fragments: 0, inner: [], carried: [] };

/** RFC 2473 7.1, whatever the ends know of the path. */
function judgeWire(t: Test, where: string, { tooLong, fragments, inner, carried }: Oddities): void {
  t.comment(`${where}: ${fragments} fragments, of ${carried}`);
  t.equal(tooLong, 0, `${where}: nothing longer than the link`);
  const shorter = inner.filter((length) => length <= MINIMUM_MTU - 8 - OUTER_HEADER);
  t.same(shorter, [], 'no fragments of what fits anywhere');
  const longer = inner.filter((length) => length > MINIMUM_MTU);
  t.same(longer, [], 'no fragments of what Packet Too Big is for');
}

/** The wires at both ends of the tunnel. */
async function watchWires(lab: PathLab, { uplink }: Path): Promise<() => Promise<Oddities[]>> {
  const { host, homeAgent } = lab.nodes;
  const watches = await Promise.all(
    [host, homeAgent].map((netns) => watchFor(lab.directory, netns, 'wan0', uplink)),
  );
  return async () => await Promise.all(watches.map((watch) => watch.stop()));
}

/** The last segment size that each end of a connection was told. */
async function watchSyns(lab: PathLab): Promise<() => Promise<Record<string, number>>> {
  const { guest, correspondent } = lab.nodes;
  const watches = {
    guest: await watchSegmentSizes(lab.directory, guest, 'eth0', PAPER.hostA),
    correspondent: await watchSegmentSizes(lab.directory, correspondent, 'eth0', PAPER.guest),
  };
  return async () => ({
    guest: (await watches.guest.stop()).at(-1) ?? 0,
    correspondent: (await watches.correspondent.stop()).at(-1) ?? 0,
  });
}

function segmentsFit(t: Test, { path, nic }: Path, told: Record<string, number>): void {
  const most = Math.min(path - OUTER_HEADER, nic) - TCP_IP_HEADERS;
  for (const [end, size] of Object.entries(told))
    t.ok(
      size <= most && size > most - 8,
      `the ${end} hears of segments of ${size}, of ${most} that fit`,
    );
}

/** Milliseconds from `registered` until the first transfers that need long packets were complete. */
async function firstTransfers(
  t: Test,
  lab: PathLab,
  registered: number,
): Promise<{ tcpUp: number; tcpDown: number; udp: number }> {
  const { guest } = lab.nodes;
  const after = async (attempt: Promise<unknown>): Promise<number> => {
    await attempt;
    return Math.round(performance.now() - registered);
  };
  const [tcpUp, tcpDown, udp] = await Promise.all([
    after(get(lab, 'up', FIRST)),
    after(get(lab, 'down', FIRST)),
    after(whole(t, 'the first big datagram', echoes(guest, 'udp', PAPER.hostA, [LARGEST], 0.05))),
  ]);
  const took = { tcpUp, tcpDown, udp };
  for (const [what, ms] of Object.entries(took)) t.ok(ms < FIRST_WITHIN_MS, `${what}: ${ms} ms`);
  return took;
}

/** A transfer between the guest, which asks, and the correspondent; gives its seconds. */
async function get(lab: PathLab, direction: 'up' | 'down', octets: number): Promise<number> {
  const file = join(lab.directory, `${octets}`);
  return await transfer(lab.nodes.guest, PAPER.hostA, octets, direction, file);
}

/** TCP as fast as it goes, opened from both ends. */
async function bigTransfers(t: Test, lab: PathLab): Promise<Pick<CellFigures, 'mbit' | 'curl'>> {
  const { guest, correspondent } = lab.nodes;
  const [fromGuest, fromCorrespondent] = await Promise.all([
    iperf(guest, correspondent, PAPER.hostA, { seconds: 2, down: false }),
    iperf(correspondent, guest, PAPER.guest, { seconds: 2, down: false }),
  ]);
  const mbit = {
    fromGuest: Math.round(fromGuest.bits_per_second / 1e6),
    fromCorrespondent: Math.round(fromCorrespondent.bits_per_second / 1e6),
  };
  t.ok(mbit.fromGuest > 5 && mbit.fromCorrespondent > 5, `iperf3: ${JSON.stringify(mbit)} Mbit/s`);
  const curl = { up: await get(lab, 'up', BIG), down: await get(lab, 'down', BIG) };
  t.comment(`curl, 20 MB: ${JSON.stringify(curl)} s`);
  return { mbit, curl };
}

/** Echoes of every size in both directions, from the shortest to the longest and the other way about. */
async function everySize(
  t: Test,
  lab: PathLab,
  path: Path,
): Promise<Pick<CellFigures, 'sizes' | 'again'>> {
  const { guest, correspondent } = lab.nodes;
  const up = sizesFor(path);
  const down = up.toReversed();
  const runs = {
    'UDP from the guest': echoes(guest, 'udp', PAPER.hostA, up),
    'UDP from the correspondent': echoes(correspondent, 'udp', PAPER.guest, down),
    'ping from the guest': echoes(guest, 'icmp', PAPER.hostA, down),
    'ping from the correspondent': echoes(correspondent, 'icmp', PAPER.guest, up),
  };
  const again: Record<string, number> = {};
  for (const [what, run] of Object.entries(runs)) {
    const { sizes, again: more, seconds } = await whole(t, what, run);
    again[what] = more.length;
    t.comment(
      `${what}: ${sizes} sizes in ${seconds} s, again ${more.length}: ${more.slice(0, 10)}`,
    );
  }
  return { sizes: up.length, again };
}

/** Every size came back as it was sent. */
async function whole(t: Test, what: string, run: Promise<Echoes>): Promise<Echoes> {
  const result = await run;
  t.same(result.lost.slice(0, 20), [], `${what}: every size comes back`);
  t.same(result.wrong, [], `${what}: as it was sent`);
  return result;
}

/** Both ends find out what the path carries: never more, and nearly that. */
async function agreed(t: Test, lab: PathLab, { path, uplink }: Path): Promise<unknown> {
  const carried = Math.min(path, uplink);
  const look = async () => ({
    host: (await lab.guestStatus()).tunnel,
    homeAgent: (await lab.bindingStatus()).tunnel,
  });
  const isRight = (tunnel: TunnelStatus | undefined): boolean =>
    tunnel !== undefined && tunnel.pathMtu <= carried && tunnel.pathMtu > carried - 8;
  const seen = await until('the path MTU', async () => {
    const ends = await look();
    return isRight(ends.host) && isRight(ends.homeAgent) ? ends : undefined;
  }).catch(look);
  for (const [end, tunnel] of Object.entries(seen)) {
    t.ok(isRight(tunnel), `the ${end} knows a path of ${carried}: ${JSON.stringify(tunnel)}`);
    const inside = Math.max(MINIMUM_MTU, (tunnel?.pathMtu ?? 0) - OUTER_HEADER);
    t.equal(tunnel?.mtu, inside, 'and what fits inside');
  }
  return seen;
}

/** A file to upload. */
async function zeros(lab: PathLab, octets: number): Promise<void> {
  const file = join(lab.directory, `${octets}`);
  await writeFile(file, '');
  await truncate(file, octets);
}
