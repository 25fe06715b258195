import type { Address, Icmpv6Message, NdpOption } from '../wire/index.js';
import { alignMobilityOptions, contains, IPV6_HEADER_LENGTH } from '../wire/index.js';
import type { AdvertisedPrefix } from './home-agent-types.js';
import type { RegistrationRequest } from './registration-request.js';
import type { Signal } from './signal.js';

/** Octets of a type 2 routing header, or of a destination options header with a Home Address option (RFC 6275 6.3, 6.4). */
const HOME_ADDRESS_HEADER = 24;
/** RFC 6275 6.7, 6.8; RFC 4861 4.6.2 */
const DISCOVERY_HEADER = 8;
const PREFIX_OPTION = 32;
/** RFC 6275 6.1.1 */
const MOBILITY_HEADER = 6;
/** RFC 6275 6.1.9 */
const BINDING_ERROR = 24;
/** What fits into the minimum MTU with ESP around it. */
const MAX_PREFIXES = 32;

/** Octets of the smallest mobile prefix solicitation from a foreign link. */
export const SOLICITATION_SIZE = IPV6_HEADER_LENGTH + HOME_ADDRESS_HEADER + DISCOVERY_HEADER;

/** Octets of a packet with a Mobility Header of an unknown type. */
export function unknownMobilitySize(data: Uint8Array, hasHomeAddressOption: boolean): number {
  const option = hasHomeAddressOption ? HOME_ADDRESS_HEADER : 0;
  return IPV6_HEADER_LENGTH + option + MOBILITY_HEADER + data.length;
}

/** Octets of a packet with a Binding Error. */
export const BINDING_ERROR_SIZE = IPV6_HEADER_LENGTH + BINDING_ERROR;

/** Octets of a mobile prefix advertisement, without protection. */
export function advertisementSize(prefixes: readonly AdvertisedPrefix[]): number {
  const options = PREFIX_OPTION * Math.min(MAX_PREFIXES, prefixes.length);
  return IPV6_HEADER_LENGTH + HOME_ADDRESS_HEADER + DISCOVERY_HEADER + options;
}

/**
 * The answer to a Binding Update; with a routing header unless its source is the home address (RFC 6275 9.5.4). K is clear:
 * keys are configured, none move with the mobile node (RFC 6275 10.3.1). No Binding Refresh Advice: bindings are stored.
 */
export function acknowledgement(
  source: Address,
  request: RegistrationRequest,
  answer: { readonly status: number; readonly sequence: number; readonly lifetime: number },
): Signal {
  return {
    source,
    destination: request.answerTo,
    ...(request.direct ? {} : { routingHeader: request.homeAddress }),
    message: {
      kind: 'binding-acknowledgement',
      keyManagement: false,
      reserved: 0,
      ...answer,
      options: alignMobilityOptions([], 'binding-acknowledgement'),
    },
  };
}

/** RFC 6275 9.3.3: to the source of the packet at fault, without a routing header. */
export function bindingError(
  source: Address,
  destination: Address,
  status: number,
  homeAddress: Address,
): Signal {
  return {
    source,
    destination,
    message: {
      kind: 'binding-error',
      status,
      homeAddress,
      options: alignMobilityOptions([], 'binding-error'),
    },
  };
}

/** RFC 6275 9.5.5. It takes the way of an acknowledgement, so that it needs no tunnel and has its protection. */
export function refreshRequest(
  source: Address,
  { homeAddress, careOfAddress }: { homeAddress: Address; careOfAddress: Address },
): Signal {
  return {
    source,
    destination: careOfAddress,
    routingHeader: homeAddress,
    message: {
      kind: 'binding-refresh-request',
      options: alignMobilityOptions([], 'binding-refresh-request'),
    },
  };
}

/**
 * The whole list of prefixes, always (RFC 6275 10.6.2); one that is ours too tells our address in it (R flag, RFC 6275 7.2).
 * @param identifier of the solicitation, 0 without one
 */
export function prefixAdvertisement(
  address: Address,
  prefixes: readonly AdvertisedPrefix[],
  identifier: number,
): Icmpv6Message {
  const options = prefixes.slice(0, MAX_PREFIXES).map(({ prefix, ...rest }): NdpOption => {
    const routerAddress = contains(prefix, address);
    return {
      kind: 'prefix-information',
      prefix: routerAddress ? { address, length: prefix.length } : prefix,
      routerAddress,
      ...rest,
    };
  });
  return { kind: 'mobile-prefix-advertisement', identifier, managed: false, other: false, options };
}
