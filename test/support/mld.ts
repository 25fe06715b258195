import type { Address } from '../../src/wire/index.js';
import {
  ALL_NODES,
  addressBytes,
  alignOptions,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6,
  emitPacket,
  multicastMac,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseIcmpv6,
  parseMac,
  parsePacket,
  pseudoHeader,
  readAddress,
  UNSPECIFIED,
} from '../../src/wire/index.js';

const REPORT = 131;
const DONE = 132;
const REPORT_2 = 143;

function take(bytes: Uint8Array) {
  const packet = parsePacket(parseEthernet(bytes).payload);
  const message = parseIcmpv6(packet.payload, pseudoHeader(packet));
  if (message.kind !== 'unknown') return undefined;
  return [REPORT, DONE, REPORT_2].includes(message.type) ? { packet, message } : undefined;
}

/** Whether a frame of ours is a Multicast Listener Report, or a Done. */
export function isMldReport(bytes: Uint8Array): boolean {
  return take(bytes) !== undefined;
}

/** A report taken apart; a Done is a record of its type. */
export function mldReport(bytes: Uint8Array) {
  const taken = take(bytes);
  if (taken === undefined) throw new Error('no report');
  const { packet, message } = taken;
  const { source, destination, hopLimit, extensions } = packet;
  const routerAlert = extensions.some(
    (header) =>
      header.kind === 'hop-by-hop' && header.options.some(({ kind }) => kind === 'router-alert'),
  );
  const { type, body } = message;
  const common = { source, destination, hopLimit, routerAlert };
  if (type !== REPORT_2) {
    return { ...common, version: 1, records: [{ type, group: readAddress(body, 4) }] };
  }
  const count = new DataView(body.buffer, body.byteOffset).getUint16(2);
  if (body.length !== 4 + 20 * count) throw new Error(`${body.length} octets, ${count} records`);
  const records = Array.from({ length: count }, (_, index) => ({
    type: body[4 + 20 * index],
    group: readAddress(body, 8 + 20 * index),
  }));
  return { ...common, version: 2, records };
}

/** A query from the link's router, by default for all groups, to be answered within 10 s. */
export function mldQuery(query: {
  readonly version: 1 | 2;
  readonly group?: Address;
  readonly source?: Address;
  readonly hopLimit?: number;
  readonly routerAlert?: boolean;
}): Uint8Array {
  const { version, group = UNSPECIFIED, source = parseAddress('fe80::2') } = query;
  const { hopLimit = 1, routerAlert = true } = query;
  const destination = group === UNSPECIFIED ? ALL_NODES : group;
  const body = new Uint8Array(version === 1 ? 20 : 24);
  new DataView(body.buffer).setUint16(0, 10_000);
  body.set(addressBytes(group), 4);
  const options = alignOptions(routerAlert ? [{ kind: 'router-alert', value: 0 }] : []);
  return emitEthernet({
    destination: multicastMac(destination),
    source: parseMac('02:00:00:00:00:09'),
    etherType: ETHERTYPE_IPV6,
    payload: emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit,
      source,
      destination,
      extensions: [{ kind: 'hop-by-hop', options }],
      protocol: PROTOCOL.icmpv6,
      payload: emitIcmpv6({ kind: 'unknown', type: 130, code: 0, body }, { source, destination }),
    }),
  });
}
