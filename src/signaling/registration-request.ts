import type { Address, MobilityMessage } from '../wire/index.js';
import { isLinkLocal, isLoopback, isMulticast, isUnspecified } from '../wire/index.js';
import type { Signal } from './signal.js';

export type BindingUpdate = Extract<MobilityMessage, { kind: 'binding-update' }>;

/** What a Binding Update asks for, read from its headers and options (RFC 6275 9.5.1). */
export interface RegistrationRequest {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** where the answer goes (RFC 6275 9.5.4) */
  readonly source: Address;
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

/** The request, or the reason why the Binding Update is discarded in silence (RFC 6275 6.1.7, 9.5.1, 9.5.4). */
export function readRequest(signal: Signal, update: BindingUpdate): RegistrationRequest | string {
  const { source } = signal;
  const homeAddress = signal.homeAddressOption ?? source;
  const alternates = update.options.filter((option) => option.kind === 'alternate-care-of-address');
  const careOfAddress = alternates[0]?.address ?? source;
  if (!isRoutable(source)) return 'source_not_routable';
  if (!isRoutable(homeAddress)) return 'home_address_not_routable';
  if (alternates.length > 1) return 'two_care_of_addresses';
  if (!isRoutable(careOfAddress)) return 'care_of_address_not_routable';
  return {
    homeAddress,
    careOfAddress,
    source,
    direct: signal.homeAddressOption === undefined,
    update,
    deregisters: update.lifetime === 0 || careOfAddress === homeAddress,
  };
}
