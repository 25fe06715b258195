import type { Millis } from '../time.js';
import { earliest } from '../time.js';
import type { Address, Icmpv6Message, Ipv6Packet, Mac } from '../wire/index.js';
import {
  ALL_ROUTERS,
  addressBytes,
  alignOptions,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6,
  emitPacket,
  isLinkLocal,
  isMulticast,
  multicastMac,
  PROTOCOL,
  parseAddress,
  readAddress,
  UNSPECIFIED,
} from '../wire/index.js';

/** ICMPv6 types (RFC 2710 3.1, RFC 3810 5.2) */
const TYPE = { query: 130, report: 131, done: 132, report2: 143 } as const;
/** Record types of a version 2 report (RFC 3810 5.2.12) */
const RECORD = { isExclude: 2, toInclude: 3, toExclude: 4 } as const;
/** Where a query has what, behind its checksum (RFC 3810 5.1); version 1 ends behind the group. */
const QUERY = { maximumResponse: 0, group: 4, version1: 20, version2: 24 } as const;
/** RFC 3810 5.2.14: all MLDv2-capable routers */
const MLDV2_ROUTERS = parseAddress('ff02::16');
/** RFC 3810 9.11, 9.1: the first report once more, within this time */
const UNSOLICITED_REPORT_INTERVAL: Millis = 1000;
/** RFC 3810 9.12: a version 1 querier is believed in that long after its last query. */
const OLDER_VERSION_QUERIER_PRESENT_TIMEOUT: Millis = 260_000;
/** Records of one report that every link carries: 40 + 8 + 8 + 60 · 20 octets (RFC 3810 5.2.15). */
const MAX_RECORDS = 60;
/** RFC 3810 5.1.3: larger codes are mantissa and exponent. */
const FLOATING = 0x8000;

interface Group {
  /** how many addresses need it */
  readonly members: number;
  /** the report is repeated, or answers a query */
  readonly reportAt?: Millis;
}

/** A Multicast Listener Discovery query, of either version. */
export interface MldQuery {
  readonly version: 1 | 2;
  readonly maximumResponse: Millis;
  /** `::` asks for all */
  readonly group: Address;
}

/**
 * The query of a packet, or the reason to ignore it: it must come from a link-local address with hop limit 1 and Router Alert
 * (RFC 3810 5.1.14, 6.2). Undefined: it is none, or malformed.
 */
export function readMldQuery(
  packet: Ipv6Packet,
  message: Icmpv6Message,
): MldQuery | undefined | 'mld_query' {
  const query = parseQuery(message);
  if (query === undefined) return undefined;
  const alert = packet.extensions.some(
    (header) =>
      header.kind === 'hop-by-hop' && header.options.some(({ kind }) => kind === 'router-alert'),
  );
  if (packet.hopLimit !== 1 || !isLinkLocal(packet.source) || !alert) return 'mld_query';
  return query;
}

/** RFC 2710 3, RFC 3810 5.1 */
function parseQuery(message: Icmpv6Message): MldQuery | undefined {
  if (message.kind !== 'unknown' || message.type !== TYPE.query) return undefined;
  const { body } = message;
  if (body.length < QUERY.version1) return undefined;
  if (body.length > QUERY.version1 && body.length < QUERY.version2) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const code = view.getUint16(QUERY.maximumResponse);
  const version = body.length === QUERY.version1 ? 1 : 2;
  const floating = version === 2 && code >= FLOATING;
  return {
    version,
    maximumResponse: floating ? ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3) : code,
    group: readAddress(body, QUERY.group),
  };
}

/**
 * A listener of the groups that this node needs on a link (RFC 3810 6, RFC 2710 4), so that switches which snoop MLD let
 * solicitations for its addresses through. It speaks from `::` as long as no link-local address is its own (RFC 3590).
 */
export class MldListener {
  readonly #mac: Mac;
  readonly #random: () => number;
  readonly #groups = new Map<Address, Group>();
  #version1Until: Millis = Number.NEGATIVE_INFINITY;
  #deadline: Millis | undefined;
  readonly #send: (frame: Uint8Array) => void;
  readonly #source: () => Address;

  /** @param random 0 <= r < 1 @param send takes an Ethernet frame @param source a link-local address of this node, or `::` */
  constructor(
    mac: Mac,
    random: () => number,
    send: (frame: Uint8Array) => void,
    source: () => Address = () => UNSPECIFIED,
  ) {
    this.#source = source;
    this.#mac = mac;
    this.#random = random;
    this.#send = send;
  }

  wakeAt(): Millis | undefined {
    return this.#deadline;
  }

  /** One more address needs this group. */
  join(now: Millis, group: Address): void {
    const known = this.#groups.get(group);
    if (known !== undefined) {
      this.#groups.set(group, { ...known, members: known.members + 1 });
      return;
    }
    this.#report(now, [group], RECORD.toExclude);
    this.#set(group, { members: 1, reportAt: this.#within(now, UNSOLICITED_REPORT_INTERVAL) });
  }

  /** One address less needs this group; the last one leaves it. */
  leave(now: Millis, group: Address): void {
    const known = this.#groups.get(group);
    if (known === undefined) return;
    if (known.members > 1) {
      this.#groups.set(group, { ...known, members: known.members - 1 });
      return;
    }
    this.#groups.delete(group);
    if (this.#speaksVersion1(now)) this.#emit(ALL_ROUTERS, TYPE.done, version1(group));
    else this.#report(now, [group], RECORD.toInclude);
  }

  /** Another source from now on (RFC 3590 4), or another link: all groups are reported as if they were joined now. */
  again(now: Millis): void {
    const groups = [...this.#groups.keys()];
    this.#report(now, groups, RECORD.toExclude);
    for (const [group, known] of [...this.#groups]) {
      this.#set(group, { ...known, reportAt: this.#within(now, UNSOLICITED_REPORT_INTERVAL) });
    }
  }

  /** No querier has spoken on this link yet. */
  forgetQuerier(): void {
    this.#version1Until = Number.NEGATIVE_INFINITY;
  }

  /** Answers a query within its maximum response time, each group at most once. */
  query(now: Millis, query: MldQuery): void {
    if (query.version === 1) this.#version1Until = now + OLDER_VERSION_QUERIER_PRESENT_TIMEOUT;
    const all = !isMulticast(query.group);
    for (const [group, known] of [...this.#groups]) {
      if (!all && group !== query.group) continue;
      const at = this.#within(now, query.maximumResponse);
      this.#set(group, { ...known, reportAt: Math.min(known.reportAt ?? at, at) });
    }
  }

  /** Sends the reports that are due: what is due within the same second goes together. */
  advance(now: Millis): void {
    if (this.#deadline === undefined || now < this.#deadline) return;
    const due: Address[] = [];
    for (const [group, { members, reportAt }] of [...this.#groups]) {
      if (reportAt === undefined || now < reportAt) continue;
      this.#groups.set(group, { members });
      due.push(group);
    }
    this.#deadline = earliest(...[...this.#groups.values()].map(({ reportAt }) => reportAt));
    this.#report(now, due, RECORD.isExclude);
  }

  #set(group: Address, state: Group): void {
    this.#groups.set(group, state);
    this.#deadline = earliest(this.#deadline, state.reportAt);
  }

  /** Never at once: many may have been asked. */
  #within(now: Millis, most: Millis): Millis {
    return now + Math.max(1, most * this.#random());
  }

  #speaksVersion1(now: Millis): boolean {
    return now < this.#version1Until;
  }

  #report(now: Millis, groups: readonly Address[], record: number): void {
    if (this.#speaksVersion1(now)) {
      for (const group of groups) this.#emit(group, TYPE.report, version1(group));
      return;
    }
    for (let start = 0; start < groups.length; start += MAX_RECORDS) {
      const some = groups.slice(start, start + MAX_RECORDS);
      this.#emit(MLDV2_ROUTERS, TYPE.report2, version2(some, record));
    }
  }

  /** Hop limit 1 and Router Alert (RFC 2710 3, RFC 3810 5). */
  #emit(destination: Address, type: number, body: Uint8Array): void {
    const pseudo = { source: this.#source(), destination };
    const payload = emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 1,
      ...pseudo,
      extensions: [
        { kind: 'hop-by-hop', options: alignOptions([{ kind: 'router-alert', value: 0 }]) },
      ],
      protocol: PROTOCOL.icmpv6,
      payload: emitIcmpv6({ kind: 'unknown', type, code: 0, body }, pseudo),
    });
    this.#send(
      emitEthernet({
        destination: multicastMac(destination),
        source: this.#mac,
        etherType: ETHERTYPE_IPV6,
        payload,
      }),
    );
  }
}

/** RFC 2710 3: no response delay, and the group. */
function version1(group: Address): Uint8Array {
  const body = new Uint8Array(20);
  body.set(addressBytes(group), 4);
  return body;
}

/** RFC 3810 5.2: records without sources. */
function version2(groups: readonly Address[], record: number): Uint8Array {
  const body = new Uint8Array(4 + 20 * groups.length);
  new DataView(body.buffer).setUint16(2, groups.length);
  groups.forEach((group, index) => {
    const at = 4 + 20 * index;
    body[at] = record;
    body.set(addressBytes(group), at + 4);
  });
  return body;
}
