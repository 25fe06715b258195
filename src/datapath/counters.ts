import type { NativeModule, PortId, RegionLayout } from './native.js';

/** Of one direction of a tunnel: inner IPv6 lengths, one packet per segment on the wire. */
export interface Traffic {
  packets: number;
  bytes: number;
}

/** A drop has one cause and is counted once: at the guest's port, at the tunnel, or at the engine. */
export interface TunnelCounters {
  toHome: Traffic;
  toGuest: Traffic;
  /** Packets without a tunnel, counted above too. */
  straight: { to: number; from: number };
  /** Packets out of the tunnel whose congestion marks, inside and outside, do not go together (RFC 6040 4.2). */
  ecnAlarms: number;
  /** Fragments of outer packets that were longer than the path MTU. */
  fragmentsSent: number;
  /** SYNs whose MSS was lowered. */
  mssClamped: number;
  drops: Record<string, number>;
}

type Names = NativeModule['names'];

/**
 * The engine's counters as they stand in the shared region: reading one is reading memory. Each value is whole (64 bits);
 * several are not of one instant.
 */
export class Counters {
  private readonly values: BigUint64Array;
  private readonly layout: RegionLayout;
  private readonly names: Names;

  constructor(region: ArrayBuffer, layout: RegionLayout, names: Names) {
    this.values = new BigUint64Array(region);
    this.layout = layout;
    this.names = names;
  }

  /** The engine's own counters by name. */
  engine(): Record<string, number> {
    return this.read(this.layout.engineCounters, this.names.engine);
  }

  /** One of the engine's own counters; 0 when there is none of that name. */
  engineCounter(name: string): number {
    const index = this.names.engine.indexOf(name);
    return index < 0 ? 0 : this.at(this.layout.engineCounters / 8 + index);
  }

  /** A port's counters by name. */
  port(port: PortId): Record<string, number> {
    return this.read(this.portBlock(port), this.names.port);
  }

  tunnel(slot: number): TunnelCounters {
    const block = this.tunnelBlock(slot);
    const value = this.read(block, this.names.tunnel);
    return {
      toHome: { packets: value.toHomePackets ?? 0, bytes: value.toHomeBytes ?? 0 },
      toGuest: { packets: value.toGuestPackets ?? 0, bytes: value.toGuestBytes ?? 0 },
      straight: { to: value.straightTo ?? 0, from: value.straightFrom ?? 0 },
      ecnAlarms: value.ecnAlarms ?? 0,
      fragmentsSent: value.fragmentsSent ?? 0,
      mssClamped: value.mssClamped ?? 0,
      drops: this.drops(block, this.names.tunnel.length),
    };
  }

  /** Drops that belong to no port and no tunnel; reasons that never happened are left out, here as below. */
  engineDrops(): Record<string, number> {
    return this.drops(this.layout.engineCounters, this.names.engine.length);
  }

  /** Drops of what came in by a port. */
  portDrops(port: PortId): Record<string, number> {
    return this.drops(this.portBlock(port), this.names.port.length);
  }

  /** Adds one to an engine counter that is ours to count. */
  count(name: string): void {
    const index = this.names.engine.indexOf(name);
    if (index >= 0) Atomics.add(this.values, this.layout.engineCounters / 8 + index, 1n);
  }

  private portBlock(port: PortId): number {
    if (!(port >= 0 && port < this.layout.maxPorts)) throw new RangeError(`no port ${port}`);
    return this.layout.portCounters + port * this.layout.portStride;
  }

  private tunnelBlock(slot: number): number {
    if (!(slot >= 0 && slot < this.layout.maxTunnels))
      throw new RangeError(`no tunnel slot ${slot}`);
    return this.layout.tunnelCounters + slot * this.layout.tunnelStride;
  }

  private read(block: number, names: readonly string[]): Record<string, number> {
    const result: Record<string, number> = {};
    for (const [index, name] of names.entries()) result[name] = this.at(block / 8 + index);
    return result;
  }

  private drops(block: number, firstDrop: number): Record<string, number> {
    const result: Record<string, number> = {};
    for (const [index, name] of this.names.drops.entries()) {
      const count = this.at(block / 8 + firstDrop + index);
      if (count > 0) result[name] = count;
    }
    return result;
  }

  private at(index: number): number {
    return Number(Atomics.load(this.values, index));
  }
}
