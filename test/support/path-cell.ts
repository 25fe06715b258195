import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf } from '../../src/cli/demo/measure.js';
import type { Netns } from '../../src/cli/demo/netns.js';
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
  readonly first: { readonly tcpUp: number; readonly tcpDown: number; readonly udp: number };
  readonly tunnel: unknown;
  readonly mbit: { readonly fromGuest: number; readonly fromCorrespondent: number };
  /** Seconds for the big transfers with curl. */
  readonly curl: { readonly up: number; readonly down: number };
  readonly sizes: number;
  /** How many sizes needed another attempt. */
  readonly again: Record<string, number>;
  readonly fragments: number;
}

const FIRST = 1_000_000;
const BIG = 20_000_000;
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
  const { guest, correspondent, host, homeAgent } = lab.nodes;
  const ends: readonly [Netns, string][] = [
    [host, 'wan0'],
    [homeAgent, 'wan0'],
  ];
  const watch = async () => {
    const watches = await Promise.all(
      ends.map(([netns, device]) => watchFor(lab.directory, netns, device, path.uplink)),
    );
    return async (): Promise<Oddities[]> => await Promise.all(watches.map((one) => one.stop()));
  };
  const seen = await watch();
  const syns = {
    guest: await watchSegmentSizes(lab.directory, guest, 'eth0', PAPER.hostA),
    correspondent: await watchSegmentSizes(lab.directory, correspondent, 'eth0', PAPER.guest),
  };

  await lab.register();
  const registered = performance.now();
  const first = async (attempt: Promise<unknown>): Promise<number> => {
    await attempt;
    return Math.round(performance.now() - registered);
  };
  const file = (octets: number): string => join(lab.directory, `${octets}`);
  const get = async (direction: 'up' | 'down', octets: number): Promise<number> =>
    await transfer(guest, PAPER.hostA, octets, direction, file(octets));
  const [tcpUp, tcpDown, udp] = await Promise.all([
    first(get('up', FIRST)),
    first(get('down', FIRST)),
    first(whole(t, 'the first big datagram', echoes(guest, 'udp', PAPER.hostA, [9000]))),
  ]);
  t.comment(
    `first 1 MB up ${tcpUp} ms, down ${tcpDown} ms, first datagram of 9000 ${udp} ms after registration`,
  );
  for (const [what, took] of Object.entries({ tcpUp, tcpDown, udp }))
    t.ok(took < FIRST_WITHIN_MS, `${what}: ${took} ms`);

  const [fromGuest, fromCorrespondent] = await Promise.all([
    iperf(guest, correspondent, PAPER.hostA, { seconds: 2, down: false }),
    iperf(correspondent, guest, PAPER.guest, { seconds: 2, down: false }),
  ]);
  const curl = { up: await get('up', BIG), down: await get('down', BIG) };
  const mbit = {
    fromGuest: Math.round(fromGuest.bits_per_second / 1e6),
    fromCorrespondent: Math.round(fromCorrespondent.bits_per_second / 1e6),
  };
  t.ok(mbit.fromGuest > 5 && mbit.fromCorrespondent > 5, `iperf3: ${JSON.stringify(mbit)} Mbit/s`);
  t.comment(`curl, 20 MB: ${JSON.stringify(curl)} s`);

  const sizes = sizesFor(path);
  const down = sizes.toReversed();
  const runs = {
    'UDP from the guest': echoes(guest, 'udp', PAPER.hostA, sizes),
    'UDP from the correspondent': echoes(correspondent, 'udp', PAPER.guest, down),
    'ping from the guest': echoes(guest, 'icmp', PAPER.hostA, down),
    'ping from the correspondent': echoes(correspondent, 'icmp', PAPER.guest, sizes),
  };
  const again: Record<string, number> = {};
  for (const [what, run] of Object.entries(runs)) {
    const { sizes, again: more, seconds } = await whole(t, what, run);
    again[what] = more.length;
    t.comment(
      `${what}: ${sizes} sizes in ${seconds} s, ${more.length} needed another attempt: ${more.slice(0, 10)}`,
    );
  }

  const tunnel = await agreed(t, lab, path);
  for (const [end, sizes] of Object.entries(syns)) {
    // Of the last connection: both ends know the path by then.
    const last = (await sizes.stop()).at(-1) ?? 0;
    const most = Math.min(path.path - OUTER_HEADER, path.nic) - TCP_IP_HEADERS;
    t.ok(
      last <= most && last > most - 8,
      `the ${end} is told segments of ${last} octets, of ${most} that fit`,
    );
  }
  const oddities = await seen();
  for (const [index, { tooLong, fragments, inner, carried }] of oddities.entries()) {
    const where = `on the wire of ${index === 0 ? 'the host' : 'the Home Agent'}`;
    t.equal(tooLong, 0, `${where}: nothing longer than the link`);
    if (path.path - OUTER_HEADER >= MINIMUM_MTU && filter === 'none')
      t.equal(fragments, 0, `${where}: no fragments`);
    const shorter = inner.filter((length) => length <= MINIMUM_MTU - 8 - OUTER_HEADER);
    t.same(shorter, [], `${where}: no fragments of what fits anywhere`);
    const longer = inner.filter((length) => length > MINIMUM_MTU);
    t.same(longer, [], `${where}: no fragments of what Packet Too Big is for`);
    t.notOk(
      carried.some((chain) => chain.split(' ').includes(TCP)),
      `${where}: no fragments of TCP (${carried})`,
    );
    t.comment(`${where}: ${fragments} fragments`);
  }
  return {
    ...path,
    filter,
    first: { tcpUp, tcpDown, udp },
    tunnel,
    mbit,
    curl,
    sizes: sizes.length,
    again,
    fragments: oddities.reduce((sum, { fragments }) => sum + fragments, 0),
  };
}

/** Every size came back as it was sent. */
async function whole(t: Test, what: string, run: Promise<Echoes>): Promise<Echoes> {
  const result = await run;
  t.same(result.lost.slice(0, 20), [], `${what}: every size comes back`);
  t.same(result.wrong, [], `${what}: as it was sent`);
  return result;
}

/** Both ends know the path by now: never more than it carries, and nearly that. */
async function agreed(t: Test, lab: PathLab, { path, uplink }: Path): Promise<unknown> {
  const ends = {
    host: (await lab.guestStatus()).tunnel,
    homeAgent: (await lab.bindingStatus()).tunnel,
  };
  const carried = Math.min(path, uplink);
  for (const [end, tunnel] of Object.entries(ends)) {
    const mtu = tunnel?.pathMtu ?? 0;
    t.ok(
      mtu <= carried && mtu > carried - 8,
      `the ${end}'s path MTU ${mtu} is that of the path, ${carried}`,
    );
    t.equal(tunnel?.mtu, Math.max(MINIMUM_MTU, mtu - OUTER_HEADER), 'and the MTU inside follows');
  }
  t.comment(`tunnels: ${JSON.stringify(ends)}`);
  return ends;
}

/** A file to upload. */
async function zeros(lab: PathLab, octets: number): Promise<void> {
  const file = join(lab.directory, `${octets}`);
  await writeFile(file, '');
  await truncate(file, octets);
}
