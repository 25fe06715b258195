import { existsSync } from 'node:fs';
import { type Address, contains, formatPrefix, type Prefix } from '../../wire/address.js';
import type { Route, SystemState } from './system.js';

/** One thing that kagemusha needs of the system; plain data, so that it can be recorded and taken away later. */
export type Resource =
  | { readonly kind: 'directory'; readonly path: string; readonly owner?: number }
  | {
      readonly kind: 'device';
      readonly device: string;
      readonly mode: 'tun' | 'tap';
      readonly owner?: number;
    }
  | { readonly kind: 'link'; readonly device: string; readonly mtu?: number }
  /** Packets, at least, that the device keeps for a process that does not get to run. */
  | { readonly kind: 'queue'; readonly device: string; readonly length: number }
  | {
      readonly kind: 'route';
      readonly address: Address;
      readonly device: string;
      /** Locked: what the network may carry, though the device's own MTU is smaller. */
      readonly mtu?: number;
    }
  /** What has no more specific route is answered with Destination Unreachable, and does not go out again by the default route. */
  | { readonly kind: 'unreachable'; readonly prefix: Prefix }
  /** What comes for it is dropped without a word to the sender. */
  | { readonly kind: 'blackhole'; readonly address: Address }
  | { readonly kind: 'proxy'; readonly address: Address; readonly device: string }
  | {
      readonly kind: 'sysctl';
      /** Parts separated by slashes, for device names may have dots: `net/ipv6/conf/eth0.7/accept_ra`. */
      readonly name: string;
      readonly value: string;
      /** The device that brings it; it goes with the device. */
      readonly device?: string;
    };

/** Whether the system is already so. */
export function isThere(resource: Resource, system: SystemState): boolean {
  switch (resource.kind) {
    case 'directory':
      return existsSync(resource.path);
    case 'device': {
      const found = system.tunTaps.get(resource.device);
      if (found === undefined || found.mode !== resource.mode) return false;
      return resource.owner === undefined || found.owner === resource.owner;
    }
    case 'link': {
      const link = system.links.get(resource.device);
      if (link === undefined || !link.up) return false;
      if (resource.mtu === undefined) return true;
      return link.mtu === resource.mtu && link.addressMode === 'none';
    }
    case 'queue':
      return (system.links.get(resource.device)?.queue ?? 0) >= resource.length;
    case 'route': {
      const best = bestRoute(system, resource.address);
      if (best === undefined || best.device !== resource.device) return false;
      return resource.mtu === undefined || best.mtu === resource.mtu;
    }
    case 'unreachable':
      return system.unreachable.has(formatPrefix(resource.prefix));
    case 'blackhole':
      return system.blackholes.has(resource.address);
    case 'proxy':
      return system.proxies.has(`${resource.address} ${resource.device}`);
    case 'sysctl':
      return system.sysctl(resource.name) === resource.value;
  }
}

/** The most specific route of the main table for an address. */
export function bestRoute(system: SystemState, address: Address): Route | undefined {
  const host = system.routes.find((route) => isHostRoute(route, address));
  if (host !== undefined) return host;
  return system.routes
    .filter(({ prefix }) => prefix.length < 128 && contains(prefix, address))
    .toSorted((a, b) => b.prefix.length - a.prefix.length)[0];
}

/** The commands that make it so; only those that are missing. */
export function makeCommands(resource: Resource, system: SystemState): string[][] {
  switch (resource.kind) {
    case 'directory': {
      const owner = resource.owner === undefined ? [] : ['-o', String(resource.owner)];
      return [['install', '-d', '-m', '0755', ...owner, resource.path]];
    }
    case 'device': {
      const { device, mode, owner } = resource;
      const user = owner === undefined ? [] : ['user', String(owner)];
      const add = ['ip', 'tuntap', 'add', 'dev', device, 'mode', mode, ...user];
      // Its owner cannot be changed by name: a device of another user is made anew.
      return system.tunTaps.has(device) ? [...removeCommands(resource), add] : [add];
    }
    case 'link': {
      const { device, mtu } = resource;
      const set = ['ip', 'link', 'set', 'dev', device];
      if (mtu === undefined) return [[...set, 'up']];
      return [[...set, 'mtu', String(mtu), 'addrgenmode', 'none', 'up']];
    }
    case 'queue': {
      const { device, length } = resource;
      return [['ip', 'link', 'set', 'dev', device, 'txqueuelen', String(length)]];
    }
    case 'route': {
      const { address, device, mtu } = resource;
      const lock = mtu === undefined ? [] : ['mtu', 'lock', String(mtu)];
      return [['ip', '-6', 'route', 'replace', `${address}/128`, 'dev', device, ...lock]];
    }
    case 'unreachable':
      return [['ip', '-6', 'route', 'replace', 'unreachable', formatPrefix(resource.prefix)]];
    case 'blackhole':
      return [['ip', '-6', 'route', 'replace', 'blackhole', `${resource.address}/128`]];
    case 'proxy': {
      const { address, device } = resource;
      return [['ip', '-6', 'neighbour', 'add', 'proxy', address, 'dev', device]];
    }
    case 'sysctl':
      return [setSysctl(resource.name, resource.value)];
  }
}

/** The commands that take it away. @param previous the value a sysctl had before; without it, it stays as it is */
export function removeCommands(resource: Resource, previous?: string): string[][] {
  switch (resource.kind) {
    case 'directory':
      return [['rmdir', '--ignore-fail-on-non-empty', resource.path]];
    case 'device':
      return [['ip', 'tuntap', 'del', 'dev', resource.device, 'mode', resource.mode]];
    case 'link':
    case 'queue':
      return [];
    case 'route': {
      const { address, device } = resource;
      return [['ip', '-6', 'route', 'del', `${address}/128`, 'dev', device]];
    }
    case 'unreachable':
      return [['ip', '-6', 'route', 'del', 'unreachable', formatPrefix(resource.prefix)]];
    case 'blackhole':
      return [['ip', '-6', 'route', 'del', 'blackhole', `${resource.address}/128`]];
    case 'proxy': {
      const { address, device } = resource;
      return [['ip', '-6', 'neighbour', 'del', 'proxy', address, 'dev', device]];
    }
    case 'sysctl':
      return previous === undefined ? [] : [setSysctl(resource.name, previous)];
  }
}

/** Whether there is something to take away: the very thing, not another that serves as well. */
export function isRemovable(resource: Resource, system: SystemState): boolean {
  if (resource.kind === 'device')
    return system.tunTaps.get(resource.device)?.mode === resource.mode;
  if (resource.kind !== 'route') return isThere(resource, system);
  const { address, device } = resource;
  return system.routes.some((route) => isHostRoute(route, address) && route.device === device);
}

function isHostRoute({ prefix }: Route, address: Address): boolean {
  return prefix.length === 128 && prefix.address === address;
}

/** Dots are what people know; slashes where a device name has dots (sysctl(8)). */
function setSysctl(name: string, value: string): string[] {
  const key = name.includes('.') ? name : name.replaceAll('/', '.');
  return ['sysctl', '-qw', `${key}=${value}`];
}
