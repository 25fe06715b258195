import type { Address } from '../../wire/address.js';
import { contains, formatPrefix } from '../../wire/address.js';
import type { Path } from './locate.js';
import { portName } from './port-name.js';
import type { Fault } from './reading.js';
import type { GuestConfig, HomeAgentConfig, HostConfig } from './types.js';

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

const homeAgentsOf = ({ homeAgents }: GuestConfig): readonly Address[] =>
  homeAgents.kind === 'list' ? homeAgents.addresses : [];

/** What must hold between the values of a host's file: each value alone already met the schema. */
export function hostFaults(config: HostConfig): Fault[] {
  const faults: Fault[] = [];
  const names = new Taken();
  const devices = new Taken();
  const addresses = new Taken();
  const stations = new Taken();
  const monitors = new Taken();
  const { uplink } = config;
  devices.take(uplink.device, 'the uplink');
  const peers = new Taken();
  for (const [i, { name }] of (config.peering?.peers ?? []).entries()) {
    // As DNS names are compared (RFC 4343).
    if (peers.take(name.toLowerCase(), name) === undefined) continue;
    const message = `"${name}" is the name of another peer; give each a name of its own`;
    faults.push({ path: ['host', 'peer', i, 'name'], message });
  }
  const ports = new Set(config.guests.map(({ port }) => portName(port)));
  // A network may be foreign to one guest and another one's home.
  if (uplink.kind === 'tun') ports.add(uplink.device);
  else if (uplink.mac !== 'own' && uplink.mac !== 'device') stations.take(uplink.mac, 'the uplink');
  const homeAgents = new Set(config.guests.flatMap(homeAgentsOf));
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
    const port = portName(guest.port);
    const user = devices.take(port, `guest "${guest.name}"`);
    if (user !== undefined) {
      const [key, what] = guest.port.kind === 'tap' ? ['device', 'device'] : ['path', 'socket'];
      fault(at('port', key), `"${port}" is already the ${what} of ${user}; give each its own`);
    }
    const watched = guest.qmp && monitors.take(guest.qmp, `guest "${guest.name}"`);
    if (watched !== undefined) {
      fault(at('qmp'), `"${guest.qmp}" is already the monitor of ${watched}; give each its own`);
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
    const seen = new Set<Address>();
    for (const [j, homeAgent] of homeAgentsOf(guest).entries()) {
      if (seen.has(homeAgent)) fault(at('home_agent', j), `"${homeAgent}" is in the list already`);
      seen.add(homeAgent);
    }
    const careOf = guest.careOfAddress;
    if (careOf !== undefined && careOf !== 'auto') {
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
    }
    if (guest.homeLink !== undefined) {
      const { device: link, mac } = guest.homeLink;
      if (ports.has(link)) {
        const what = 'the bridge or the card on the home network';
        fault(at('home_link'), `"${link}" is the uplink or a guest's port; write ${what}`);
      }
      const other = stations.take(mac, `guest "${guest.name}"`);
      if (other !== undefined) {
        fault(at('mac'), `"${mac}" is already that of ${other}; give each its own`);
      }
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
  const prefixes = new Taken();
  for (const [i, { prefix, validLifetime, preferredLifetime }] of config.prefixes.entries()) {
    const at = (key: string): Path => ['home_agent', 'prefix', i, key];
    if (prefixes.take(formatPrefix(prefix), 'another') !== undefined) {
      const message = `"${formatPrefix(prefix)}" is in another [[home_agent.prefix]] already`;
      faults.push({ path: at('prefix'), message });
    }
    if (preferredLifetime > validLifetime) {
      // RFC 4862 5.5.3 c: hosts ignore such a prefix.
      const message = `${preferredLifetime} is more than valid_lifetime ${validLifetime}`;
      faults.push({ path: at('preferred_lifetime'), message });
    }
  }
  for (const [i, node] of config.mobileNodes.entries()) {
    const path: Path = ['mobile_node', i, 'home_address'];
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
