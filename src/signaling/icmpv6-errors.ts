import type { Millis } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address, Icmpv6Message, WireError } from '../wire/index.js';
import { IPV6_HEADER_LENGTH, peekAddresses } from '../wire/index.js';
import { isRoutable } from './registration-request.js';

/** An error to be sent from our address. */
export interface Icmpv6Error {
  readonly destination: Address;
  readonly message: Icmpv6Message;
}

/** RFC 8200 5: no error message is larger (RFC 4443 2.4c). */
const MINIMUM_MTU = 1280;
const ERROR_HEADERS = IPV6_HEADER_LENGTH + 8;
/** RFC 4443 3.4, 3.1 */
const ERRONEOUS_HEADER_FIELD = 0;
const PORT_UNREACHABLE = 4;
/** RFC 6275 6.1.1 */
const HEADER_LENGTH_FIELD = 1;

/**
 * Whether a Mobility Header that `parseMobility` refuses is answered with a Parameter Problem (RFC 6275 9.2): for its payload
 * protocol, or a header length too small for the message. Everything else is dropped in silence.
 */
export function isParameterProblem(error: WireError): boolean {
  if (error.code === 'WIRE_PAYLOAD_PROTOCOL') return true;
  return error.code === 'WIRE_MALFORMED' && error.offset === HEADER_LENGTH_FIELD;
}

/**
 * ICMPv6 errors about unauthenticated packets to a home agent: limited (RFC 4443 2.4f), and never larger than the packet
 * at fault, so they quote less of it than they might.
 */
export class Icmpv6Errors {
  readonly #address: Address;
  readonly #limit: TokenBucket;

  /** @param address ours @param burst at once @param rate per second in the long run */
  constructor(address: Address, burst: number, rate: number) {
    this.#address = address;
    this.#limit = new TokenBucket(burst, rate);
  }

  /** RFC 6275 9.2: a field of the Mobility Header that cannot be. @param pointer from the start of the packet */
  parameterProblem(now: Millis, bytes: Uint8Array, pointer: number): Icmpv6Error | string {
    return this.#about(now, bytes, (quoted) => ({
      kind: 'parameter-problem',
      code: ERRONEOUS_HEADER_FIELD,
      pointer,
      quoted,
    }));
  }

  /** What home agents answer a tunnel packet with that comes from no care-of address they know (RFC 6275 10.4.5). */
  unbound(now: Millis, bytes: Uint8Array): Icmpv6Error | string {
    return this.#about(now, bytes, (quoted) => ({
      kind: 'destination-unreachable',
      code: PORT_UNREACHABLE,
      quoted,
    }));
  }

  #about(
    now: Millis,
    bytes: Uint8Array,
    compose: (quoted: Uint8Array) => Icmpv6Message,
  ): Icmpv6Error | string {
    const addresses = peekAddresses(bytes);
    if (addresses === undefined) return 'error_cause_malformed';
    if (addresses.destination !== this.#address) return 'not_ours';
    if (!isRoutable(addresses.source)) return 'source_not_routable';
    const length = Math.min(bytes.length, MINIMUM_MTU) - ERROR_HEADERS;
    if (length < 0) return 'error_cause_too_small';
    if (!this.#limit.take(now)) return 'icmpv6_error_limited';
    return { destination: addresses.source, message: compose(bytes.slice(0, length)) };
  }
}
