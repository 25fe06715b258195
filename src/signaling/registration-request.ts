import type { Address, MobilityMessage } from '../wire/index.js';
import { isLinkLocal, isLoopback, isMulticast, isUnspecified } from '../wire/index.js';
import type { ProtectionKind } from './protection-kind.js';
import type { Signal } from './signal.js';

export type BindingUpdate = Extract<MobilityMessage, { kind: 'binding-update' }>;

/** What a Binding Update asks for, read from its headers and options (RFC 6275 9.5.1). */
export interface RegistrationRequest {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** where the answer goes (RFC 6275 9.5.4) */
  readonly answerTo: Address;
  /** no Home Address option: the source is the home address, the answer has no routing header */
  readonly direct: boolean;
  readonly update: BindingUpdate;
  /** lifetime 0, or the care-of address is the home address */
  readonly deregisters: boolean;
}

/** RFC 6275 6.1.7, 6.3: "unicast routable". */
export function isRoutable(address: Address): boolean {
  return !(
    isMulticast(address) ||
    isLinkLocal(address) ||
    isUnspecified(address) ||
    isLoopback(address)
  );
}

/**
 * ESP in transport mode does not protect the outer source: the Alternate Care-of Address alone says where the mobile
 * node is (RFC 3776 3.1, RFC 6275 11.7.1), and is answered. One that names the home address says nothing: then the
 * binding does.
 */
function protectedAnswerTo(
  homeAddress: Address,
  careOfAddress: Address,
  source: Address,
  boundTo: Address | undefined,
): Address {
  return careOfAddress === homeAddress ? (boundTo ?? source) : careOfAddress;
}

/**
 * The request, or the reason why the Binding Update is discarded in silence (RFC 6275 6.1.7, 9.5.1, 9.5.4).
 * @param protection what the policy of this home address demands, and the signal has
 * @param boundTo the care-of address that the home address is bound to
 */
export function readRequest(
  signal: Signal,
  update: BindingUpdate,
  protection: ProtectionKind = 'none',
  boundTo?: Address,
): RegistrationRequest | string {
  const { source } = signal;
  const homeAddress = signal.homeAddressOption ?? source;
  const direct = signal.homeAddressOption === undefined;
  const alternates = update.options.filter((option) => option.kind === 'alternate-care-of-address');
  const careOfAddress = alternates[0]?.address ?? source;
  if (!isRoutable(source)) return 'source_not_routable';
  if (!isRoutable(homeAddress)) return 'home_address_not_routable';
  if (alternates.length > 1) return 'two_care_of_addresses';
  if (!isRoutable(careOfAddress)) return 'care_of_address_not_routable';
  // At home the source is the home address, which the checksum inside ESP covers.
  const unprotectedSource = protection === 'esp' && !direct;
  if (unprotectedSource && alternates.length === 0) return 'alternate_care_of_address_missing';
  // RFC 6275 9.5.1: a home registration has no nonces to point to.
  if (update.homeRegistration && update.options.some(({ kind }) => kind === 'nonce-indices')) {
    return 'nonce_indices';
  }
  return {
    homeAddress,
    careOfAddress,
    answerTo: unprotectedSource
      ? protectedAnswerTo(homeAddress, careOfAddress, source, boundTo)
      : source,
    direct,
    update,
    deregisters: update.lifetime === 0 || careOfAddress === homeAddress,
  };
}
