import type { Millis } from '../time.js';
import { TokenBucket } from '../token-bucket.js';
import type { Address, Icmpv6Error, Icmpv6Fault, WireError } from '../wire/index.js';
import { icmpv6ErrorAbout, peekAddresses } from '../wire/index.js';
import { isRoutable } from './registration-request.js';

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
    const code = ERRONEOUS_HEADER_FIELD;
    return this.#about(now, bytes, { kind: 'parameter-problem', code, pointer });
  }

  /** What home agents answer a tunnel packet with that comes from no care-of address they know (RFC 6275 10.4.5). */
  unbound(now: Millis, bytes: Uint8Array): Icmpv6Error | string {
    const code = PORT_UNREACHABLE;
    return this.#about(now, bytes, { kind: 'destination-unreachable', code });
  }

  #about(now: Millis, bytes: Uint8Array, fault: Icmpv6Fault): Icmpv6Error | string {
    const addresses = peekAddresses(bytes);
    if (addresses === undefined) return 'error_cause_malformed';
    if (addresses.destination !== this.#address) return 'not_ours';
    if (!isRoutable(addresses.source)) return 'source_not_routable';
    const error = icmpv6ErrorAbout(bytes, fault, bytes.length);
    if (typeof error === 'string') return `error_cause_${error}`;
    return this.#limit.take(now) ? error : 'icmpv6_error_limited';
  }
}
