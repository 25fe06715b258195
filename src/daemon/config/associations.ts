import type { Address } from '../../wire/address.js';
import type { Association, Fault } from './reading.js';
import type { HomeAgentConfig, HostConfig } from './types.js';

/*
 * A security association belongs to one home address (RFC 3776): whoever holds the keys of one guest must not be
 * able to register another. What two of them share is refused here.
 */

/** One thing that may be had once, and the key of the document that says it. */
interface Claim {
  readonly id: string;
  readonly key: string;
  readonly what: string;
}

const ownFile = 'each home address needs keys of its own';
const ownSpi = 'an association belongs to one home address: write another number';

/** @param associations of a configuration, in the order of the file */
export function associationFaults(
  config: HostConfig | HomeAgentConfig,
  associations: readonly Association[],
): Fault[] {
  const owners = new Map<string, Address>();
  return associations.flatMap((association) => {
    const { homeAddress, path } = association;
    const faults = new Map<string, Fault>();
    for (const { id, key, what } of claimsOf(config, association)) {
      const owner = owners.get(id);
      owners.set(id, owner ?? homeAddress);
      if (owner === undefined || owner === homeAddress || faults.has(key)) continue;
      const mend = key === 'key_file' ? ownFile : ownSpi;
      const message = `${what} is already that of ${owner}; ${mend}`;
      faults.set(key, { path: [...path, key], message });
    }
    return [...faults.values()];
  });
}

function claimsOf(
  config: HostConfig | HomeAgentConfig,
  { homeAddress, security, identity }: Association,
): Claim[] {
  const file = { id: `file ${identity}`, key: 'key_file', what: `"${security.keyFile}"` };
  if (security.kind === 'auth-option') {
    const { spi } = security;
    return [{ id: `auth ${spi}`, key: 'spi', what: `SPI ${spi}` }, file];
  }
  const { spiIn, spiOut } = security;
  const inbound = { id: `in ${spiIn}`, key: 'spi_in', what: `SPI ${spiIn}` };
  const outbound = receiversOf(config, homeAddress).map((receiver) => ({
    id: `out ${spiOut} ${receiver}`,
    key: 'spi_out',
    what: `SPI ${spiOut}`,
  }));
  // One number may stand for a direction each: they are different associations (RFC 4301 4.1). And it is the receiver
  // who tells associations apart by their numbers, so two receivers may have the same one.
  return [inbound, ...outbound, file];
}

/** Who receives what is sent for this home address, as far as the configuration tells. */
function receiversOf(config: HostConfig | HomeAgentConfig, homeAddress: Address): string[] {
  // Mobile nodes may be on hosts of their own.
  if (config.role === 'home-agent') return [homeAddress];
  const guest = config.guests.find(({ homeAddresses }) => homeAddresses.includes(homeAddress));
  // A home agent that is found may be any of the others.
  const found = config.guests.some(({ homeAgents }) => homeAgents.kind === 'auto');
  if (found || guest?.homeAgents.kind !== 'list') return ['any'];
  return [...guest.homeAgents.addresses];
}
