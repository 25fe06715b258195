import type { ArrivalReport, VmState } from '../migration/index.js';
import type { BindingSummary } from '../signaling/index.js';
import type { Address } from '../wire/address.js';
import type { Mac } from '../wire/mac.js';
import type { TunnelEvents } from './tunnel-events.js';

/** Version of the JSON that `status --json` prints and `GET /v1/status` answers. */
export const STATUS_SCHEMA_VERSION = 1;

export interface Count {
  readonly packets: number;
  readonly bytes: number;
}

export interface TrafficStatus {
  /** From the guest to its Home Agent. */
  readonly toHome: Count;
  /** From the Home Agent to the guest. */
  readonly toGuest: Count;
}

/** What a tunnel carries, octets. */
export interface TunnelStatus {
  /** The largest packet inside. */
  readonly mtu: number;
  /** The largest outer packet. */
  readonly pathMtu: number;
  /** `unconfirmed`: no probe was answered; `searching`: what the path carries is not known exactly yet. */
  readonly state: 'unconfirmed' | 'confirmed' | 'searching';
}

/** Packets dropped, by reason. */
export type Drops = Readonly<Record<string, number>>;

/** A binding; `status` is that of the last Binding Acknowledgement, times in seconds, `reason` one sentence. */
export type BindingStatus = Omit<BindingSummary, 'homeAgent' | 'prefixes'>;

/** A prefix of the home network, as its Home Agent told (RFC 6275 11.4.3); times in seconds, 4294967295 is for ever. */
export interface HomePrefixStatus {
  readonly prefix: string;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
}

/** One home address of a guest. */
export interface HomeStatus extends BindingStatus {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** The one that holds the binding, or is asked for one. */
  readonly homeAgent?: Address;
  /** How its signaling is protected: `none`, `esp` or `auth-option`. */
  readonly protection: string;
  readonly homePrefixes?: readonly HomePrefixStatus[];
  /** Only while it is open. */
  readonly tunnel?: TunnelStatus;
}

/** A correspondent of a guest (RFC 6275 11.6). */
export interface CorrespondentStatus {
  readonly correspondent: Address;
  /** `optimised`: packets take the straight way; `tunnel`: all go by the Home Agent. */
  readonly state: 'optimised' | 'testing' | 'tunnel';
  /** Why the tunnel carries everything. */
  readonly reason?: string;
}

/** What a guest's network card is connected to. */
export interface PortStatus {
  readonly kind: 'tap' | 'qemu-stream';
  /** The device, or the path of the socket. */
  readonly name: string;
  /** Of a stream: whether QEMU is at its other end. Of a tap, false: it, or the guest's home link, was deleted. */
  readonly connected?: boolean;
  /** Why it is not, one line. */
  readonly reason?: string;
}

/** With `register = "qmp"`: the guest's machine, as its monitor last told. */
export interface MachineStatus {
  /** The path of QEMU's monitor. */
  readonly monitor: string;
  readonly state: VmState;
  /** Why there is no connection, one line. */
  readonly reason?: string;
}

export interface GuestStatus {
  readonly name: string;
  readonly port: PortStatus;
  readonly machine?: MachineStatus;
  readonly homeAddresses: readonly Address[];
  /** Left out while `auto` has found none. */
  readonly careOfAddress?: Address;
  /** Left out while none is known. */
  readonly homeAgent?: Address;
  /** How its signaling is protected, each kind once. */
  readonly protection: string;
  /** Of the home address that needs attention most. */
  readonly binding: BindingStatus;
  /** Of each home address. */
  readonly bindings: readonly HomeStatus[];
  /** Of several that are open the one with the smallest MTU. */
  readonly tunnel?: TunnelStatus;
  /** How its last arrival on this host went, where this process saw it come. */
  readonly arrival?: ArrivalReport;
  /** It runs here and on another host, which has it: what to do. */
  readonly conflict?: string;
  /** Only with `route_optimisation`. */
  readonly correspondents?: readonly CorrespondentStatus[];
  readonly traffic: TrafficStatus;
  readonly events: TunnelEvents;
  readonly drops: Drops;
}

/**
 * How packets leave by a packet uplink: through the device's queueing discipline, or, with `bypass_qdisc`, past it and past captures
 * on this host, `xdp` past netfilter, too.
 */
export type Sending = 'queued' | 'direct' | 'xdp';

/** The network side of a host. */
export type UplinkStatus =
  | { readonly kind: 'tun'; readonly device: string }
  | {
      readonly kind: 'packet';
      readonly device: string;
      /** The link-layer address of the care-of addresses. */
      readonly mac: Mac;
      readonly sending: Sending;
      /** Left out while none is known. */
      readonly router?: {
        readonly address: Address;
        readonly mac?: Mac;
        readonly state: 'sought' | 'reachable' | 'unreachable';
      };
      /** Of this host on the link; `checked`: duplicate address detection runs; `duplicate`: another node has it. */
      readonly addresses: readonly {
        readonly address: Address;
        readonly state: 'checked' | 'usable' | 'duplicate';
      }[];
      /** Why no packet can leave, one sentence. */
      readonly reason?: string;
    };

/** Octets that the packet engine has mapped. */
export interface MemoryStatus {
  /** For packets, counters and rings, touched or not. */
  readonly mapped: number;
  /** The receive ring of a packet uplink, 0 with another one. */
  readonly uplinkRing: number;
}

/** Another host that guests come from and go to. */
export interface PeerStatus {
  readonly name: string;
  /** Why it could not be asked the last time. */
  readonly reason?: string;
}

export interface HostStatus {
  readonly schemaVersion: typeof STATUS_SCHEMA_VERSION;
  readonly role: 'host';
  readonly uplink: UplinkStatus;
  readonly memory: MemoryStatus;
  readonly guests: readonly GuestStatus[];
  /** Only with `[host.peering]`. */
  readonly peers?: readonly PeerStatus[];
  /** What no guest can be blamed for. */
  readonly drops: Drops;
}

export interface HomeAgentBindingStatus {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** How its Binding Updates must be protected. */
  readonly protection: string;
  readonly sequence: number;
  /** Seconds granted. */
  readonly lifetime: number;
  /** Seconds left. */
  readonly expiresIn: number;
  /** `probing`: duplicate address detection on the home link still runs. */
  readonly state: 'probing' | 'bound';
  /** Only while it is open. */
  readonly tunnel?: TunnelStatus;
  readonly traffic: TrafficStatus;
  readonly events: TunnelEvents;
  readonly drops: Drops;
}

export interface HomeAgentStatus {
  readonly schemaVersion: typeof STATUS_SCHEMA_VERSION;
  readonly role: 'home-agent';
  readonly address: Address;
  readonly memory: MemoryStatus;
  readonly bindings: readonly HomeAgentBindingStatus[];
  readonly drops: Drops;
}

export type DaemonStatus = HostStatus | HomeAgentStatus;

/** A device that packets can be seen on: an element of the answer of `GET /v1/devices`. */
export interface CaptureDevice {
  readonly device: string;
  /** `uplink`, or the name of the guest whose port it is. */
  readonly name: string;
}

/** Body of `POST /v1/guests/NAME/ping`. */
export interface PingRequest {
  readonly count: number;
  /** Octets of echo data. */
  readonly size: number;
}

/** Its answer: one round-trip time, in milliseconds, for each reply. */
export interface PingAnswer {
  readonly sent: number;
  readonly received: number;
  readonly rtts_ms: readonly number[];
}

/** Answer of `POST /v1/reload`, lines for people. */
export interface ReloadAnswer {
  /** What the next start is needed for, or what is waited for. */
  readonly notes: readonly string[];
  /** Guests that the configuration has and that could not be opened. */
  readonly failures: readonly string[];
}

/** Answer of `PUT /v1/guests/:name`. */
export interface GuestChange {
  readonly change: 'added' | 'changed' | 'unchanged';
  /** What the guest waits for. */
  readonly waits?: string;
}
