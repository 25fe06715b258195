import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { CHECKOUT } from '../checkout.js';
import { KagemushaError } from '../errors.js';
import type { Address, Mac } from '../wire/index.js';

/** The kernel's virtio_net_hdr (linux/virtio_net.h); `checksumStart` counts from the first byte of the packet. */
export interface Offload {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** Which end of a tunnel we are (RFC 6275). */
export type Side = 'mobile-node' | 'home-agent';

/** A port of the engine: a guest's, or a link's on which we speak ICMPv6 only. */
export type PortId = number;

/** What the engine knows of one correspondent of one home address: packets that need no tunnel (RFC 6275 6.3, 6.4). */
export interface RouteSpec {
  readonly homeAddress: Address;
  /** Its home address, where it is mobile itself. */
  readonly correspondent: Address;
  /** Where it is, while it has a binding with us. */
  readonly careOfAddress?: Address;
  /** It has a binding of ours: what is for it goes straight. */
  readonly straight: boolean;
  /** What comes straight from it, with a type 2 routing header, is delivered. */
  readonly accepted: boolean;
}

export interface TunnelSpec {
  /** The tunnel's block of counters, below `maxTunnels`; it keeps counting over publications. */
  readonly slot: number;
  readonly side: Side;
  /** Outer source: the care-of address, or the home agent's address. */
  readonly local: Address;
  /** The other end: the home agent's address, or the care-of address. */
  readonly remote: Address;
  readonly homeAddresses: readonly Address[];
  /** Where the guest is, at the mobile node's side. */
  readonly port?: PortId;
  /** Of inner packets, octets; at least 1280. */
  readonly mtu: number;
  /**
   * Of outer packets, octets; at least 1280; that of the largest inner packet unless told. Longer ones are fragmented (RFC 2473 7.1),
   * TCP trains cut to fit instead.
   */
  readonly pathMtu?: number;
  /** The MSS of TCP SYNs, both ways, is lowered to what needs no fragments (RFC 6691 2). */
  readonly mssClamp?: boolean;
  /** At the mobile node's side: Mobility Headers that come for a home address go to the slow path, not to the guest. */
  readonly signaling?: boolean;
  /** At the mobile node's side: `correspondent` packets tell whom the guest speaks to, and `routes` are followed. */
  readonly optimise?: boolean;
  /**
   * At the mobile node's side: the guest has left for another host. What comes out for its home address never goes to the port but on,
   * through a tunnel of side 'home-agent' in the same table that has the home address (`local`: our care-of address, `remote`: the guest's
   * new one), with one hop less, as RFC 5568 3.2's previous access router does; without such a tunnel it is dropped (`guest_left`).
   * What its home agent asks or answers us is still ours. Mobility Headers and Home Address options go on as they are, unless `signaling`
   * and `optimise` say otherwise. A packet that goes no further is told of without a `port`, by `hop-limit`, `too-big` or
   * `encapsulation-limit`.
   */
  readonly onward?: boolean;
  /**
   * At the mobile node's side: `remote` is the old care-of address of the guest, `local` the new one, and what its old host sends after it
   * comes out here (RFC 2473 3.3). The guest sends nothing by it: its home addresses may be in another tunnel, too, and what claims to be
   * from a home agent (probes, answers, a type 2 routing header) is not believed: inside the tunnel it is the guest's like any other.
   * Not together with `onward`.
   */
  readonly inbound?: boolean;
  /** At most 1024. */
  readonly routes?: readonly RouteSpec[];
  /** Of outer headers, 1 to 255; 64 unless told (RFC 2473 6.3). */
  readonly hopLimit?: number;
  /** DSCP of outer headers, 0 to 63; unless told the inner packet's. Congestion marks are always the inner packet's. */
  readonly dscp?: number;
  /**
   * Each outer header says that its packet may enter so many further tunnels, 0 to 255, and is 8 octets longer for it (RFC 2473
   * 4.1.1); unless told only where the packet inside brought a limit.
   */
  readonly encapsulationLimit?: number;
}

/** An address that is ours: what is no tunnel payload goes to the slow path. */
export interface LocalSpec {
  readonly address: Address;
  readonly side: Side;
}

/**
 * Whom we expect signaling from: one entry for each home address and each address of ours that its signaling comes to. What
 * names an entry, rightly or not, shares a few hundred packets a second, of which those with the SPI and about the sequence
 * number that are expected have almost all (native/engine/policing.h).
 */
export interface SignalerSpec {
  /** Below `maxSignalers`; it keeps its lanes and the word of expectSequence() over publications. */
  readonly index: number;
  readonly side: Side;
  /** Where the packets go: the care-of address, the home agent's address; on the home link the home address. */
  readonly local: Address;
  readonly homeAddress: Address;
  /** What the policy demands: ESP, or a Mobility Header in the clear. */
  readonly protection: 'plain' | 'esp';
  /** With esp: of the inbound association, 32 bits. */
  readonly spi?: number;
}

/** On the link of a packet uplink: whose frame a packet for this address becomes. */
export interface NextHopSpec {
  readonly address: Address;
  readonly mac: Mac;
}

export interface Table {
  readonly tunnels: readonly TunnelSpec[];
  readonly locals: readonly LocalSpec[];
  readonly signalers?: readonly SignalerSpec[];
  /** Of a packet uplink: destinations that are on its link. */
  readonly nextHops?: readonly NextHopSpec[];
  /** Of a packet uplink: where all else goes. What has no next hop is dropped (`no_next_hop`). */
  readonly router?: Mac;
}

/** Octets that are mapped for packets. */
export interface EngineMemory {
  /** By the engines of this process, for what is in use: it grows with guests. */
  readonly mapped: number;
  /** The packet uplink's receive ring, which the kernel has allocated; 0 with another uplink. */
  readonly uplinkRing: number;
}

/** What a packet uplink may have. */
export interface PacketUplinkMemory {
  /** Of the receive ring, 2 KiB each: a multiple of 64, 1024 unless told. */
  readonly frames?: number;
  /**
   * Octets of larger packets, as the NIC merged them, that may wait beside the ring; 4 MiB unless told. More than the sysctl
   * net.core.rmem_max only with CAP_NET_ADMIN.
   */
  readonly queueBytes?: number;
}

export interface OpenedPacketUplink {
  /** That our frames come from. */
  readonly mac: Mac;
  /** With `bypassQdisc`: why AF_XDP cannot be had, in the kernel's words. */
  readonly withoutXdp?: string;
}

export interface NativeMemoryDevice {
  inject(bytes: Uint8Array, offload?: Partial<Offload>): boolean;
  take(): { bytes: Uint8Array; offload: Offload } | undefined;
}

/** Where things lie in the shared region, octets from its start. */
export interface RegionLayout {
  readonly maxPorts: number;
  readonly maxTunnels: number;
  readonly maxSignalers: number;
  readonly engineCounters: number;
  readonly portCounters: number;
  readonly portStride: number;
  readonly tunnelCounters: number;
  readonly tunnelStride: number;
  readonly sequences: number;
  readonly receiveRing: number;
  readonly transmitRing: number;
}

export interface NativeEngine {
  openTap(device: string, localMac: Mac): PortId;
  openStream(path: string, localMac: Mac, mtu: number): PortId;
  connectStream(port: PortId): void;
  openPacketPort(
    device: string,
    signaling: boolean,
    promiscuous: boolean,
    mac?: Mac,
  ): { port: PortId; mac: Mac };
  openMemoryPort(localMac: Mac): { port: PortId; device: NativeMemoryDevice };
  openTun(device: string, napi: boolean): void;
  openPacketUplink(
    device: string,
    options: PacketUplinkMemory & { readonly mac?: Mac; readonly bypassQdisc?: boolean },
  ): OpenedPacketUplink;
  openMemoryUplink(): NativeMemoryDevice;
  closePort(port: PortId): void;
  setPeerMac(port: PortId, mac: Mac): void;
  watchFirstFrame(port: PortId): void;
  watchFirstDelivery(port: PortId): void;
  publish(table: Table): void;
  clearTunnelCounters(slot: number): void;
  kick(): void;
  memory(): EngineMemory;
  flowLabel(inner: Uint8Array): number;
  close(): void;
  region(): ArrayBuffer;
  layout(): RegionLayout;
}

export interface NativeModule {
  readonly NativeEngine: new (
    options: {
      workers: number;
      maxPorts: number;
      maxTunnels: number;
      maxSignalers?: number;
      busyPoll?: boolean;
    },
    onReadable: () => void,
  ) => NativeEngine;
  notifySocket(path: string, message: string): void;
  openSpareSockets(count: number, xdp: boolean): number[];
  adoptSpareSockets(fds: readonly number[]): void;
  replaceProcess(path: string, argv: readonly string[], environment: readonly string[]): never;
  shortenSlice(microseconds: number): boolean;
  /** In a sequence word: nothing is known of the next number. */
  readonly noSequence: number;
  /** The counters in the order of their blocks; drop reasons close every block. */
  readonly names: {
    readonly drops: readonly string[];
    readonly engine: readonly string[];
    readonly port: readonly string[];
    readonly tunnel: readonly string[];
  };
  /** The slow-path rings, see native/engine/slow_path_ring.h. */
  readonly ring: {
    readonly receiveCells: number;
    readonly transmitCells: number;
    readonly payload: number;
    readonly record: number;
    readonly cell: number;
    readonly tail: number;
    readonly kicked: number;
    readonly firstCell: number;
    readonly filler: number;
    readonly none: number;
    readonly toUplink: number;
  };
}

let loaded: NativeModule | undefined;

/** The addon. Throws KagemushaError NATIVE_MISSING when it was not built. */
export function loadNative(): NativeModule {
  if (loaded) return loaded;
  const path = join(CHECKOUT, 'build', 'Release', 'kagemusha_native.node');
  if (!existsSync(path)) {
    throw new KagemushaError('NATIVE_MISSING', `there is no ${path}: run npm run setup`);
  }
  try {
    loaded = createRequire(import.meta.url)(path) as NativeModule;
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new KagemushaError('NATIVE_MISSING', `${path} does not load (${why}): run npm run setup`);
  }
  return loaded;
}

/** Runs `call`; an error of the addon (an Error with a `code`) becomes a KagemushaError. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
      throw new KagemushaError(error.code, error.message, { cause: error });
    }
    throw error;
  }
}

/**
 * Packet sockets for later, and with `xdp` an AF_XDP socket where there is any, descriptors that stay open over
 * {@link replaceProcess}. Needs CAP_NET_RAW. Throws KagemushaError DEVICE_PERMISSION.
 */
export function openSpareSockets(count: number, xdp: boolean): number[] {
  return translated(() => loadNative().openSpareSockets(count, xdp));
}

/** Whoever opens a packet port or a packet uplink from now on uses these, and needs no right to it. A closed packet port gives its one back. */
export function adoptSpareSockets(fds: readonly number[]): void {
  translated(() => loadNative().adoptSpareSockets(fds));
}

/**
 * This process goes on as another program (execve(2)), without capabilities and without a way to gain any; but CAP_SYS_NICE stays, where
 * it has that: the engine's threads ask for their priority with it. Throws KagemushaError EXEC_FAILED.
 *
 * @param environment `NAME=value` each
 */
export function replaceProcess(
  path: string,
  argv: readonly string[],
  environment: readonly string[],
): never {
  return translated(() => loadNative().replaceProcess(path, argv, environment));
}

/**
 * sd_notify(3): sends `message` (`READY=1`) as one datagram to the Unix socket `path`; a leading `@` is the abstract
 * namespace. Throws KagemushaError NOTIFY_FAILED.
 */
export function notifySocket(path: string, message: string): void {
  translated(() => loadNative().notifySocket(path, message));
}

/**
 * Linux 6.12 and later let this thread, when it wakes, go before those whose turns on a processor are longer than `microseconds` (100 to
 * 100,000; a few thousand unless asked for); its share of the processor stays what it is, and what it starts runs as ever. Needs no right.
 * False: all is as before, for the thread is not under SCHED_OTHER or the kernel does not let it. Older kernels do nothing.
 */
export function shortenSlice(microseconds: number): boolean {
  return translated(() => loadNative().shortenSlice(microseconds));
}
