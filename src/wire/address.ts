import { WireError } from './error.js';
import { need, viewOf } from './octets.js';

declare const addressBrand: unique symbol;

/** An IPv6 address in its RFC 5952 text: two addresses are equal when `===` says so. */
export type Address = string & { readonly [addressBrand]: true };

const GROUPS = 8;
const LONGEST_TEXT = 45; // 0000:0000:0000:0000:0000:ffff:255.255.255.255

function fault(text: string, why: string, offset = 0): WireError {
  return new WireError(
    'WIRE_MALFORMED',
    `${JSON.stringify(text.slice(0, 60))} is not an IPv6 address: ${why}`,
    offset,
  );
}

function dottedQuad(text: string, quad: string): [number, number] {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(quad);
  const octets = (match?.slice(1) ?? []).filter((o) => Number(o) < 256 && String(Number(o)) === o);
  const [a, b, c, d] = octets.map(Number);
  if (a === undefined || b === undefined || c === undefined || d === undefined) {
    throw fault(text, `bad dotted quad ${JSON.stringify(quad)}`, text.length - quad.length);
  }
  return [a * 256 + b, c * 256 + d];
}

/** The groups of one side of '::'. A dotted quad may only close the address (RFC 4291 2.2). */
function groupsOf(text: string, side: string, closes: boolean): number[] {
  if (side === '') return [];
  const pieces = side.split(':');
  return pieces.flatMap((piece, index) => {
    if (closes && index === pieces.length - 1 && piece.includes('.')) {
      return dottedQuad(text, piece);
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(piece)) {
      throw fault(text, `bad group ${JSON.stringify(piece)}`, Math.max(0, text.indexOf(piece)));
    }
    return [Number.parseInt(piece, 16)];
  });
}

function parseGroups(text: string): number[] {
  if (text.includes('%')) {
    throw fault(text, 'it has a zone id, leave out the % and what follows', text.indexOf('%'));
  }
  if (text.length > LONGEST_TEXT) throw fault(text, 'too long', LONGEST_TEXT);
  const sides = text.split('::');
  const [left = '', right] = sides;
  if (sides.length > 2) throw fault(text, "more than one '::'", text.lastIndexOf('::'));
  const head = groupsOf(text, left, right === undefined);
  if (right === undefined) {
    if (head.length !== GROUPS) throw fault(text, `${head.length} groups instead of ${GROUPS}`);
    return head;
  }
  const tail = groupsOf(text, right, true);
  const gap = GROUPS - head.length - tail.length;
  if (gap < 1) throw fault(text, `'::' stands for no group`, left.length);
  return [...head, ...new Array<number>(gap).fill(0), ...tail];
}

/** The zero run that '::' replaces: the longest, the first on a tie, never a single group (RFC 5952 4.2). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  });
  return best;
}

function formatGroups(groups: readonly number[]): Address {
  const [, , , , , mark = 0, high = 0, low = 0] = groups;
  const mapped = mark === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (mapped) {
    // RFC 5952 5: IPv4-mapped addresses are read more easily with a dotted quad.
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}` as Address;
  }
  const hex = groups.map((group) => group.toString(16));
  const run = longestZeroRun(groups);
  if (run.start < 0) return hex.join(':') as Address;
  const head = hex.slice(0, run.start).join(':');
  const tail = hex.slice(run.start + run.length).join(':');
  return `${head}::${tail}` as Address;
}

/**
 * Reads any RFC 4291 2.2 text form and gives the RFC 5952 one.
 * @throws WireError `WIRE_MALFORMED` saying what is wrong; zone ids (`%eth0`) are refused
 */
export function parseAddress(text: string): Address {
  return formatGroups(parseGroups(text));
}

/** Whether `parseAddress` would take it. */
export function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}

/** The 16 octets at `offset`, network byte order. @throws WireError `WIRE_TRUNCATED` */
export function readAddress(bytes: Uint8Array, offset: number): Address {
  need(bytes, 16, 'address', offset);
  const view = viewOf(bytes);
  return formatGroups(Array.from({ length: GROUPS }, (_, i) => view.getUint16(offset + 2 * i)));
}

/** Writes 16 octets at `offset`, network byte order. @throws WireError `WIRE_RANGE` when `into` is too short */
export function writeAddress(address: Address, into: Uint8Array, offset: number): void {
  if (offset < 0 || offset + 16 > into.length) {
    throw new WireError('WIRE_RANGE', 'address: no room for 16 octets', offset);
  }
  const view = viewOf(into);
  parseGroups(address).forEach((group, i) => {
    view.setUint16(offset + 2 * i, group);
  });
}

/** The 16 octets of an address, network byte order. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(16);
  writeAddress(address, bytes, 0);
  return bytes;
}

/** RFC 4291 2.5.2 */
export const UNSPECIFIED = parseAddress('::');
/** RFC 4291 2.7.1: all nodes on the link. */
export const ALL_NODES = parseAddress('ff02::1');
/** RFC 4291 2.7.1: all routers on the link. */
export const ALL_ROUTERS = parseAddress('ff02::2');

function firstGroup(address: Address): number {
  return Number.parseInt(address.slice(0, address.indexOf(':')) || '0', 16);
}

/** ff00::/8 (RFC 4291 2.7) */
export function isMulticast(address: Address): boolean {
  return firstGroup(address) >= 0xff00;
}

/** fe80::/10 (RFC 4291 2.5.6) */
export function isLinkLocal(address: Address): boolean {
  return (firstGroup(address) & 0xffc0) === 0xfe80;
}

/** `::` (RFC 4291 2.5.2) */
export function isUnspecified(address: Address): boolean {
  return address === UNSPECIFIED;
}

/** `::1` (RFC 4291 2.5.3) */
export function isLoopback(address: Address): boolean {
  return address === '::1';
}

/** ff02::1:ff00:0/104 with the low 24 bits of the address (RFC 4291 2.7.1). */
export function solicitedNode(address: Address): Address {
  const low = parseGroups(address);
  return formatGroups([0xff02, 0, 0, 0, 0, 1, 0xff00 | ((low[6] ?? 0) & 0xff), low[7] ?? 0]);
}

/**
 * The anycast address of the home agents of a subnet (RFC 2526 2, 3): all ones behind the prefix but for the last 7 bits, 7e; where
 * interface identifiers are in EUI-64 format (RFC 4291 2.5.1: all but 000/3), their universal bit is 0.
 */
export function homeAgentsAnycast(prefix: Prefix): Address {
  const network = parseGroups(prefix.address);
  const hostBits = maskGroups(
    Array.from({ length: 8 }, () => 0xffff),
    prefix.length,
  ).map((mask) => mask ^ 0xffff);
  const groups = hostBits.map((bits, index) => ((network[index] ?? 0) & ~bits) | bits);
  groups[7] = (groups[7] ?? 0) & 0xfffe;
  const eui64 = prefix.length === 64 && (firstGroup(prefix.address) & 0xe000) !== 0;
  if (eui64) groups[4] = (groups[4] ?? 0) & 0xfdff;
  return formatGroups(groups);
}

/** Addresses that share their first `length` bits; `address` may carry more bits where a protocol lets it. */
export interface Prefix {
  readonly address: Address;
  /** 0..128 bits */
  readonly length: number;
}

function maskGroups(groups: readonly number[], length: number): number[] {
  return groups.map((group, index) => {
    const bits = Math.min(16, Math.max(0, length - 16 * index));
    return group & (0xffff << (16 - bits)) & 0xffff;
  });
}

/**
 * `2001:db8::/32`. Bits beyond the length must be zero: a prefix with host bits is nearly always a slip.
 * @throws WireError `WIRE_MALFORMED` saying what is wrong and what was probably meant
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf('/');
  const digits = text.slice(slash + 1);
  const shown = JSON.stringify(text.slice(0, 60));
  if (slash < 0) {
    throw new WireError('WIRE_MALFORMED', `${shown} has no prefix length, write address/length`, 0);
  }
  const length = Number(digits);
  if (!/^\d{1,3}$/.test(digits) || length > 128) {
    throw new WireError(
      'WIRE_MALFORMED',
      `${shown} needs a prefix length from 0 to 128`,
      slash + 1,
    );
  }
  const groups = parseGroups(text.slice(0, slash));
  const address = formatGroups(groups);
  const network = formatGroups(maskGroups(groups, length));
  if (address !== network) {
    throw new WireError(
      'WIRE_MALFORMED',
      `${shown} has bits beyond its length, the prefix is ${network}/${length}`,
      0,
    );
  }
  return { address, length };
}

/** The prefix without the bits that its address may carry beyond its length. */
export function networkOf({ address, length }: Prefix): Prefix {
  return { address: formatGroups(maskGroups(parseGroups(address), length)), length };
}

/** `address/length` */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** Whether the address has the prefix. Bits of `prefix.address` beyond its length do not count. */
export function contains(prefix: Prefix, address: Address): boolean {
  const network = (of: Address) => formatGroups(maskGroups(parseGroups(of), prefix.length));
  return network(prefix.address) === network(address);
}
