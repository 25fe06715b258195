import type { AuthenticationName, EncryptionName } from '../../crypto/algorithms.js';
import type { Secret } from '../../crypto/secret.js';
import type { Address, Prefix } from '../../wire/address.js';
import type { Mac } from '../../wire/mac.js';

/** Anybody who can send packets as the care-of address or the Home Agent can move the binding. */
export interface NoSecurityConfig {
  readonly kind: 'none';
}

/** ESP in transport mode with keys from a file (RFC 3776, RFC 4303). */
export interface EspConfig {
  readonly kind: 'esp';
  readonly encryption: EncryptionName;
  readonly authentication: AuthenticationName;
  /** Security parameters index (RFC 4303 2.1) of what this node sends, from 256. */
  readonly spiOut: number;
  /** Of what it receives. */
  readonly spiIn: number;
  /** Packets, 64..8192; 0: none, for a peer whose numbers begin anew when it restarts. */
  readonly replayWindow: number;
  readonly keyFile: string;
  readonly keys: { readonly encryption: Secret; readonly authentication: Secret };
  /** The same as long as the keys are the same (see KeyFile): a Secret cannot be compared by isDeepStrictEqual. */
  readonly keyId: string;
}

/** Mobility message authentication (RFC 4285), MN-HA. */
export interface AuthOptionConfig {
  readonly kind: 'auth-option';
  /** Mobility SPI (RFC 4285 5), from 256. */
  readonly spi: number;
  /** Network access identifier of the mobile node (RFC 4283 3). */
  readonly identifier?: string;
  readonly keyFile: string;
  readonly keys: { readonly authentication: Secret };
  /** The same as long as the keys are the same. */
  readonly keyId: string;
}

/** How the signaling of one home address is protected. */
export type SecurityConfig = NoSecurityConfig | EspConfig | AuthOptionConfig;

/** A security association belongs to one home address (RFC 3776). */
export interface HomeSecurity {
  readonly homeAddress: Address;
  readonly security: SecurityConfig;
}

/** What the guest hears from its home router (RFC 4861 4.2, 4.6.2); times in seconds. */
export interface RouterAdvertisementConfig {
  readonly autonomous: boolean;
  readonly routerLifetime: number;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly managed: boolean;
  readonly other: boolean;
  /** Octets of the MTU option; undefined: no such option. */
  readonly mtu: number | undefined;
}

/** In order of preference, or found by Dynamic Home Agent Address Discovery (RFC 6275 11.4.1). */
export type HomeAgents =
  | { readonly kind: 'list'; readonly addresses: readonly [Address, ...Address[]] }
  | { readonly kind: 'auto' };

/** What the guest's network card is connected to. */
export type PortConfig =
  | { readonly kind: 'tap'; readonly device: string }
  /** The Unix socket that QEMU (7.2 or newer) listens at: `-netdev stream,server=on`. */
  | { readonly kind: 'qemu-stream'; readonly path: string };

export interface GuestConfig {
  readonly name: string;
  readonly homeAddresses: readonly [Address, ...Address[]];
  readonly homePrefix: Prefix;
  /** The home router's link-local address, as the guest knows it. */
  readonly homeRouter: Address;
  readonly homeAgents: HomeAgents;
  /** `auto`: from a prefix of the uplink (care-of-auto.ts). Only with `homeLink` may there be none. */
  readonly careOfAddress: Address | 'auto' | undefined;
  /** This host is on the home network: the guest is de-registered instead, and announced on this interface. */
  readonly homeLink: { readonly device: string; readonly mac: Mac } | undefined;
  /** Seconds asked for, a multiple of 4. */
  readonly lifetime: number;
  /** Seconds without traffic after which the Home Agent is probed; 0: never. */
  readonly livenessInterval: number;
  readonly routeOptimisation: boolean;
  readonly register: 'start' | 'traffic' | 'command' | 'qmp';
  /** The socket of QEMU's monitor, with `register` "qmp". */
  readonly qmp: string | undefined;
  readonly port: PortConfig;
  readonly routerAdvertisement: RouterAdvertisementConfig;
  /** One for each home address, in their order. */
  readonly security: readonly HomeSecurity[];
}

/** The headers that tunnel packets are given (RFC 2473 5, 6). */
export interface OuterConfig {
  /** Octets of them. */
  readonly overhead: number;
  readonly hopLimit: number;
  /** Of every packet; undefined: as inside. */
  readonly dscp?: number;
  /** Further tunnels that a packet may enter; undefined: nothing is said. */
  readonly encapsulationLimit?: number;
}

interface DaemonConfig {
  /** The file this came from. */
  readonly path: string;
  readonly controlSocket: string;
  readonly stateDirectory: string;
  /** Threads of the packet engine. */
  readonly workers: number;
  /** Whether they sleep when there is nothing to do, or look for more for a while first. */
  readonly poll: 'sleep' | 'busy';
  /** MTU of the network the outer packets cross. */
  readonly uplinkMtu: number;
  /** MTU inside the tunnel: `uplinkMtu` less the outer headers, at least 1280. */
  readonly tunnelMtu: number;
  /** What tunnels can carry is probed for (RFC 8899), besides what Packet Too Big tells. */
  readonly pathMtuProbing: boolean;
  /** The maximum segment size in TCP's SYNs is lowered to what the tunnel carries. */
  readonly mssClamp: boolean;
  readonly outer: OuterConfig;
}

/** The kernel routes the care-of addresses into a TUN. */
export interface TunUplinkConfig {
  readonly kind: 'tun';
  readonly device: string;
}

/** The care-of addresses are hosts on the link of an interface, past the kernel's IP. */
export interface PacketUplinkConfig {
  readonly kind: 'packet';
  readonly device: string;
  /** Their link-layer address: one made for this host, that of the interface, or this one. */
  readonly mac: 'own' | 'device' | Mac;
  /** Where the network has no router that advertises itself. */
  readonly router: Address | undefined;
  /** Of the receive ring, 2 KiB each. */
  readonly frames: number;
  /** Octets of larger packets that may wait beside the ring. */
  readonly queueBytes: number;
  /** Packets leave past the interface's queueing discipline (tc). */
  readonly bypassQdisc: boolean;
}

export type UplinkConfig = TunUplinkConfig | PacketUplinkConfig;

/** Where somebody listens: an address, or a name, and a port of TCP. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Another host that guests come from and go to. */
export interface PeerConfig extends Endpoint {
  /** In its certificate: a DNS name of its subjectAltName. */
  readonly name: string;
}

/** How hosts hand each other their guests: HTTPS on which both ends prove who they are. */
export interface PeeringConfig {
  readonly listen: Endpoint;
  /** PEM: that of this host, with what is between it and the authority. */
  readonly certificate: string;
  readonly key: Secret;
  /** PEM: whose certificates are believed. */
  readonly authority: string;
  readonly peers: readonly PeerConfig[];
}

/** A VM host. */
export interface HostConfig extends DaemonConfig {
  readonly role: 'host';
  readonly uplink: UplinkConfig;
  /** Undefined: guests take nothing along. */
  readonly peering: PeeringConfig | undefined;
  readonly guests: readonly GuestConfig[];
}

export interface MobileNodeConfig extends HomeSecurity {
  /** Longest lifetime granted to this one, in seconds. */
  readonly maxLifetime?: number;
}

/** A prefix that mobile nodes hear of (RFC 6275 6.8, RFC 4861 4.6.2); times in seconds. */
export interface AdvertisedPrefixConfig {
  readonly prefix: Prefix;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
}

/** A Home Agent. */
export interface HomeAgentConfig extends DaemonConfig {
  readonly role: 'home-agent';
  /** The Home Agent's address, owned by userspace. */
  readonly address: Address;
  readonly homePrefix: Prefix;
  /** The interface on the home link, where home addresses are defended; undefined: the home link is virtual. */
  readonly homeLink: string | undefined;
  readonly tunnelDevice: string;
  readonly prefixes: readonly [AdvertisedPrefixConfig, ...AdvertisedPrefixConfig[]];
  /** Longest lifetime granted, in seconds. */
  readonly maxLifetime: number;
  readonly allow: 'listed' | 'any';
  readonly maxBindings: number;
  readonly mobileNodes: readonly MobileNodeConfig[];
}
