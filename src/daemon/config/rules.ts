import { contains, formatPrefix } from '../../wire/address.js';
import type { Path } from './locate.js';
import type { HomeAgentConfig, HostConfig } from './schema.js';

/** Something wrong at a place in the document. */
export interface Fault {
  readonly path: Path;
  readonly message: string;
}

/** Remembers who used a value first. */
class Taken {
  readonly #owners = new Map<string, string>();

  /** The earlier owner, when there is one; else `owner` has it from now on. */
  take(value: string, owner: string): string | undefined {
    const earlier = this.#owners.get(value);
    if (earlier === undefined) this.#owners.set(value, owner);
    return earlier;
  }
}

/** What must hold between the values of a host's file: each value alone already met the schema. */
export function hostFaults(config: HostConfig): Fault[] {
  const faults: Fault[] = [];
  const names = new Taken();
  const devices = new Taken();
  const addresses = new Taken();
  devices.take(config.uplink.device, 'the uplink');
  const homeAgents = new Set(config.guests.map((guest) => guest.homeAgent));
  for (const [i, guest] of config.guests.entries()) {
    const at = (...rest: Path): Path => ['guest', i, ...rest];
    const fault = (path: Path, message: string) => faults.push({ path, message });
    const prefix = formatPrefix(guest.homePrefix);

    if (names.take(guest.name, guest.name) !== undefined) {
      fault(
        at('name'),
        `"${guest.name}" is the name of another guest; give each a name of its own`,
      );
    }
    const device = guest.port.device;
    const user = devices.take(device, `guest "${guest.name}"`);
    if (user !== undefined) {
      fault(
        at('port', 'device'),
        `"${device}" is already the device of ${user}; give each its own`,
      );
    }
    for (const [j, home] of guest.homeAddresses.entries()) {
      const path = at('home_addresses', j);
      const earlier = addresses.take(home, `home address of "${guest.name}"`);
      if (earlier !== undefined) fault(path, `"${home}" is already the ${earlier}`);
      if (!contains(guest.homePrefix, home)) {
        fault(path, `"${home}" is not in home_prefix ${prefix}; one of the two is wrong`);
      }
      if (homeAgents.has(home)) fault(path, `"${home}" is a home agent's own address`);
    }
    const careOf = guest.careOfAddress;
    if (homeAgents.has(careOf)) {
      fault(at('care_of_address'), `"${careOf}" is a home agent's own address`);
    }
    const earlier = addresses.take(careOf, `care-of address of "${guest.name}"`);
    if (earlier !== undefined) {
      fault(
        at('care_of_address'),
        `"${careOf}" is already the ${earlier}; each guest needs its own`,
      );
    } else if (contains(guest.homePrefix, careOf)) {
      const why = 'a care-of address belongs to the network visited';
      fault(at('care_of_address'), `"${careOf}" is in home_prefix ${prefix}; ${why}`);
    }
    const { preferredLifetime, validLifetime } = guest.routerAdvertisement;
    if (preferredLifetime > validLifetime) {
      // RFC 4862 5.5.3 c: hosts ignore such a prefix.
      const message = `${preferredLifetime} is more than valid_lifetime ${validLifetime}`;
      fault(at('router_advertisement', 'preferred_lifetime'), message);
    }
  }
  return faults;
}

/** What must hold between the values of a Home Agent's file. */
export function homeAgentFaults(config: HomeAgentConfig): Fault[] {
  const faults: Fault[] = [];
  const addresses = new Taken();
  addresses.take(config.address, "home agent's own address");
  if (config.tunnelDevice === config.homeLink) {
    const message = `"${config.tunnelDevice}" is the home_link; the tunnel needs a device of its own`;
    faults.push({ path: ['home_agent', 'tunnel_device'], message });
  }
  for (const [i, node] of config.mobileNodes.entries()) {
    const path = ['mobile_node', i, 'home_address'];
    const home = node.homeAddress;
    const earlier = addresses.take(home, 'home address of another mobile_node');
    if (earlier !== undefined)
      faults.push({ path, message: `"${home}" is already the ${earlier}` });
    if (!contains(config.homePrefix, home)) {
      const message = `"${home}" is not in home_prefix ${formatPrefix(config.homePrefix)}`;
      faults.push({ path, message });
    }
  }
  return faults;
}
