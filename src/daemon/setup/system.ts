import { readFileSync } from 'node:fs';
import {
  type Address,
  formatPrefix,
  isAddress,
  type Prefix,
  parseAddress,
} from '../../wire/address.js';
import { run, runJson } from '../ip-route.js';

export interface Link {
  readonly device: string;
  readonly up: boolean;
  /** Somebody is at the other end; of a TUN or tap: a process is attached. */
  readonly carrier: boolean;
  readonly mtu: number;
  /** Packets that may wait in it. */
  readonly queue: number;
  /** `veth`, `bridge`, `tun`, …; undefined for hardware. */
  readonly kind: string | undefined;
  /** How the kernel makes link-local addresses for it. */
  readonly addressMode: string | undefined;
}

export interface TunTap {
  readonly mode: 'tun' | 'tap';
  readonly persistent: boolean;
  readonly multiQueue: boolean;
  /** User id; undefined: only root may attach. */
  readonly owner: number | undefined;
}

export interface KernelAddress {
  readonly address: Address;
  readonly prefixLength: number;
  readonly device: string;
  /** Its preferred lifetime is over (RFC 4862 5.5.4): nothing new should use its prefix. */
  readonly deprecated?: boolean;
}

export interface Route {
  readonly prefix: Prefix;
  readonly device: string;
  readonly onLink: boolean;
  /** Who made it: `kernel`, `ra`, `boot`, … */
  readonly protocol: string | undefined;
  readonly mtu: number | undefined;
  /** Of routes to the same prefix the one with the smallest is taken. */
  readonly metric?: number;
}

/** What the kernel of this network namespace looks like at one moment. */
export interface SystemState {
  readonly links: ReadonlyMap<string, Link>;
  readonly tunTaps: ReadonlyMap<string, TunTap>;
  readonly addresses: readonly KernelAddress[];
  /** IPv6 routes of the main table. */
  readonly routes: readonly Route[];
  /** Prefixes that are answered with Destination Unreachable, as `address/length`. */
  readonly unreachable: ReadonlySet<string>;
  /** Addresses whose packets are dropped without a word (blackhole routes). */
  readonly blackholes: ReadonlySet<Address>;
  /** Proxied neighbours, as `address device`. */
  readonly proxies: ReadonlySet<string>;
  /** The value of `net.ipv6.…` now; undefined when there is no such thing. Parts are separated by slashes. */
  sysctl(name: string): string | undefined;
}

/**
 * Reads the state with four `ip -j` commands, whatever the number of devices. All of them ask the kernel of this network
 * namespace; `ip tuntap` would look into /sys, which may be another's (unshare(1) leaves it mounted).
 * @throws KagemushaError IP_COMMAND_FAILED
 */
export async function readSystem(): Promise<SystemState> {
  const [links, addresses, routes, proxies] = await Promise.all([
    runJson(['ip', '-j', '-d', 'link', 'show']),
    runJson(['ip', '-j', '-6', 'address', 'show']),
    runJson(['ip', '-j', '-6', 'route', 'show']),
    runJson(['ip', '-j', '-6', 'neighbour', 'show', 'proxy']),
  ]);
  const userIds = await readUserIds(links);
  return {
    links: new Map(links.flatMap(readLink)),
    tunTaps: new Map(links.flatMap((link) => readTunTap(link, userIds))),
    addresses: addresses.flatMap(readAddresses),
    routes: routes.flatMap(readRoute),
    unreachable: new Set(prefixesOf(routes, 'unreachable').map((prefix) => formatPrefix(prefix))),
    blackholes: new Set(
      prefixesOf(routes, 'blackhole').flatMap(({ address, length }) =>
        length === 128 ? [address] : [],
      ),
    ),
    proxies: new Set(proxies.flatMap(readProxy)),
    sysctl: readSysctl,
  };
}

/** `net/ipv6/conf/all/forwarding`: its value, or undefined when there is no such thing. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

type Json = Record<string, unknown>;

const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
const number = (value: unknown) => (typeof value === 'number' ? value : undefined);
const strings = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null ? (value as Json) : {};

function readLink(entry: unknown): [string, Link][] {
  const link = object(entry);
  const device = text(link.ifname);
  if (device === undefined) return [];
  const kind = text(object(link.linkinfo).info_kind);
  const flags = strings(link.flags);
  const up = flags.includes('UP');
  const carrier = flags.includes('LOWER_UP');
  const addressMode = text(link.inet6_addr_gen_mode);
  const mtu = number(link.mtu) ?? 0;
  const queue = number(link.txqlen) ?? 0;
  return [[device, { device, up, carrier, mtu, queue, kind, addressMode }]];
}

/** `ip` prints the owner's name where it knows one. */
async function readUserIds(links: readonly unknown[]): Promise<ReadonlyMap<string, number>> {
  const names = new Set(links.flatMap((link) => text(tunInfo(link).user) ?? []));
  const entries = await Promise.all(
    [...names].map(async (name): Promise<[string, number]> => {
      return [name, Number(await run(['id', '-u', '--', name]))];
    }),
  );
  return new Map(entries);
}

/** What is particular to a TUN or tap; empty for other devices. */
function tunInfo(entry: unknown): Json {
  const info = object(object(entry).linkinfo);
  return info.info_kind === 'tun' ? object(info.info_data) : {};
}

function readTunTap(entry: unknown, userIds: ReadonlyMap<string, number>): [string, TunTap][] {
  const name = text(object(entry).ifname);
  const { type, persist, multi_queue, user } = tunInfo(entry);
  if (name === undefined || (type !== 'tun' && type !== 'tap')) return [];
  const owner = typeof user === 'string' ? userIds.get(user) : number(user);
  const persistent = persist === true;
  return [[name, { mode: type, persistent, multiQueue: multi_queue === true, owner }]];
}

function readAddresses(entry: unknown): KernelAddress[] {
  const link = object(entry);
  const device = text(link.ifname) ?? '';
  const infos = Array.isArray(link.addr_info) ? link.addr_info.map(object) : [];
  return infos.flatMap((info) => {
    // A point-to-point address is printed as `local` with the peer beside it.
    const local = text(info.local);
    if (local === undefined || !isAddress(local)) return [];
    return [
      {
        address: parseAddress(local),
        prefixLength: number(info.prefixlen) ?? 128,
        device,
        deprecated: info.deprecated === true,
      },
    ];
  });
}

function readRoute(entry: unknown): Route[] {
  const route = object(entry);
  const device = text(route.dev);
  const destination = text(route.dst);
  const type = text(route.type) ?? 'unicast';
  if (device === undefined || destination === undefined || type !== 'unicast') return [];
  const prefix = readPrefix(destination);
  if (prefix === undefined) return [];
  const metrics = Array.isArray(route.metrics) ? route.metrics.map(object) : [];
  return [
    {
      prefix,
      device,
      onLink: route.gateway === undefined && route.via === undefined,
      protocol: text(route.protocol),
      mtu: metrics.map((metric) => number(metric.mtu)).find((mtu) => mtu !== undefined),
      metric: number(route.metric) ?? 0,
    },
  ];
}

function readPrefix(destination: string): Prefix | undefined {
  const [address = '::', length] = destination === 'default' ? ['::', '0'] : destination.split('/');
  if (!isAddress(address)) return undefined;
  return { address: parseAddress(address), length: Number(length ?? 128) };
}

/** Of the routes of one type. */
function prefixesOf(routes: readonly unknown[], type: string): Prefix[] {
  return routes.map(object).flatMap((route) => {
    const prefix = route.type === type ? readPrefix(text(route.dst) ?? '') : undefined;
    return prefix === undefined ? [] : [prefix];
  });
}

function readProxy(entry: unknown): string[] {
  const proxy = object(entry);
  const address = text(proxy.dst);
  if (address === undefined || !isAddress(address)) return [];
  return [`${parseAddress(address)} ${text(proxy.dev) ?? ''}`];
}
