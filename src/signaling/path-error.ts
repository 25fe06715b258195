import type { Address, Icmpv6Message } from '../wire/index.js';
import { peekAddresses } from '../wire/index.js';

/** RFC 4443 3.1 */
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'no route to the home agent',
  1: 'administratively prohibited',
  2: 'beyond the scope of the source address',
  3: 'address unreachable',
  4: 'port unreachable, the node there has no tunnel for us',
  5: 'source address failed a policy',
  6: 'route rejected',
};

function words(error: Icmpv6Message): string | undefined {
  switch (error.kind) {
    case 'destination-unreachable':
      return UNREACHABLE[error.code] ?? `destination unreachable, code ${error.code}`;
    case 'time-exceeded':
      return 'hop limit exceeded on the way, look for a routing loop';
    case 'parameter-problem':
      return `a node refuses the header at octet ${error.pointer}, is this a home agent?`;
    default:
      return undefined;
  }
}

/**
 * What an ICMPv6 error says about the way from the care-of address to the home agent, in words; undefined when
 * it says nothing, or does not quote a packet of ours.
 */
export function describePathError(
  error: Icmpv6Message,
  careOfAddress: Address,
  homeAgent: Address,
): string | undefined {
  const text = words(error);
  if (text === undefined || !('quoted' in error)) return undefined;
  const quoted = peekAddresses(error.quoted);
  return quoted?.source === careOfAddress && quoted.destination === homeAgent ? text : undefined;
}
