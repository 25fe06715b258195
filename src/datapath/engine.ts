import type { Mac } from '../wire/index.js';
import { Counters, type TunnelCounters } from './counters.js';
import {
  type EngineMemory,
  loadNative,
  type NativeEngine,
  type NativeMemoryDevice,
  type Offload,
  type OpenedPacketUplink,
  type PacketUplinkMemory,
  type PortId,
  type Table,
  translated,
} from './native.js';
import { SequenceWords } from './sequence-words.js';
import { ReceiveRing, type SlowPathPacket, TransmitRing } from './slow-path.js';

export interface EngineOptions {
  /** Threads; 1 unless told. The uplink is served by the first one, guests by all in turn. */
  readonly workers?: number;
  /** Ports open at a time, 1024 unless told. */
  readonly maxPorts?: number;
  /** Blocks of tunnel counters, 1024 unless told. */
  readonly maxTunnels?: number;
  /** Signalers whose sequence numbers are followed, 2048 unless told. */
  readonly maxSignalers?: number;
  /**
   * 'sleep' unless told: an engine without packets costs nothing. 'busy': for two seconds after each packet its threads do not sleep but ask
   * for the next one, which takes whole processors and some of the time that a packet waits.
   */
  readonly poll?: 'sleep' | 'busy';
}

export interface PacketPortOptions {
  /**
   * Frames with a Mobility Header, ESP, destination options or a routing header come too. What is for no local and no signaler of
   * the table is others' and policed to a few.
   */
  readonly signaling?: boolean;
  /** Frames for other MAC addresses come too, but for their ICMPv6: what a bridge carries between its ports. */
  readonly promiscuous?: boolean;
  /**
   * Beside a packet uplink: of ICMPv6 only Neighbor Discovery and MLD, for this MAC (which need not be the device's) and for groups.
   * The rest comes by the uplink.
   */
  readonly mac?: Mac;
}

export interface PacketUplinkOptions {
  /**
   * What our frames come from and go to, beside the device's own: the device is promiscuous then. Unless told the device's own; then
   * only what is for the table's locals comes (with more than 64 of them all IPv6 for that MAC), and the kernel, which gets it too,
   * must be kept from forwarding or answering it.
   */
  readonly mac?: Mac;
  readonly memory?: PacketUplinkMemory;
  /**
   * What we send passes by the device's queueing discipline (tc) and by captures on this machine: by AF_XDP, which passes by
   * nftables, too, or else by a packet socket.
   */
  readonly bypassQdisc?: boolean;
}

/** Slow-path packets in a row; then the event loop gets a turn, so that a flood stops no timer and no socket. */
const RECEIVE_TURN = 256;

/** An engine has one uplink. */
export type UplinkId = 'uplink';

/** The in-memory double of a device, for tests: bounded queues of 256 packets each way. */
export class MemoryUplink {
  private readonly device: NativeMemoryDevice;

  constructor(device: NativeMemoryDevice) {
    this.device = device;
  }

  /** Lets the engine read a packet (at a port: an Ethernet frame); false when its queue is full. */
  inject(bytes: Uint8Array, offload?: Partial<Offload>): boolean {
    return this.device.inject(bytes, offload);
  }

  /** The oldest packet that the engine wrote. */
  take(): Uint8Array | undefined {
    return this.device.take()?.bytes;
  }

  /** As take(), with what the engine said of checksum and segmentation. */
  takeWithOffload(): { bytes: Uint8Array; offload: Offload } | undefined {
    return this.device.take();
  }
}

export class MemoryPort extends MemoryUplink {
  readonly port: PortId;

  constructor(port: PortId, device: NativeMemoryDevice) {
    super(device);
    this.port = port;
  }
}

/**
 * The packet engine: everything that touches payload runs in its own threads; here are its controls. All methods are
 * synchronous and are called from one thread. Errors are KagemushaErrors whose message says what to do.
 *
 * An open engine does not keep the process alive.
 */
export class Engine {
  private readonly native: NativeEngine;
  private readonly region: ArrayBuffer;
  private readonly counting: Counters;
  private readonly sequences: SequenceWords;
  private readonly receiving: ReceiveRing;
  private readonly transmitting: TransmitRing;
  private readable: () => void = () => {};
  private lost: (which: PortId | UplinkId) => void = () => {};
  /** Of each port: how often we told that its device was lost. */
  private readonly losses = new Map<PortId, number>();
  private devicesLost = 0;
  private uplinksLost = 0;
  private closed = false;
  /** Packets that receive() may still give before it pauses for a turn of the event loop. */
  private turn = RECEIVE_TURN;

  constructor(options: EngineOptions = {}) {
    const addon = loadNative();
    const { workers = 1, maxPorts = 1024, maxTunnels = 1024, maxSignalers = 2048, poll } = options;
    const sizes = { workers, maxPorts, maxTunnels, maxSignalers, busyPoll: poll === 'busy' };
    this.native = translated(() => new addon.NativeEngine(sizes, () => this.look()));
    const layout = this.native.layout();
    this.region = this.native.region();
    this.counting = new Counters(this.region, layout, addon.names);
    this.sequences = new SequenceWords(this.region, layout, addon.noSequence);
    this.receiving = new ReceiveRing(this.region, layout.receiveRing, addon.ring);
    this.transmitting = new TransmitRing(this.region, layout.transmitRing, addon.ring);
  }

  /**
   * Attaches to a tap, or creates it (persistent) when there is none and we have the right. Bringing it up is the
   * caller's. `localMac` is what the guest sees as the source of its frames.
   * Throws TUN_UNAVAILABLE, DEVICE_MISSING, DEVICE_BUSY, DEVICE_PERMISSION, DEVICE_KIND, TOO_MANY_PORTS.
   */
  openTap(device: string, options: { readonly localMac: Mac }): PortId {
    return this.followed(translated(() => this.native.openTap(device, options.localMac)));
  }

  /**
   * A guest's port that is a stream socket of QEMU's (`-netdev stream,server=on,addr.type=unix`, QEMU 7.2 or newer). It is not
   * connected yet: what is for the guest is dropped as `port_error`. TCP trains are cut to `mtu` octets of IPv6, 1500 unless told.
   * Throws TOO_MANY_PORTS, OUT_OF_DESCRIPTORS, OUT_OF_MEMORY.
   */
  openStream(path: string, options: { readonly localMac: Mac; readonly mtu?: number }): PortId {
    const { localMac, mtu = 1500 } = options;
    return this.followed(translated(() => this.native.openStream(path, localMac, mtu)));
  }

  /**
   * Connects a port of openStream(); nothing when it is connected. When the connection ends onLost() tells of it, and the same
   * port may be connected again: it keeps its tunnels.
   * Throws STREAM_MISSING (nobody listens there), STREAM_BUSY, STREAM_PERMISSION, STREAM_KIND, OUT_OF_DESCRIPTORS, NO_PORT.
   */
  connectStream(port: PortId): void {
    translated(() => this.native.connectStream(port));
  }

  /**
   * `callback` runs on this thread when a device is gone: deleted (a tap, the interface of a packet port or of the uplink), or, of a
   * port of openStream(), its connection ended; for that once for each time. What goes to it is dropped (`port_error`,
   * `uplink_error`), nothing is read from it any more, and it stays open until closePort(). A deleted interface may be told of a
   * second late.
   */
  onLost(callback: (which: PortId | UplinkId) => void): void {
    this.lost = callback;
  }

  /**
   * A link on which every ICMPv6 frame goes to the slow path, and signaling where asked, and nothing else is seen (AF_PACKET,
   * needs CAP_NET_RAW). Throws DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND, TOO_MANY_PORTS, OUT_OF_PACKET_SOCKETS.
   */
  openPacketPort(device: string, options: PacketPortOptions = {}): { port: PortId; mac: Mac } {
    const { signaling = false, promiscuous = false, mac } = options;
    const opened = translated(() =>
      this.native.openPacketPort(device, signaling, promiscuous, mac),
    );
    this.followed(opened.port);
    return opened;
  }

  /** A guest's port in memory. */
  openMemoryPort(options: { readonly localMac: Mac }): MemoryPort {
    const { port, device } = translated(() => this.native.openMemoryPort(options.localMac));
    return new MemoryPort(port, device);
  }

  /**
   * Attaches to a TUN device as the uplink, or creates it. `napi`: what is written is merged by the device's NAPI before it is
   * routed, for devices whose NAPI has a thread of its own. Throws as openTap(), and UPLINK_OPEN.
   */
  openTun(device: string, options: { readonly napi?: boolean } = {}): UplinkId {
    translated(() => this.native.openTun(device, options.napi === true));
    return 'uplink';
  }

  /**
   * An Ethernet interface as the uplink: packet sockets with a receive ring, past the kernel's IP. Neighbor Discovery is left to a
   * packet port with the same `mac`, and `nextHops` and `router` of the table say where packets go. Needs CAP_NET_RAW, no longer once
   * it is open. Throws DEVICE_MISSING, DEVICE_PERMISSION, DEVICE_KIND, OUT_OF_MEMORY, UPLINK_OPTIONS, UPLINK_OPEN.
   */
  openPacketUplink(device: string, options: PacketUplinkOptions = {}): OpenedPacketUplink {
    const { memory, ...rest } = options;
    return translated(() => this.native.openPacketUplink(device, { ...memory, ...rest }));
  }

  /** The uplink in memory. Throws UPLINK_OPEN. */
  openMemoryUplink(): MemoryUplink {
    return new MemoryUplink(translated(() => this.native.openMemoryUplink()));
  }

  /** Nothing more passes the port when this returns; tunnels that name it lose it. Throws NO_PORT. */
  closePort(port: PortId): void {
    translated(() => this.native.closePort(port));
    this.losses.delete(port);
  }

  /** Where the guest's frames go; the engine also learns it from the guest's own. Throws NO_PORT. */
  setPeerMac(port: PortId, mac: Mac): void {
    translated(() => this.native.setPeerMac(port, mac));
  }

  /** Replaces tunnels, locals and signalers; packets see the old table or the new one. Throws TABLE_INVALID, NO_PORT. */
  publish(table: Table): void {
    translated(() => this.native.publish(table));
  }

  /**
   * The flow label that the outer header of this IPv6 packet has, 20 bits and never 0: a hash, under a key of this process, of its
   * addresses, protocol and ports, or of its addresses and own flow label where it shows no ports of TCP or UDP (RFC 6438 3).
   * `inner` may be cut off behind the ports, as ICMPv6 errors quote it: whoever did not see the outer packet does not know the
   * label.
   */
  flowLabel(inner: Uint8Array): number {
    return this.native.flowLabel(inner);
  }

  /**
   * Tells which sequence number the signaler with this index is at, so that policing knows the next ones: with esp the replay
   * window's top, or the last number seen where there is no window; plain, at the home agent the last one accepted, at the
   * mobile node the last one sent; undefined where none is known. No call: it may be told with every message.
   */
  expectSequence(index: number, base: number | undefined): void {
    this.sequences.expect(index, base);
  }

  /** The next frame of this port comes to the slow path as `first-frame`, and goes its way besides. Throws NO_PORT. */
  watchFirstFrame(port: PortId): void {
    translated(() => this.native.watchFirstFrame(port));
  }

  /**
   * The next packet out of a tunnel that is written to this guest's port is told of as `first-delivery`, once; what transmit() sends
   * does not count. Where the ring has no room for it the one after it is. Throws NO_PORT.
   */
  watchFirstDelivery(port: PortId): void {
    translated(() => this.native.watchFirstDelivery(port));
  }

  /**
   * `callback` runs on this thread when slow-path packets wait: receive() until it gives undefined, or look again later,
   * for nothing else tells of what was left. Where receive() paused, the callback runs again by itself.
   */
  onReadable(callback: () => void): void {
    this.readable = callback;
  }

  /**
   * The oldest slow-path packet, a view into the ring: release() it before the next one. After 256 of them it gives
   * undefined until the event loop had a turn.
   */
  receive(): SlowPathPacket | undefined {
    if (this.turn === 0) return undefined;
    const packet = this.receiving.receive();
    if (packet && --this.turn === 0) {
      setImmediate(() => {
        this.turn = RECEIVE_TURN;
        this.look();
      });
    }
    return packet;
  }

  private followed(port: PortId): PortId {
    this.losses.set(port, 0);
    return port;
  }

  private look(): void {
    if (this.closed) return;
    this.lookForLosses();
    if (!this.closed && this.turn > 0) this.readable();
  }

  /** The engine counts them before it wakes us, so none is missed; one number tells that there are none. */
  private lookForLosses(): void {
    const lost = this.counting.engineCounter('devicesLost');
    if (lost === this.devicesLost) return;
    this.devicesLost = lost;
    const uplinks = this.counting.engineCounter('uplinksLost');
    const uplinkToo = uplinks !== this.uplinksLost;
    this.uplinksLost = uplinks;
    for (const [port, told] of [...this.losses]) {
      const times = this.counting.port(port).lost ?? 0;
      if (times === told || !this.losses.has(port)) continue;
      this.losses.set(port, times);
      this.lost(port);
    }
    if (uplinkToo) this.lost('uplink');
  }

  /** Sends an Ethernet frame by a port, or an IPv6 packet by the uplink; checksums complete. False: no room (counted). */
  transmit(target: PortId | UplinkId, bytes: Uint8Array): boolean {
    const result = this.transmitting.push(target, bytes);
    if (result !== 'done') {
      this.counting.count(result === 'full' ? 'transmitRingFull' : 'transmitTooLong');
      return false;
    }
    if (this.transmitting.ask()) translated(() => this.native.kick());
    return true;
  }

  /** What is mapped for packets. Throws ENGINE_CLOSED. */
  memory(): EngineMemory {
    return translated(() => this.native.memory());
  }

  /** The engine's own counters by name. */
  counters(): Record<string, number> {
    return this.counting.engine();
  }

  /** A port's counters by name. */
  portCounters(port: PortId): Record<string, number> {
    return this.counting.port(port);
  }

  /** Traffic and drops of the tunnel with this slot, since the slot was first used or reset. */
  tunnelCounters(slot: number): TunnelCounters {
    return this.counting.tunnel(slot);
  }

  /** Begins a slot's counters anew: when it goes to another tunnel. Throws TABLE_INVALID when there is no such slot. */
  resetTunnelCounters(slot: number): void {
    translated(() => this.native.clearTunnelCounters(slot));
  }

  /** Drops of what came in by a port, by reason. */
  portDrops(port: PortId): Record<string, number> {
    return this.counting.portDrops(port);
  }

  /** Drops that belong to no port and no tunnel, by reason. */
  drops(): Record<string, number> {
    return this.counting.engineDrops();
  }

  /** Stops the threads and closes every device. Counters can still be read; everything else throws ENGINE_CLOSED. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.native.close();
  }
}
