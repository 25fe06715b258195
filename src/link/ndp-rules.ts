import type { Icmpv6Message, Ipv6Packet, Mac, NdpMessage, NdpOption } from '../wire/index.js';
import {
  contains,
  isLinkLocal,
  isMulticast,
  isUnicastMac,
  isUnspecified,
  parsePrefix,
} from '../wire/index.js';
import { LINK_HOP_LIMIT } from './frame.js';

/** RFC 4291 2.7.1 */
const SOLICITED_NODE = parsePrefix('ff02::1:ff00:0/104');
/** RFC 4861 4.6.1 */
const SOURCE_LINK_LAYER_ADDRESS = 1;

export function isNdp(message: Icmpv6Message): message is NdpMessage {
  switch (message.kind) {
    case 'router-solicitation':
    case 'router-advertisement':
    case 'neighbor-solicitation':
    case 'neighbor-advertisement':
    case 'redirect':
      return true;
    default:
      return false;
  }
}

function linkLayerAddress(
  options: readonly NdpOption[],
  kind: 'source-link-layer-address' | 'target-link-layer-address',
): Mac | undefined {
  for (const option of options) {
    if (option.kind === kind && isUnicastMac(option.mac)) return option.mac;
  }
  return undefined;
}

/** RFC 4861 6.1.1, 7.1.1: who has no address has no such option, of whatever length. */
function hasSourceLinkLayerAddress(options: readonly NdpOption[]): boolean {
  return options.some(
    (option) =>
      option.kind === 'source-link-layer-address' ||
      (option.kind === 'unknown' && option.type === SOURCE_LINK_LAYER_ADDRESS),
  );
}

/** The sender's link-layer address as the message gives it: SLLA of a solicitation, TLLA of an advertisement. */
export function senderMac(message: NdpMessage): Mac | undefined {
  switch (message.kind) {
    case 'neighbor-advertisement':
      return linkLayerAddress(message.options, 'target-link-layer-address');
    case 'redirect':
      return undefined;
    default:
      return linkLayerAddress(message.options, 'source-link-layer-address');
  }
}

/**
 * Why a receiver must ignore this message (RFC 4861 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1), if it must. Checksum, code
 * and lengths are the parser's.
 */
export function ndpFault(packet: Ipv6Packet, message: NdpMessage): string | undefined {
  const { source, destination, hopLimit } = packet;
  if (hopLimit !== LINK_HOP_LIMIT) return 'ndp_hop_limit';
  const anonymous = isUnspecified(source);
  if (isMulticast(source)) return 'ndp_source';
  switch (message.kind) {
    case 'router-solicitation':
      return anonymous && hasSourceLinkLayerAddress(message.options) ? 'ndp_source' : undefined;
    case 'neighbor-solicitation':
      if (isMulticast(message.target) || isUnspecified(message.target)) return 'ndp_target';
      if (!anonymous) return undefined;
      if (!contains(SOLICITED_NODE, destination)) return 'ndp_destination';
      return hasSourceLinkLayerAddress(message.options) ? 'ndp_source' : undefined;
    case 'neighbor-advertisement':
      if (isMulticast(message.target) || isUnspecified(message.target)) return 'ndp_target';
      return isMulticast(destination) && message.solicited ? 'ndp_destination' : undefined;
    case 'router-advertisement':
    case 'redirect':
      return isLinkLocal(source) ? undefined : 'ndp_source';
  }
}
