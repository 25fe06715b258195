import { type Address, addressBytes } from '../wire/address.js';

/*
 * The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian. Every block is
 *
 *      0          4               8                       length-4
 *      | type     | total length  | body, padded to 4     | total length |
 */
const BLOCK = { section: 0x0a0d0d0a, interface: 1, nameResolution: 4, packet: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const END = 0;

/** Section Header Block options (4.1), Interface Description Block options (4.2). */
const OPTION = { sectionApplication: 4, name: 2, description: 3, timestampResolution: 9 } as const;
/** Timestamps count 10^-9 s. */
const NANOSECONDS = 9;
/** nrb_record_ipv6 (4.5). */
const RECORD_IPV6 = 2;

/** https://www.tcpdump.org/linktypes.html */
export const LINK_TYPE = { ethernet: 1, raw: 101, linuxCooked: 113 } as const;

/** The start of a file; section length is not known in advance. */
export function sectionHeader(application: string): Uint8Array {
  const fixed = Buffer.alloc(16);
  fixed.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  fixed.writeUInt16LE(1, 4); // version 1.0
  fixed.writeBigInt64LE(-1n, 8);
  return block(BLOCK.section, [
    fixed,
    options([[OPTION.sectionApplication, Buffer.from(application)]]),
  ]);
}

/** Interfaces are numbered from 0 in the order in which they are described. */
export function interfaceDescription(description: {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name: string;
  readonly description: string;
}): Uint8Array {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt16LE(description.linkType, 0);
  fixed.writeUInt32LE(description.snapLength, 4);
  return block(BLOCK.interface, [
    fixed,
    options([
      [OPTION.name, Buffer.from(description.name)],
      [OPTION.description, Buffer.from(description.description)],
      [OPTION.timestampResolution, Buffer.of(NANOSECONDS)],
    ]),
  ]);
}

/** Names that readers show for addresses; undefined when there are none. */
export function nameResolution(names: ReadonlyMap<Address, string>): Uint8Array | undefined {
  if (names.size === 0) return undefined;
  const records = [...names].map(([address, name]) =>
    tagged(RECORD_IPV6, Buffer.concat([addressBytes(address), Buffer.from(`${name}\0`)])),
  );
  return block(BLOCK.nameResolution, [...records, tagged(END, new Uint8Array())]);
}

/** One packet. @param nanoseconds since 1970 @param originalLength before it was cut */
export function enhancedPacket(
  interfaceId: number,
  nanoseconds: bigint,
  bytes: Uint8Array,
  originalLength: number,
): Uint8Array {
  const fixed = Buffer.alloc(20);
  fixed.writeUInt32LE(interfaceId, 0);
  fixed.writeUInt32LE(Number(nanoseconds >> 32n), 4);
  fixed.writeUInt32LE(Number(nanoseconds & 0xffff_ffffn), 8);
  fixed.writeUInt32LE(bytes.length, 12);
  fixed.writeUInt32LE(originalLength, 16);
  return block(BLOCK.packet, [fixed, padded(bytes)]);
}

function block(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const body = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(body + 12, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(body + 12, 0);
  return Buffer.concat([head, ...parts, tail]);
}

/** Code, length and value, padded: an option, and a record of a Name Resolution Block. */
function tagged(code: number, value: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(value)]);
}

function options(list: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const given = list.filter(([, value]) => value.length > 0);
  return Buffer.concat([
    ...given.map(([code, value]) => tagged(code, value)),
    tagged(END, new Uint8Array()),
  ]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const rest = -bytes.length & 3;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(rest)]);
}
