import type { Signal } from '../../src/signaling/index.js';
import { alignMobilityOptions } from '../../src/wire/index.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from './testbed-addresses.js';

/** A home registration, and its acknowledgement. */
export const UPDATE = {
  source: CARE_OF,
  destination: HOME_AGENT,
  homeAddressOption: HOME_ADDRESS,
  message: {
    kind: 'binding-update',
    sequence: 14885,
    acknowledge: true,
    homeRegistration: true,
    linkLocalCompatible: true,
    keyManagement: false,
    reserved: 0,
    lifetime: 600,
    options: alignMobilityOptions([{ kind: 'alternate-care-of-address', address: CARE_OF }]),
  },
} as const satisfies Signal;

export const ACKNOWLEDGEMENT = {
  source: HOME_AGENT,
  destination: CARE_OF,
  routingHeader: HOME_ADDRESS,
  message: {
    kind: 'binding-acknowledgement',
    status: 0,
    keyManagement: false,
    reserved: 0,
    sequence: 14885,
    lifetime: 600,
    options: alignMobilityOptions([], 'binding-acknowledgement'),
  },
} as const satisfies Signal;
