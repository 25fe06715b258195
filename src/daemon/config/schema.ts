import { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import type { Address, Prefix } from '../../wire/address.js';
import { DEFAULT_HOME_AGENT_SOCKET, DEFAULT_HOST_SOCKET } from '../default-sockets.js';
import { NOT_BUILT, notBuilt } from './not-built.js';
import {
  absolutePath,
  choice,
  deviceName,
  flag,
  integer,
  linkLocalAddress,
  list,
  networkPrefix,
  parseUnicast,
  plainName,
  reason,
  socketPath,
  table,
  unicastAddress,
} from './scalars.js';

/** What the outer IPv6 header adds (RFC 2473 section 3): a tunnel's MTU is the uplink's less this. */
const OUTER_HEADER = 40;

/** Lifetimes of bindings travel in units of 4 s in 16 bits (RFC 6275 6.1.7). */
const LIFETIME = { min: 4, max: 262_140, multiple: 4, unit: 'seconds' } as const;

/** How a binding is protected; `none` is what this version builds. */
export interface SecurityConfig {
  readonly kind: 'none';
}

/** What the guest hears from its home router (RFC 4861 4.2, 4.6.2); times in seconds. */
export interface RouterAdvertisementConfig {
  readonly autonomous: boolean;
  readonly routerLifetime: number;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly managed: boolean;
  readonly other: boolean;
}

export interface GuestConfig {
  readonly name: string;
  readonly homeAddresses: readonly [Address, ...Address[]];
  readonly homePrefix: Prefix;
  /** The home router's link-local address, as the guest knows it. */
  readonly homeRouter: Address;
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** Seconds asked for, a multiple of 4. */
  readonly lifetime: number;
  readonly register: 'start' | 'traffic' | 'command';
  readonly port: { readonly kind: 'tap'; readonly device: string };
  readonly routerAdvertisement: RouterAdvertisementConfig;
  readonly security: SecurityConfig;
}

interface DaemonConfig {
  /** The file this came from. */
  readonly path: string;
  readonly controlSocket: string;
  readonly stateDirectory: string;
  /** Threads of the packet engine. */
  readonly workers: number;
  /** MTU of the network the outer packets cross. */
  readonly uplinkMtu: number;
  /** MTU inside the tunnel: `uplinkMtu` less the outer header. */
  readonly tunnelMtu: number;
}

/** A VM host. */
export interface HostConfig extends DaemonConfig {
  readonly role: 'host';
  readonly uplink: { readonly kind: 'tun'; readonly device: string };
  readonly guests: readonly GuestConfig[];
}

export interface MobileNodeConfig {
  readonly homeAddress: Address;
  readonly security: SecurityConfig;
}

/** A Home Agent. */
export interface HomeAgentConfig extends DaemonConfig {
  readonly role: 'home-agent';
  /** The Home Agent's address, owned by userspace. */
  readonly address: Address;
  readonly homePrefix: Prefix;
  /** The interface on the home link, where home addresses are defended. */
  readonly homeLink: string;
  readonly tunnelDevice: string;
  /** Longest lifetime granted, in seconds. */
  readonly maxLifetime: number;
  readonly allow: 'listed' | 'any';
  readonly maxBindings: number;
  readonly mobileNodes: readonly MobileNodeConfig[];
}

const security = z
  .unknown()
  .superRefine((value, context) => {
    if (!Array.isArray(value)) return;
    const message = notBuilt('a list of [[guest.security]]', 'write one [guest.security]');
    context.addIssue({ code: 'custom', message });
  })
  .pipe(table({ kind: choice(['none'], NOT_BUILT.securityKind) }))
  .optional();

/** One address; the contract's `"auto"` and lists of several are not built yet. */
const homeAgent = z.unknown().transform((value, context): Address => {
  const example = 'write "2001:db8:2000::1"';
  const refuse = (message: string): never => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  if (value === undefined) return refuse(`is missing; ${example}`);
  if (value === NOT_BUILT.homeAgent) return refuse(notBuilt('"auto"', example));
  const several = Array.isArray(value) ? (value as unknown[]) : [value];
  if (several.length > 1) return refuse(notBuilt('a list of several home agents', example));
  const [only] = several;
  if (typeof only !== 'string') return refuse(`is not an IPv6 address; ${example}`);
  try {
    return parseUnicast(only);
  } catch (cause) {
    if (!(cause instanceof KagemushaError)) throw cause;
    return refuse(`${reason(cause)}; ${example}`);
  }
});

const seconds = (example: number) =>
  integer({ min: 0, max: 0xffff_ffff, example, unit: 'seconds' }).default(example);

const routerAdvertisement = table({
  autonomous: flag(false).default(false),
  // 16 bits in RFC 4861 4.2, of which 9000 s is the most that routers may send (6.2.1).
  router_lifetime: integer({ min: 0, max: 9000, example: 1800, unit: 'seconds' }).default(1800),
  valid_lifetime: seconds(86_400),
  preferred_lifetime: seconds(14_400),
  managed: flag(false).default(false),
  other: flag(false).default(false),
});

const guest = table({
  name: plainName('vm1'),
  home_addresses: list(unicastAddress('2001:db8:2000::10'), '["2001:db8:2000::10"]', 1),
  home_prefix: networkPrefix('2001:db8:2000::/64'),
  home_router: linkLocalAddress('fe80::1').prefault('fe80::1'),
  home_agent: homeAgent,
  care_of_address: unicastAddress('2001:db8:3000::44'),
  lifetime: integer({ ...LIFETIME, example: 60 }).default(60),
  register: choice(['start', 'traffic', 'command'], NOT_BUILT.register).default('start'),
  port: table({
    kind: choice(['tap'], NOT_BUILT.portKind),
    device: deviceName('kgtap0'),
  }),
  router_advertisement: routerAdvertisement.prefault({}),
  security,
});

const common = {
  workers: integer({ min: 1, max: 64, example: 1 }).default(1),
  // RFC 8200 5: the packets inside must be let through up to 1280 octets.
  uplink_mtu: integer({ min: 1280 + OUTER_HEADER, max: 9216, example: 1500 }).default(1500),
};

/** The file of a VM host, in the words of the file. */
export const hostSchema = table({
  host: table({
    control_socket: socketPath(DEFAULT_HOST_SOCKET).default(DEFAULT_HOST_SOCKET),
    state_directory: absolutePath('/var/lib/kagemusha').default('/var/lib/kagemusha'),
    uplink: table({
      kind: choice(['tun'], NOT_BUILT.uplinkKind),
      device: deviceName('kg0'),
    }).default({ kind: 'tun', device: 'kg0' }),
    ...common,
  }).prefault({}),
  guest: list(guest, '[[guest]]').default([]),
});

/** The file of a Home Agent, in the words of the file. */
export const homeAgentSchema = table({
  home_agent: table({
    control_socket: socketPath(DEFAULT_HOME_AGENT_SOCKET).default(DEFAULT_HOME_AGENT_SOCKET),
    state_directory: absolutePath('/var/lib/kagemusha-ha').default('/var/lib/kagemusha-ha'),
    address: unicastAddress('2001:db8:2000::1'),
    home_prefix: networkPrefix('2001:db8:2000::/64'),
    home_link: deviceName('eth0'),
    tunnel_device: deviceName('kgha0').default('kgha0'),
    max_lifetime: integer({ ...LIFETIME, example: 3600 }).default(3600),
    max_bindings: integer({ min: 1, max: 65_536, example: 1024 }).default(1024),
    allow: choice(['listed', 'any']).default('listed'),
    ...common,
  }),
  mobile_node: list(
    table({ home_address: unicastAddress('2001:db8:2000::10'), security }),
    '[[mobile_node]]',
  ).default([]),
});

function daemonPart(path: string, raw: { uplink_mtu: number; workers: number }) {
  return {
    path,
    workers: raw.workers,
    uplinkMtu: raw.uplink_mtu,
    tunnelMtu: raw.uplink_mtu - OUTER_HEADER,
  };
}

function toGuest(raw: z.output<typeof guest>): GuestConfig {
  const [first, ...others] = raw.home_addresses;
  if (first === undefined) throw new KagemushaError('CONFIG_INVALID', 'home_addresses is empty');
  const advertisement = raw.router_advertisement;
  return {
    name: raw.name,
    homeAddresses: [first, ...others],
    homePrefix: raw.home_prefix,
    homeRouter: raw.home_router,
    homeAgent: raw.home_agent,
    careOfAddress: raw.care_of_address,
    lifetime: raw.lifetime,
    register: raw.register,
    port: raw.port,
    routerAdvertisement: {
      autonomous: advertisement.autonomous,
      routerLifetime: advertisement.router_lifetime,
      validLifetime: advertisement.valid_lifetime,
      preferredLifetime: advertisement.preferred_lifetime,
      managed: advertisement.managed,
      other: advertisement.other,
    },
    security: raw.security ?? { kind: 'none' },
  };
}

/** The daemon's view of a host's file that met the schema. */
export function toHostConfig(path: string, raw: z.output<typeof hostSchema>): HostConfig {
  return {
    ...daemonPart(path, raw.host),
    role: 'host',
    controlSocket: raw.host.control_socket,
    stateDirectory: raw.host.state_directory,
    uplink: raw.host.uplink,
    guests: raw.guest.map(toGuest),
  };
}

/** The daemon's view of a Home Agent's file that met the schema. */
export function toHomeAgentConfig(
  path: string,
  raw: z.output<typeof homeAgentSchema>,
): HomeAgentConfig {
  const own = raw.home_agent;
  return {
    ...daemonPart(path, own),
    role: 'home-agent',
    controlSocket: own.control_socket,
    stateDirectory: own.state_directory,
    address: own.address,
    homePrefix: own.home_prefix,
    homeLink: own.home_link,
    tunnelDevice: own.tunnel_device,
    maxLifetime: own.max_lifetime,
    allow: own.allow,
    maxBindings: own.max_bindings,
    mobileNodes: raw.mobile_node.map((node) => ({
      homeAddress: node.home_address,
      security: node.security ?? { kind: 'none' },
    })),
  };
}
