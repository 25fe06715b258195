import type { NativeModule, PortId } from './native.js';

/** What a slow-path packet is; the order is the native enumeration's (SlowPathKind). */
const KINDS = [
  'control',
  'too-big',
  'inner',
  'first-frame',
  'unbound',
  'correspondent',
  'home-address',
  'heard',
  'hop-limit',
  'encapsulation-limit',
  'first-delivery',
] as const;

export type SlowPathKind = (typeof KINDS)[number];

/**
 * A packet that the engine leaves to us. `bytes` is a view into the shared ring: it holds until release(), which must
 * come before the next receive().
 */
export interface SlowPathPacket {
  /**
   * control: NDP, mobility, ESP, ICMPv6, what the tunnel's other end answers; too-big: longer than the tunnel's MTU, from a guest
   * (`port`) or at the home agent (no `port`; `tunnelSlot`: the tunnel that it does not fit); inner: came out of a tunnel, at the home
   * agent addressed to a local, at the mobile node a Mobility Header for a home address where the tunnel says `signaling`, or a probe
   * of the path (an echo request from the tunnel's other end whose data begins with "kagemush");
   * first-frame: what watchFirstFrame() waited for; unbound: a tunnel packet at the home agent whose inner source has no
   * binding, with its outer header; correspondent: an IPv6 header of the guest's, now and again while
   * there is traffic with one; home-address: the headers of a packet whose Home Address option no route covers;
   * heard: the IPv6 header, as the guest gets it, of a packet that came straight, now and again; hop-limit: a packet
   * from one tunnel into another, between two mobile nodes at the home agent or `onward`, whose hop limit ran out, `tunnelSlot` the one it
   * came from; encapsulation-limit: a packet that was to enter the tunnel and carries a limit of 0 (RFC 2473 4.1.1), cut to 1280 octets
   * of IPv6; first-delivery: what watchFirstDelivery() waited for, the Ethernet and IPv6 headers of the frame, `tunnelSlot` the
   * tunnel it came out of.
   */
  readonly kind: SlowPathKind;
  /** The guest's, or the home link's port: then `bytes` begins with the Ethernet header. Otherwise with IPv6. */
  readonly port?: PortId;
  readonly tunnelSlot?: number;
  /**
   * too-big: the tunnel's MTU for inner packets; encapsulation-limit: where the limit stands, octets from the start of the IPv6
   * header.
   */
  readonly mtu?: number;
  readonly bytes: Uint8Array;
  /**
   * Of the packet; more than `bytes.length` when it was cut off: what is only quoted in errors (too-big, hop-limit, unbound) to 1280
   * octets of IPv6, a first frame to what fits the ring.
   */
  readonly originalLength: number;
  release(): void;
}

type RingShape = NativeModule['ring'];

/** The fields of an entry's record, 32 bits each (SlowPathRecord). */
const FIELD = { kind: 0, port: 1, tunnelSlot: 2, mtu: 3, length: 4, originalLength: 5 } as const;

/** One ring of the region as 32-bit words (positions, records) and octets (payloads). Positions count cells. */
class Ring {
  readonly shape: RingShape;
  readonly cells: number;
  private readonly words: Uint32Array;
  private readonly octets: Uint8Array;

  constructor(region: ArrayBuffer, start: number, cells: number, shape: RingShape) {
    const size = shape.firstCell + cells * shape.cell;
    this.shape = shape;
    this.cells = cells;
    this.words = new Uint32Array(region, start, size / 4);
    this.octets = new Uint8Array(region, start, size);
  }

  // The engine's threads write beside us: positions are read and written atomically, which also orders what stands in
  // the slots.
  get head(): number {
    return Atomics.load(this.words, 0);
  }
  set head(position: number) {
    Atomics.store(this.words, 0, position >>> 0);
  }
  get tail(): number {
    return Atomics.load(this.words, this.shape.tail / 4);
  }
  set tail(position: number) {
    Atomics.store(this.words, this.shape.tail / 4, position >>> 0);
  }
  /** True when the engine has yet to be told. */
  ask(): boolean {
    return Atomics.exchange(this.words, this.shape.kicked / 4, 1) === 0;
  }

  /** That an entry takes with a packet of so many octets. */
  cellsOf(length: number): number {
    return Math.ceil((this.shape.record + length) / this.shape.cell);
  }
  /** Cells from here to the end of the memory. */
  toEnd(position: number): number {
    return this.cells - (position % this.cells);
  }
  private cell(position: number): number {
    return this.shape.firstCell + (position % this.cells) * this.shape.cell;
  }
  field(position: number, field: number): number {
    return this.words[this.cell(position) / 4 + field] ?? 0;
  }
  setField(position: number, field: number, value: number): void {
    this.words[this.cell(position) / 4 + field] = value;
  }
  payload(position: number, length: number): Uint8Array {
    const start = this.cell(position) + this.shape.record;
    return this.octets.subarray(start, start + Math.min(length, this.shape.payload));
  }
}

/** The engine's packets for us. */
export class ReceiveRing {
  private readonly ring: Ring;
  private held = false;

  constructor(region: ArrayBuffer, start: number, shape: RingShape) {
    this.ring = new Ring(region, start, shape.receiveCells, shape);
  }

  /** The oldest packet; undefined when there is none, or the last one was not released. */
  receive(): SlowPathPacket | undefined {
    const ring = this.ring;
    const head = ring.head;
    if (this.held || ring.tail === head) return undefined;
    this.held = true;
    const filler = ring.field(head, FIELD.kind) === ring.shape.filler ? ring.toEnd(head) : 0;
    const position = (head + filler) >>> 0;
    const length = ring.field(position, FIELD.length);
    const port = ring.field(position, FIELD.port);
    const tunnelSlot = ring.field(position, FIELD.tunnelSlot);
    const mtu = ring.field(position, FIELD.mtu);
    return {
      kind: KINDS[ring.field(position, FIELD.kind)] ?? 'control',
      ...(port === ring.shape.none ? {} : { port }),
      ...(tunnelSlot === ring.shape.none ? {} : { tunnelSlot }),
      ...(mtu === 0 ? {} : { mtu }),
      bytes: ring.payload(position, length),
      originalLength: ring.field(position, FIELD.originalLength),
      release: () => {
        if (!this.held || ring.head !== head) return;
        ring.head = position + ring.cellsOf(length);
        this.held = false;
      },
    };
  }
}

/** Our packets for the engine to send. */
export class TransmitRing {
  private readonly ring: Ring;

  constructor(region: ArrayBuffer, start: number, shape: RingShape) {
    this.ring = new Ring(region, start, shape.transmitCells, shape);
  }

  /** Copies `bytes` into the ring; what kept it out, if anything. */
  push(target: PortId | 'uplink', bytes: Uint8Array): 'done' | 'full' | 'too-long' {
    const ring = this.ring;
    const tail = ring.tail;
    if (bytes.length > ring.shape.payload) return 'too-long';
    const cells = ring.cellsOf(bytes.length);
    const filler = cells > ring.toEnd(tail) ? ring.toEnd(tail) : 0;
    if (((tail - ring.head) >>> 0) + filler + cells > ring.cells) return 'full';
    if (filler > 0) ring.setField(tail, FIELD.kind, ring.shape.filler);
    const position = (tail + filler) >>> 0;
    ring.setField(position, FIELD.kind, 0);
    ring.setField(position, FIELD.port, target === 'uplink' ? ring.shape.toUplink : target);
    ring.setField(position, FIELD.length, bytes.length);
    ring.payload(position, bytes.length).set(bytes);
    ring.tail = position + cells;
    return 'done';
  }

  /** True when the engine must be told that there is something: once until it has looked. */
  ask(): boolean {
    return this.ring.ask();
  }
}
