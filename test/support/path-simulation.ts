import type { PathMtuConfig, PathMtuOutput } from '../../src/tunnel/index.js';
import { PathMtu } from '../../src/tunnel/index.js';
import { seededRandom } from './random.js';

/** A path between the ends of a tunnel; every field may change while the simulation runs. */
export interface Path {
  /** Octets of the largest packet that it carries there, and back. */
  forward: number;
  backward: number;
  /** ms */
  roundTrip: number;
  /** Probability that a packet is lost, each way. */
  loss: number;
  /** Whether a router says Packet Too Big. */
  tooBig: boolean;
  /** Whether the peer echoes. */
  answers: boolean;
  /** How many answers a second the peer gives; a burst of one. */
  answersPerSecond: number;
}

interface Happening {
  readonly at: number;
  readonly run: () => void;
}

const STEP_LIMIT = 200_000;

/** A `PathMtu` and a path, hours in milliseconds. Traffic is there every second unless `idle`. */
export class PathSimulation {
  readonly machine: PathMtu;
  readonly path: Path;
  readonly probes: { readonly at: number; readonly size: number }[] = [];
  readonly estimates: { readonly at: number; readonly mtu: number; readonly reason: string }[] = [];
  now = 0;
  idle = false;
  readonly #random: () => number;
  #queue: Happening[] = [];
  #answeredAt = Number.NEGATIVE_INFINITY;
  #trafficAt = 0;

  constructor(path: Partial<Path>, config: Partial<PathMtuConfig> = {}, seed = 1) {
    this.#random = seededRandom(seed);
    const forward = path.forward ?? 1500;
    this.path = {
      forward,
      backward: Number.POSITIVE_INFINITY,
      roundTrip: 20,
      loss: 0,
      tooBig: false,
      answers: true,
      answersPerSecond: Number.POSITIVE_INFINITY,
      ...path,
    };
    this.machine = new PathMtu({
      linkMtu: 1500,
      overhead: 40,
      probing: true,
      random: seededRandom(seed + 1),
      ...config,
    });
  }

  /** An event now. */
  send(event: Parameters<PathMtu['handle']>[1]): void {
    this.machine.handle(this.now, event);
    for (let output = this.machine.poll(); output !== undefined; output = this.machine.poll()) {
      this.#carryOut(output);
    }
    const at = this.machine.wakeAt();
    if (event.type === 'tick' && at !== undefined && !(at > this.now)) {
      throw new Error(`ticked at ${this.now}, wants ${at}`);
    }
  }

  /** A guest's packet of `size` octets, outer; gives whether it arrived or its source was told. */
  packet(size: number): boolean {
    if (size <= this.path.forward) return true;
    if (this.path.tooBig) this.send({ type: 'too-big', mtu: this.path.forward });
    return this.path.tooBig;
  }

  /** @param ms from now */
  run(ms: number): this {
    const end = this.now + ms;
    for (let steps = 0; ; steps += 1) {
      if (steps > STEP_LIMIT) throw new Error(`no end at ${this.now}`);
      const wakeAt = Math.max(this.now, this.machine.wakeAt() ?? Number.POSITIVE_INFINITY);
      const [first] = this.#queue;
      const at = Math.min(wakeAt, first?.at ?? Number.POSITIVE_INFINITY, this.#trafficAt);
      if (at > end) break;
      this.now = at;
      if (first !== undefined && first.at === at) {
        this.#queue = this.#queue.slice(1);
        first.run();
      } else if (this.#trafficAt === at) {
        this.#trafficAt = at + 1000;
        if (!this.idle) this.send({ type: 'traffic' });
        if (!this.idle) this.packet(this.machine.mtu);
      } else this.send({ type: 'tick' });
    }
    this.now = end;
    return this;
  }

  /** Runs until it holds; gives the ms that it took. */
  until(holds: () => boolean, limit = 60_000): number {
    const start = this.now;
    while (!holds()) {
      if (this.now - start >= limit) throw new Error(`still not after ${limit} ms`);
      this.run(1);
    }
    return this.now - start;
  }

  after(ms: number, run: () => void): void {
    this.#queue.push({ at: this.now + ms, run });
    this.#queue.sort((a, b) => a.at - b.at);
  }

  #carryOut(output: PathMtuOutput): void {
    if (output.type === 'path-mtu') {
      this.estimates.push({ at: this.now, mtu: output.mtu, reason: output.reason });
      return;
    }
    const { size, token } = output;
    this.probes.push({ at: this.now, size });
    const { path } = this;
    const half = path.roundTrip / 2;
    if (this.#random() < path.loss) return;
    if (size > path.forward) {
      const mtu = path.forward;
      if (path.tooBig) this.after(half, () => this.send({ type: 'too-big', mtu }));
      return;
    }
    this.after(half, () => {
      if (!path.answers || size > path.backward || this.#random() < path.loss) return;
      if (this.now - this.#answeredAt < 1000 / path.answersPerSecond) return;
      this.#answeredAt = this.now;
      this.after(half, () => this.send({ type: 'answer', token }));
    });
  }
}
