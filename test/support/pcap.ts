import { writeFileSync } from 'node:fs';

/** LINKTYPE values (https://www.tcpdump.org/linktypes.html) */
export const LINKTYPE = { ethernet: 1, raw: 101 } as const;

/** Writes packets as a classic pcap file, one millisecond apart, for outside judges to read. */
export function writePcap(path: string, linktype: number, packets: readonly Uint8Array[]): void {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(0x40000, 16);
  head.writeUInt32LE(linktype, 20);
  const records = packets.flatMap((packet, index) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000, 0);
    record.writeUInt32LE(index * 1000, 4);
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    return [record, packet];
  });
  writeFileSync(path, Buffer.concat([head, ...records]));
}
