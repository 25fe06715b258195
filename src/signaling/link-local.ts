import type { Address } from '../wire/index.js';
import { addressBytes, readAddress } from '../wire/index.js';

/** The link-local address with the interface identifier of a home address: what the L flag stands for (RFC 6275 10.3.1). */
export function derivedLinkLocal(homeAddress: Address): Address {
  const bytes = addressBytes(homeAddress);
  bytes.set([0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
  return readAddress(bytes, 0);
}
