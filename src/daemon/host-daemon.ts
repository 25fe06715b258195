import { isDeepStrictEqual } from 'node:util';
import { Engine, type SlowPathPacket } from '../datapath/index.js';
import { Drops } from '../drops.js';
import { KagemushaError } from '../errors.js';
import { answerEcho } from '../homelink/index.js';
import { readSignal } from '../signaling/index.js';
import {
  type Address,
  attempt,
  emitPacket,
  type Ipv6Packet,
  PROTOCOL,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  WireError,
} from '../wire/index.js';
import type { GuestConfig, HostConfig } from './config/schema.js';
import { monotonicNow } from './driver.js';
import { sumDrops } from './drop-counts.js';
import { Guest, ROUTER_MAC } from './guest.js';
import type { Logger } from './log.js';
import { drainSlowPath } from './slow-path.js';
import type { CaptureDevice, HostStatus, PingAnswer } from './status.js';
import { TunnelPing } from './tunnel-ping.js';
import { TunnelSlots } from './tunnel-slots.js';
import { openUplink } from './uplink.js';

/** Ports and tunnels of one host process. */
const MAX_GUESTS = 1024;

/** A VM host: its guests, their engine, and what the network says to them. */
export class HostDaemon {
  readonly #log: Logger;
  readonly #engine: Engine;
  readonly #guests = new Map<string, Guest>();
  readonly #byPort = new Map<number, Guest>();
  readonly #byCareOf = new Map<Address, Guest>();
  readonly #slots = new TunnelSlots(MAX_GUESTS);
  readonly #drops = new Drops();
  readonly #ping: TunnelPing;
  #config: HostConfig;

  /**
   * Opens the uplink and every guest's port; the devices are there already (see host-setup.ts).
   *
   * @param threadedNapi see openUplink
   * @throws KagemushaError of the engine when a device cannot be opened
   */
  constructor(config: HostConfig, log: Logger, threadedNapi?: string) {
    this.#config = config;
    this.#log = log;
    this.#engine = new Engine({
      workers: config.workers,
      maxPorts: MAX_GUESTS,
      maxTunnels: MAX_GUESTS,
    });
    this.#ping = new TunnelPing(Math.floor(Math.random() * 0x10000), (packet) =>
      this.#engine.transmit('uplink', packet),
    );
    try {
      openUplink(this.#engine, config.uplink.device, threadedNapi);
      this.#engine.onReadable(() =>
        drainSlowPath(this.#engine, (packet) => this.#dispatch(packet)),
      );
      for (const guest of config.guests) this.#add(guest);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#publish();
  }

  /** Registers the guests that are registered at start. */
  start(): void {
    for (const guest of this.#guests.values()) guest.start();
  }

  /** Follows a changed configuration; guests that did not change are not touched. */
  reload(config: HostConfig): void {
    const fixed = (c: HostConfig) => [c.uplink, c.workers, c.uplinkMtu, c.controlSocket];
    if (!isDeepStrictEqual(fixed(config), fixed(this.#config))) {
      this.#log.warn('changes of [host] take effect with the next start');
    }
    const wanted = new Map(config.guests.map((guest) => [guest.name, guest]));
    for (const guest of [...this.#guests.values()]) {
      if (!isDeepStrictEqual(wanted.get(guest.config.name), guest.config)) this.#remove(guest);
    }
    const added: Guest[] = [];
    for (const guest of config.guests) {
      if (this.#guests.has(guest.name)) continue;
      try {
        added.push(this.#add(guest));
      } catch (error) {
        if (!(error instanceof KagemushaError)) throw error;
        this.#log.error({ guest: guest.name, code: error.code }, error.message);
      }
    }
    this.#config = { ...this.#config, guests: config.guests };
    this.#publish();
    for (const guest of added) guest.start();
  }

  /** @throws KagemushaError GUEST_UNKNOWN */
  bind(name: string): void {
    this.#guest(name).bind();
  }

  /** @throws KagemushaError GUEST_UNKNOWN */
  unbind(name: string): void {
    this.#guest(name).unbind();
  }

  /** Echo requests through a guest's tunnel, one after the other. @throws KagemushaError GUEST_UNKNOWN, GUEST_NOT_REGISTERED */
  async ping(name: string, count: number, size: number): Promise<PingAnswer> {
    const guest = this.#guest(name);
    const rtts: number[] = [];
    for (let sent = 0; sent < count; sent++) {
      const ends = guest.ends();
      if (ends === undefined) {
        throw new KagemushaError(
          'GUEST_NOT_REGISTERED',
          `${name} is not registered; see \`kagemusha status\`, or run \`kagemusha bind ${name}\``,
        );
      }
      const rtt = await this.#ping.once(ends, size);
      if (rtt !== undefined) rtts.push(rtt);
    }
    return { sent: count, received: rtts.length, rtts_ms: rtts };
  }

  status(): HostStatus {
    const now = monotonicNow();
    return {
      schemaVersion: 1,
      role: 'host',
      guests: [...this.#guests.values()].map((guest) => guest.status(now)),
      drops: sumDrops(this.#engine.drops(), this.#drops),
    };
  }

  /** The devices that packets can be seen on, and what they are. */
  devices(): CaptureDevice[] {
    const uplink = { device: this.#config.uplink.device, name: 'uplink' };
    const ports = this.#config.guests.map((guest) => ({
      device: guest.port.device,
      name: guest.name,
    }));
    return [uplink, ...ports];
  }

  /** Ends the machines and the engine; tunnels end with it, bindings and devices stay. */
  close(): void {
    for (const guest of this.#guests.values()) guest.stop();
    this.#engine.close();
  }

  #add(config: GuestConfig): Guest {
    const port = this.#engine.openTap(config.port.device, { localMac: ROUTER_MAC });
    const slot = this.#slots.take();
    this.#engine.resetTunnelCounters(slot);
    const guest = new Guest(config, port, slot, {
      engine: this.#engine,
      log: this.#log,
      tunnelMtu: this.#config.tunnelMtu,
      changed: () => this.#publish(),
    });
    this.#guests.set(config.name, guest);
    this.#byPort.set(port, guest);
    this.#byCareOf.set(guest.careOfAddress, guest);
    return guest;
  }

  #remove(guest: Guest): void {
    guest.stop();
    this.#guests.delete(guest.config.name);
    this.#byPort.delete(guest.port);
    this.#byCareOf.delete(guest.careOfAddress);
    this.#publish();
    this.#engine.closePort(guest.port);
    this.#slots.release(guest.slot);
  }

  #guest(name: string): Guest {
    const guest = this.#guests.get(name);
    if (guest !== undefined) return guest;
    const known = [...this.#guests.keys()].join(', ') || 'none';
    throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"; this host has: ${known}`);
  }

  #publish(): void {
    const guests = [...this.#guests.values()];
    this.#engine.publish({
      tunnels: guests.flatMap((guest) => guest.tunnel() ?? []),
      locals: guests.map((guest) => ({ address: guest.careOfAddress, side: 'mobile-node' })),
    });
  }

  #dispatch(packet: SlowPathPacket): void {
    if (packet.port !== undefined) {
      this.#byPort.get(packet.port)?.onFrame(packet);
      return;
    }
    const parsed = attempt(() => parsePacket(packet.bytes));
    if (parsed instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    const toHome =
      parsed.protocol === PROTOCOL.icmpv6 && !this.#byCareOf.has(pseudoHeader(parsed).destination);
    if (toHome && packet.tunnelSlot !== undefined) this.#onTunnelEcho(parsed, packet.tunnelSlot);
    else this.#onPacket(parsed);
  }

  /** An echo reply of a Home Agent to the home address: the answer to a probe of ours, or the guest's. */
  #onTunnelEcho(packet: Ipv6Packet, slot: number): void {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    if (this.#ping.take(message)) return;
    const guest = [...this.#guests.values()].find((candidate) => candidate.slot === slot);
    const { destination } = pseudoHeader(packet);
    if (guest?.deliver(packet, destination) !== true) this.#drops.count('undelivered');
  }

  /** A packet to a care-of address that is not tunnel payload. */
  #onPacket(packet: Ipv6Packet): void {
    const guest = this.#byCareOf.get(packet.destination);
    if (guest === undefined) {
      this.#drops.count('not_ours');
      return;
    }
    if (packet.protocol === PROTOCOL.mobility) {
      const signal = readSignal(packet);
      if (signal instanceof WireError) this.#drops.count('malformed');
      else guest.onSignal(signal);
    } else if (packet.protocol === PROTOCOL.icmpv6) {
      this.#onIcmp(packet, guest);
    } else {
      this.#drops.count('unexpected_protocol');
    }
  }

  #onIcmp(packet: Ipv6Packet, guest: Guest): void {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) {
      this.#drops.count('malformed');
      return;
    }
    if (message.kind === 'echo-request') {
      const answer = answerEcho(packet);
      if (answer === undefined) this.#drops.count('unexpected_icmp');
      else this.#engine.transmit('uplink', emitPacket(answer));
    } else if ('quoted' in message) {
      guest.onPathError(message);
    } else {
      this.#drops.count('unexpected_icmp');
    }
  }
}
