import { createHash } from 'node:crypto';
import {
  type Address,
  addressBytes,
  contains,
  formatPrefix,
  type Prefix,
  readAddress,
} from '../wire/index.js';
import type { Route, SystemState } from './setup/system.js';

/** Octets of an interface identifier and of the prefix before it (RFC 4291 2.5.1). */
const HALF = 8;

/** How often another identifier is tried (RFC 7217 6: IDGEN_RETRIES is 3; what is tried here costs nothing). */
const MAX_TRIES = 64;

/** Reserved interface identifiers, first and last (RFC 5453 and its IANA registry). */
const RESERVED: readonly (readonly [bigint, bigint])[] = [
  // RFC 4291 2.6.1: the subnet-router anycast address.
  [0n, 0n],
  // IANA's own Ethernet block, that of Proxy Mobile IPv6 (RFC 6543) in its midst.
  [0x0200_5eff_fe00_0000n, 0x0200_5eff_feff_ffffn],
  // RFC 2526: subnet anycast addresses, the one of the home agents among them.
  [0xfdff_ffff_ffff_ff80n, 0xfdff_ffff_ffff_ffffn],
];

export interface AutoRequest {
  /** Name of the guest: each has an identifier of its own. */
  readonly guest: string;
  /** 16 octets that this host keeps (Store.secret). */
  readonly secret: Uint8Array;
  /** The TUN: its prefixes are not the network's. */
  readonly uplink: string;
  /** Addresses that others have: of other guests, say. */
  readonly taken?: Iterable<Address>;
  /** The address that the guest has now: it stays while its prefix is good. */
  readonly current?: Address | undefined;
  /** DAD_Counter of RFC 7217 5: one more for each time that the address was found to be another's. */
  readonly conflicts?: number;
}

export type AutoChoice =
  | {
      readonly kind: 'address';
      readonly address: Address;
      readonly prefix: Prefix;
      readonly device: string;
    }
  /** One sentence that says what is missing. */
  | { readonly kind: 'none'; readonly reason: string };

/** A /64 that addresses may be made from (RFC 7217: stable, different on each network, hard to guess). */
export function chooseCareOf(system: SystemState, request: AutoRequest): AutoChoice {
  const place = choosePrefix(system, request.uplink, request.current);
  if (place.kind === 'none') return place;
  const { prefix, device } = place;
  const taken = new Set([...(request.taken ?? []), ...system.addresses.map((own) => own.address)]);
  const address = makeCareOf(prefix, { ...request, taken });
  if (address !== undefined) return { kind: 'address', address, prefix, device };
  return { kind: 'none', reason: `no address is free in ${formatPrefix(prefix)}` };
}

/** An address in a /64 that is none of `taken` (RFC 7217 5). */
export function makeCareOf(
  prefix: Prefix,
  {
    guest,
    secret,
    taken,
    conflicts: first = 0,
  }: Pick<AutoRequest, 'guest' | 'secret' | 'conflicts'> & { readonly taken: ReadonlySet<Address> },
): Address | undefined {
  for (let counter = first; counter < first + MAX_TRIES; counter++) {
    const identifier = stableIdentifier(prefix, guest, counter, secret);
    if (isReserved(identifier)) continue;
    const address = join(prefix, identifier);
    if (!taken.has(address)) return address;
  }
  return undefined;
}

/**
 * Of several prefixes one whose routers are not gone, then one that is not deprecated, then the one of `current`, then a global one
 * before a unique local one (RFC 4193), then the lowest: always the same answer for the same network. Others than global and unique local
 * ones are left out.
 */
export function preferredPrefix(
  candidates: readonly {
    readonly prefix: Prefix;
    readonly deprecated: boolean;
    readonly gone?: boolean;
  }[],
  current?: Address,
): Prefix | undefined {
  const rank = ({ prefix, deprecated, gone = false }: (typeof candidates)[number]): string => {
    const kept = current !== undefined && contains(prefix, current);
    const text = Buffer.from(addressBytes(prefix.address)).toString('hex');
    return `${+gone} ${+deprecated} ${+!kept} ${+isUniqueLocal(prefix)} ${text}`;
  };
  let best: { readonly prefix: Prefix; readonly rank: string } | undefined;
  for (const candidate of candidates) {
    if (!isGlobal(candidate.prefix)) continue;
    const its = rank(candidate);
    if (best === undefined || its < best.rank) best = { prefix: candidate.prefix, rank: its };
  }
  return best?.prefix;
}

/** The prefix of the interface that has the default route, else of the only interface that has a global /64 on its link. */
export function choosePrefix(
  system: SystemState,
  uplink: string,
  current?: Address,
): { kind: 'prefix'; prefix: Prefix; device: string } | { kind: 'none'; reason: string } {
  const candidates = system.routes.filter((route) => isCandidate(route, uplink));
  const device = defaultDevice(system, uplink) ?? onlyDevice(candidates);
  if (device === undefined) {
    const devices = [...new Set(candidates.map((route) => route.device))].join(' and ');
    const what =
      devices === ''
        ? 'no interface has a global /64 on its link, and there is no default route'
        : `${devices} have a global /64 each, and there is no default route to tell`;
    return { kind: 'none', reason: `${what}; write care_of_address = "an address"` };
  }
  const ofDevice = candidates.filter((route) => route.device === device);
  const best = preferredPrefix(
    ofDevice.map(({ prefix }) => ({ prefix, deprecated: isDeprecated(system, prefix, device) })),
    current,
  );
  if (best !== undefined) return { kind: 'prefix', prefix: best, device };
  const reason = `${device} has the default route and no global /64 on its link (yet)`;
  return { kind: 'none', reason: `${reason}; else write care_of_address = "an address"` };
}

function isCandidate({ prefix, device, onLink }: Route, uplink: string): boolean {
  return prefix.length === 64 && onLink && isGlobal(prefix) && device !== uplink && device !== 'lo';
}

/** Global unicast and unique local addresses; not fe80::/10, ff00::/8, ::/8 (RFC 4291 2.4). */
function isGlobal({ address }: Prefix): boolean {
  const first = addressBytes(address)[0] ?? 0;
  return (first & 0xe0) === 0x20 || (first & 0xfe) === 0xfc;
}

/** RFC 4193: fc00::/7 */
function isUniqueLocal({ address }: Prefix): boolean {
  return ((addressBytes(address)[0] ?? 0) & 0xfe) === 0xfc;
}

/** All addresses that the kernel made from it are deprecated: the network is giving the prefix up. */
function isDeprecated(system: SystemState, prefix: Prefix, device: string): boolean {
  const own = system.addresses.filter(
    (entry) => entry.device === device && contains(prefix, entry.address),
  );
  return own.length > 0 && own.every(({ deprecated }) => deprecated === true);
}

function defaultDevice(system: SystemState, uplink: string): string | undefined {
  return system.routes
    .filter(({ prefix, device }) => prefix.length === 0 && device !== uplink && device !== 'lo')
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.device;
}

function onlyDevice(candidates: readonly Route[]): string | undefined {
  const devices = new Set(candidates.map(({ device }) => device));
  return devices.size === 1 ? [...devices][0] : undefined;
}

/**
 * RFC 7217 5: F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key), whose least significant 64 bits are the identifier.
 * The guest's name stands for the interface; there is no Network_ID, the prefix tells networks apart.
 *
 * @returns 8 octets, network byte order
 */
export function stableIdentifier(
  prefix: Prefix,
  guest: string,
  counter: number,
  secret: Uint8Array,
): Uint8Array {
  const name = Buffer.from(guest, 'utf8');
  const numbers = Buffer.alloc(8);
  // With its length before it, no name can be read as another name and something else.
  numbers.writeUInt32BE(name.length, 0);
  numbers.writeUInt32BE(counter, 4);
  const hash = createHash('sha256')
    .update(addressBytes(prefix.address).subarray(0, HALF))
    .update(numbers)
    .update(name)
    .update(secret)
    .digest();
  return Uint8Array.from(hash.subarray(hash.length - HALF));
}

/** Whether no host may have this interface identifier (8 octets, network byte order). */
export function isReserved(identifier: Uint8Array): boolean {
  const value = Buffer.from(identifier).readBigUInt64BE(0);
  return RESERVED.some(([first, last]) => value >= first && value <= last);
}

function join(prefix: Prefix, identifier: Uint8Array): Address {
  const bytes = addressBytes(prefix.address);
  bytes.set(identifier, HALF);
  return readAddress(bytes, 0);
}
