import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { captureOn, tsharkFields } from './judge.js';

const script = (name: string): string => fileURLToPath(new URL(`../e2e/${name}`, import.meta.url));
const PYTHON = '/usr/bin/python3';

/** What every-size.py found. */
export interface Echoes {
  readonly sizes: number;
  /** Sizes that needed another attempt. */
  readonly again: readonly number[];
  readonly lost: readonly number[];
  readonly wrong: readonly number[];
  readonly most_attempts: number;
  readonly seconds: number;
}

/** Starts a script of test/e2e that serves, and waits until it does. */
export async function serve(netns: Netns, name: string, ...words: string[]): Promise<ChildProcess> {
  const child = netns.spawn([PYTHON, script(name), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(`${name} serves`, () => (said.includes('ready') ? true : undefined));
  return child;
}

/** Echoes of whole IPv6 packets of these sizes, in this order. @param seconds after which one is taken for lost and sent again */
export async function echoes(
  from: Netns,
  kind: 'udp' | 'icmp',
  to: string,
  sizes: readonly number[],
  seconds = 0.3,
): Promise<Echoes> {
  const argv = [PYTHON, script('every-size.py'), kind, to, `${seconds}`, sizes.join(',')];
  return JSON.parse(await from.run(argv)) as Echoes;
}

/** A transfer with curl from (`down`) or to a web server; gives its seconds. @throws KagemushaError COMMAND_FAILED */
export async function transfer(
  from: Netns,
  to: string,
  octets: number,
  direction: 'up' | 'down',
  file: string,
): Promise<number> {
  const common = [
    'curl',
    '-sS',
    '-g',
    '--max-time',
    '15',
    '-o',
    '/dev/null',
    '-w',
    '%{time_total}',
  ];
  const argv =
    direction === 'down'
      ? [...common, `http://[${to}]/${octets}`]
      : // Without the wait for "100 Continue" of a server that never says so.
        [...common, '-H', 'Expect:', '-T', file, `http://[${to}]/`];
  return Number(await from.run(argv));
}

/** Whether every size is tried, and what takes a minute. */
export const ALL = process.env.PATH_MTU_SIZES === 'all';
/** What a file's tests may take then. */
export const LONG_MS = 1_800_000;
const MINIMUM_MTU = 1280;
const LARGEST = 9000;
const SMALLEST = 48;

/**
 * Sizes of inner packets that are worth trying on a path: everything around what somebody compares lengths with, and a stride elsewhere. With
 * PATH_MTU_SIZES=all every one.
 */
export function sizesFor({ path, uplink }: { path: number; uplink: number }): number[] {
  const sizes = new Set<number>();
  const add = (from: number, to: number, step = 1): void => {
    for (let size = Math.max(SMALLEST, from); size <= Math.min(LARGEST, to); size += step)
      sizes.add(size);
  };
  if (ALL) add(SMALLEST, LARGEST);
  add(SMALLEST, LARGEST, 47);
  add(LARGEST, LARGEST);
  add(SMALLEST, SMALLEST + 16);
  add(1452 - 64, 1500 + 64);
  for (const mtu of [MINIMUM_MTU, path, uplink]) {
    for (const overhead of [0, 40, 48]) add(mtu - overhead - 64, mtu - overhead + 64);
    // RFC 8200 4.5: what a packet needs so many fragments for.
    const inner = Math.max(MINIMUM_MTU, mtu - 40);
    const fragment = Math.floor((inner - 48) / 8) * 8;
    for (let end = 40 + fragment; end <= LARGEST; end += fragment) add(end - 9, end + 9);
  }
  return [...sizes].sort((a, b) => a - b);
}

/** Tunnel fragments, and packets too long for the link, that pass a device until `stop`. */
export interface Watch {
  stop(): Promise<Oddities>;
}

/** What the judge saw: of each first fragment, the lengths of the outer and the inner packet and the inner protocol. */
export interface Oddities {
  readonly tooLong: number;
  readonly fragments: number;
  /** Lengths of inner packets that crossed in fragments, each once. */
  readonly inner: readonly number[];
  /** What those packets carried (https://www.iana.org/assignments/protocol-numbers), each once. */
  readonly carried: readonly string[];
}

/** @param mtu of the link */
export async function watchFor(
  directory: string,
  netns: Netns,
  device: string,
  mtu: number,
): Promise<Watch> {
  const file = join(directory, `${netns.name}-${device}-${watches++}.pcap`);
  const odd = `ip6 and (ip6[6] == 44 or greater ${mtu + ETHERNET + 1})`;
  const capture = await captureOn(netns, device, file, odd);
  return {
    stop: async () => {
      await capture.stop();
      return await judge(file, mtu);
    },
  };
}

/** The maximum segment sizes in SYNs that come to an end of a connection, oldest first, until `stop`. */
export async function watchSegmentSizes(
  directory: string,
  netns: Netns,
  device: string,
  from: string,
): Promise<{ stop(): Promise<number[]> }> {
  const file = join(directory, `${netns.name}-${device}-${watches++}.pcap`);
  // TCP flags are octet 13 of a header that follows the IPv6 header at once: https://www.tcpdump.org/manpages/pcap-filter.7.html
  const syns = `ip6[6] == 6 and src host ${from} and ip6[53] & 2 != 0`;
  const capture = await captureOn(netns, device, file, syns);
  return {
    stop: async () => {
      await capture.stop();
      return (await tsharkFields(file, 'tcp', ['tcp.options.mss_val'])).map(([size]) =>
        Number(size),
      );
    },
  };
}

const ETHERNET = 14;
let watches = 0;

async function judge(file: string, mtu: number): Promise<Oddities> {
  const fields = ['frame.len', 'ipv6.fraghdr.offset', 'ipv6.plen', 'ipv6.nxt'];
  const rows = await tsharkFields(file, 'ipv6', fields, ['ipv6.defragment:FALSE']);
  const tooLong = rows.filter(([length]) => Number(length) > mtu + ETHERNET).length;
  const fragments = rows.filter(([, offset]) => offset !== '');
  const first = fragments.filter(([, offset]) => Number(offset?.split(',')[0]) === 0);
  const inner = first.map(([, , lengths]) => 40 + Number(lengths?.split(',')[1]));
  const carried = first.map(([, , , next]) => next?.split(',').slice(1).join(' ') ?? '');
  return {
    tooLong,
    fragments: fragments.length,
    inner: [...new Set(inner)].sort((a, b) => a - b),
    carried: [...new Set(carried)],
  };
}
