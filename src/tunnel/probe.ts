import type { Address, Ipv6Packet } from '../wire/index.js';
import {
  attempt,
  emitIcmpv6Packet,
  IPV6_HEADER_LENGTH,
  isMulticast,
  isUnspecified,
  PROTOCOL,
  parseIcmpv6,
  pseudoHeader,
  WireError,
} from '../wire/index.js';

/** What the data of every probe begins with: 8 octets of ASCII. The engine looks for it (kProbeMagic). */
export const PROBE_MAGIC: Uint8Array = new TextEncoder().encode('kagemush');

/** RFC 4443 4.1: type, code, checksum, identifier, sequence number. */
const ECHO_HEADER = 8;
const HEADERS = IPV6_HEADER_LENGTH + ECHO_HEADER;

/** A probe, or the answer to one. */
export interface Probe {
  readonly kind: 'request' | 'reply';
  /** 32 bits: the identifier, then the sequence number. */
  readonly token: number;
  readonly source: Address;
  readonly destination: Address;
  /** Of the echo, the magic included. */
  readonly data: Uint8Array;
}

function echo(
  kind: 'echo-request' | 'echo-reply',
  { token, source, destination, data }: Omit<Probe, 'kind'>,
): Uint8Array {
  const identifier = token >>> 16;
  const sequence = token & 0xffff;
  return emitIcmpv6Packet({ kind, identifier, sequence, data }, { source, destination });
}

/**
 * The inner packet of a probe (RFC 8899 4.1): an echo request (RFC 4443 4.1) whose tunnel packet has exactly
 * `size` octets. The magic comes first, the rest of the data is zero.
 * @param probe `size` octets of the outer packet, at least overhead + 56; `overhead` octets of the tunnel headers
 */
export function probeRequest(probe: {
  readonly source: Address;
  readonly destination: Address;
  readonly size: number;
  readonly overhead: number;
  readonly token: number;
}): Uint8Array {
  const room = probe.size - probe.overhead - HEADERS;
  const data = new Uint8Array(Math.max(PROBE_MAGIC.length, room));
  data.set(PROBE_MAGIC);
  return echo('echo-request', { ...probe, data });
}

/**
 * Reads an inner packet that is a probe or its answer: a sound echo message (checksum checked) whose data begins with
 * the magic, between two nodes, in one piece.
 * @returns undefined for everything else
 */
export function readProbe(packet: Ipv6Packet): Probe | undefined {
  if (packet.protocol !== PROTOCOL.icmpv6) return undefined;
  if (packet.extensions.some(({ kind }) => kind === 'fragment')) return undefined;
  const pseudo = pseudoHeader(packet);
  const { source, destination } = pseudo;
  if ([source, destination].some((end) => isMulticast(end) || isUnspecified(end))) return undefined;
  const message = attempt(() => parseIcmpv6(packet.payload, pseudo));
  if (message instanceof WireError) return undefined;
  if (message.kind !== 'echo-request' && message.kind !== 'echo-reply') return undefined;
  const { identifier, sequence, data } = message;
  if (!PROBE_MAGIC.every((octet, index) => data[index] === octet)) return undefined;
  const kind = message.kind === 'echo-request' ? 'request' : 'reply';
  return { kind, token: identifier * 0x10000 + sequence, source, destination, data };
}

/**
 * The inner packet that answers a probe (RFC 4443 4.2), with the same data.
 * @param room octets of the largest inner packet that the way back takes in one piece: an answer that would be larger
 *   has less data, so that the probe tells about the way there alone
 */
export function probeReply(request: Probe, room = Number.POSITIVE_INFINITY): Uint8Array {
  const { token, source, destination } = request;
  const data = request.data.subarray(0, Math.max(PROBE_MAGIC.length, room - HEADERS));
  return echo('echo-reply', { token, source: destination, destination: source, data });
}
