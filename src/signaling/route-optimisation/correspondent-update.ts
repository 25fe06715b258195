import { bindingManagementKey } from '../../crypto/return-routability.js';
import type { Address, MobilityMessage } from '../../wire/index.js';
import type { Signal } from '../signal.js';
import { type AuthorizedFor, authorize } from './authorization.js';
import type { KeygenToken } from './nonces.js';

type BindingUpdate = Extract<MobilityMessage, { kind: 'binding-update' }>;

/** What a Binding Update to a correspondent is made of (RFC 6275 11.7.2). */
export interface CorrespondentUpdate {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  readonly correspondent: Address;
  /** seconds, a multiple of 4; 0 deletes the binding */
  readonly lifetime: number;
  readonly home: KeygenToken;
  /** left out where the binding is deleted */
  readonly careOf?: KeygenToken;
}

/** What proves the update and its acknowledgement (RFC 6275 5.2.6; a de-registration is about the home address). */
export function secretOf(update: CorrespondentUpdate): AuthorizedFor {
  const { home, careOf, correspondent, homeAddress, careOfAddress } = update;
  return {
    kbm: bindingManagementKey(home.keygenToken, careOf?.keygenToken),
    careOfAddress: update.lifetime === 0 ? homeAddress : careOfAddress,
    correspondent,
  };
}

/** The Binding Update as it travels, from the care-of address straight to the correspondent. */
export function correspondentUpdate(update: CorrespondentUpdate, sequence: number): Signal {
  const message: BindingUpdate = {
    kind: 'binding-update',
    sequence,
    acknowledge: true,
    homeRegistration: false,
    linkLocalCompatible: false,
    keyManagement: false,
    reserved: 0,
    lifetime: update.lifetime,
    options: [
      {
        kind: 'nonce-indices',
        home: update.home.nonceIndex,
        careOf: update.careOf?.nonceIndex ?? 0,
      },
    ],
  };
  return {
    source: update.careOfAddress,
    destination: update.correspondent,
    homeAddressOption: update.homeAddress,
    message: authorize(message, secretOf(update)),
  };
}
