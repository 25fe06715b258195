import type { Address, Ipv6Packet } from '../wire/index.js';
import {
  attempt,
  emitIcmpv6,
  homeAddressOption,
  isMulticast,
  isUnspecified,
  PROTOCOL,
  parseIcmpv6,
  pseudoHeader,
  WireError,
} from '../wire/index.js';

const HOP_LIMIT = 64;

/**
 * The reply to an echo request that was sent to one of our own unicast addresses (RFC 4443 4.2): same identifier,
 * sequence and data, so never larger than the request but for the routing header's 24 octets.
 * @param careOfAddress of the requester, when it is a mobile node registered with us: the reply goes there with a
 *   type 2 routing header (RFC 6275 9.3.2). A request with a Home Address option has no reply without it.
 * @returns undefined for anything that is not a sound echo request
 */
export function answerEcho(packet: Ipv6Packet, careOfAddress?: Address): Ipv6Packet | undefined {
  if (packet.protocol !== PROTOCOL.icmpv6) return undefined;
  if (packet.extensions.some(({ kind }) => kind === 'fragment')) return undefined;
  const claimed = homeAddressOption(packet);
  const requester = claimed ?? packet.source;
  if (claimed !== undefined && careOfAddress === undefined) return undefined;
  if (isMulticast(requester) || isUnspecified(requester)) return undefined;
  const source = packet.destination;
  if (isMulticast(source)) return undefined;
  const pseudo = pseudoHeader(packet);
  const request = attempt(() => parseIcmpv6(packet.payload, pseudo));
  if (request instanceof WireError || request.kind !== 'echo-request') return undefined;
  const { identifier, sequence, data } = request;
  const routed = careOfAddress !== undefined && careOfAddress !== requester;
  return {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: HOP_LIMIT,
    source,
    destination: routed ? careOfAddress : requester,
    extensions: routed ? [{ kind: 'routing-type-2', segmentsLeft: 1, homeAddress: requester }] : [],
    protocol: PROTOCOL.icmpv6,
    payload: emitIcmpv6(
      { kind: 'echo-reply', identifier, sequence, data },
      { source, destination: requester },
    ),
  };
}
