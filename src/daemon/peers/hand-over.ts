import { KagemushaError } from '../../errors.js';
import type { GuestState, VmState } from '../../migration/index.js';
import type { Millis } from '../../time.js';
import type { Address } from '../../wire/index.js';
import type { Logger } from '../log.js';
import { Retry } from '../retry.js';
import {
  type Claim,
  type Expectation,
  readExpectation,
  readSurrender,
  type Surrender,
} from './peer-messages.js';

/** What the hand-over of a guest needs of it. */
export interface Portable {
  readonly state: GuestState;
  /** On this host; undefined on its home link. */
  readonly careOfAddress: Address | undefined;
  /** Since when it is here, milliseconds since 1970; undefined: it is not. */
  readonly since: Millis | undefined;
  /** It is here, or registered here all the same: there is something to let go of. */
  readonly isHeld: boolean;
  take(state: GuestState): void;
  registerEarly(): void;
  expectStragglers(from: Address): void;
  sendStragglers(to: Address): void;
  release(): void;
  /** Registers it again: another host may have done so. */
  reassert(): void;
  /** Another host has it; undefined: that is over. One line for people. */
  dispute(conflict: string | undefined): void;
}

export interface HandOverServices {
  guest(name: string): Portable | undefined;
  /** Undefined: nobody tells. */
  machine(name: string): VmState | undefined;
  readonly log: Logger;
}

/** A peer that can be asked. @throws KagemushaError from `ask` */
export interface Asked {
  readonly name: string;
  ask(path: string, body: unknown): Promise<unknown>;
  close(): void;
}

/** How long a guest that has come back waits for what its next host has done for it already. */
const PATIENCE: Millis = 500;
/** Until a peer hears of a claim. */
const RETRY = { first: 1_000, longest: 30_000 } as const;

/** A peer that is to have a guest. */
interface Heir {
  readonly peer: Asked;
  readonly early: boolean;
}

/** A guest on its way to another host. */
interface Departure {
  heir: Heir | undefined;
}

/**
 * The hand-over of guests between hosts that name each other as peers. A guest's own migration waits for none of it: who was told
 * nothing registers too, only later.
 */
export class HandOver {
  readonly #peers: readonly Asked[];
  readonly #services: HandOverServices;
  readonly #departures = new Map<string, Departure>();
  /** claims that a peer has not heard yet, by guest and peer */
  readonly #claims = new Map<string, Retry>();
  /** why a peer cannot be asked, as far as the log knows */
  readonly #troubles = new Map<Asked, string>();
  #stopped = false;

  constructor(peers: readonly Asked[], services: HandOverServices) {
    this.#peers = peers;
    this.#services = services;
  }

  /** Peers and why they could not be asked the last time. */
  get status(): { readonly name: string; readonly reason?: string }[] {
    return this.#peers.map((peer) => {
      const reason = this.#troubles.get(peer);
      return { name: peer.name, ...(reason === undefined ? {} : { reason }) };
    });
  }

  /** A migration of this guest has begun here. */
  departing(name: string): void {
    for (const peer of this.#peers) void this.#ask(peer, name, 'knock', {});
  }

  /** Its machine stands still, to go. @param stoppedAt milliseconds since 1970, where that is known */
  leaving(name: string, stoppedAt: Millis | undefined): void {
    const guest = this.#services.guest(name);
    if (guest === undefined || this.#peers.length === 0) return;
    const departure: Departure = { heir: undefined };
    this.#departures.set(name, departure);
    const state = { ...guest.state, ...(stoppedAt === undefined ? {} : { stoppedAt }) };
    for (const peer of this.#peers) void this.#offer(peer, name, state, departure);
  }

  /** It runs here again. What its heir has done for it is to be known before it is registered. */
  async returned(name: string): Promise<void> {
    const departure = this.#departures.get(name);
    this.#departures.delete(name);
    const heir = departure?.heir;
    if (heir?.early !== true) return;
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([this.#claim(heir.peer, name, Date.now()), patience]);
  }

  /** It has left: whatever is still answered now is for its next host. */
  left(name: string): void {
    this.#forgetClaims(name);
  }

  /** It is here: who thinks to have it is told. */
  arrived(name: string, since: Millis): void {
    this.#departures.delete(name);
    this.#forgetClaims(name);
    for (const peer of this.#peers) void this.#claimUntilHeard(peer, name, since);
  }

  onKnock(name: string): Expectation {
    return this.#expectation(name, this.#known(name), false);
  }

  /**
   * A guest is about to come. @throws KagemushaError GUEST_UNKNOWN, GUEST_ELSEWHERE when it runs here
   */
  onOffer(name: string, from: string, state: GuestState): Expectation {
    const guest = this.#known(name);
    const machine = this.#services.machine(name);
    if (guest.since !== undefined && machine === 'running') throw elsewhere(name, guest.since);
    if (guest.since !== undefined) return { awaited: false };
    guest.take(state);
    const bound = state.homes.find((home) => home.bound !== undefined)?.bound;
    const early = bound === undefined && machine === 'awaited';
    if (early) guest.registerEarly();
    else if (bound !== undefined) guest.expectStragglers(bound.careOfAddress);
    this.#services.log.info({ guest: name, from, early }, 'the guest is to come');
    return this.#expectation(name, guest, early);
  }

  /**
   * It is there. Of two hosts where it runs the later one keeps it.
   * @throws KagemushaError GUEST_ELSEWHERE: it is here since then
   */
  onClaim(name: string, from: string, { since, careOfAddress }: Claim): Surrender {
    const guest = this.#services.guest(name);
    if (guest === undefined) return {};
    const machine = this.#services.machine(name);
    const isLeaving = machine === 'leaving' || machine === 'gone' || machine === 'awaited';
    if (guest.since !== undefined && guest.since > since && !isLeaving) {
      guest.reassert();
      throw elsewhere(name, guest.since);
    }
    const { state } = guest;
    if (!guest.isHeld) return { state };
    const conflict = guest.since !== undefined && machine === 'running';
    if (conflict) this.#dispute(guest, name, from);
    if (careOfAddress !== undefined) guest.sendStragglers(careOfAddress);
    this.#departures.delete(name);
    this.#forgetClaims(name);
    guest.release();
    this.#services.log.info({ guest: name, to: from }, 'another host has the guest');
    return { state, conflict };
  }

  stop(): void {
    this.#stopped = true;
    for (const retry of this.#claims.values()) retry.stop();
    for (const peer of this.#peers) peer.close();
  }

  #known(name: string): Portable {
    const guest = this.#services.guest(name);
    if (guest !== undefined) return guest;
    throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}" is served there`);
  }

  #expectation(name: string, { since, careOfAddress }: Portable, early: boolean): Expectation {
    const machine = this.#services.machine(name);
    const awaited = machine === undefined ? since === undefined : machine === 'awaited';
    return { awaited, early, ...(careOfAddress === undefined ? {} : { careOfAddress }) };
  }

  async #offer(peer: Asked, name: string, state: GuestState, departure: Departure): Promise<void> {
    const expected = await this.#ask(peer, name, 'offer', { state });
    if (expected?.awaited !== true || departure.heir !== undefined) return;
    const early = expected.early === true;
    departure.heir = { peer, early };
    if (this.#departures.get(name) !== departure) {
      // It came back before the answer did.
      if (early) await this.#claim(peer, name, Date.now());
      return;
    }
    const { careOfAddress } = expected;
    if (careOfAddress !== undefined) this.#services.guest(name)?.sendStragglers(careOfAddress);
    this.#services.log.info({ guest: name, to: peer.name }, 'the guest was handed over');
  }

  async #claimUntilHeard(peer: Asked, name: string, since: Millis): Promise<void> {
    const key = `${name} ${peer.name}`;
    const retry = this.#claims.get(key) ?? new Retry(RETRY.first, RETRY.longest);
    this.#claims.set(key, retry);
    const heard = await this.#claim(peer, name, since);
    if (this.#claims.get(key) !== retry) return;
    if (heard) this.#claims.delete(key);
    else if (!this.#stopped) retry.later(() => void this.#claimUntilHeard(peer, name, since));
  }

  /** True: it was heard, whatever the answer. */
  async #claim(peer: Asked, name: string, since: Millis): Promise<boolean> {
    const at = this.#services.guest(name)?.careOfAddress;
    const body: Claim = { since, ...(at === undefined ? {} : { careOfAddress: at }) };
    try {
      const answer = readSurrender(await peer.ask(pathOf(name, 'claim'), body));
      this.#troubles.delete(peer);
      this.#surrendered(peer, name, answer);
      return true;
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
      if (error.code !== 'GUEST_ELSEWHERE') return this.#trouble(peer, name, error);
      this.#lost(name, peer);
      return true;
    }
  }

  #surrendered(peer: Asked, name: string, { state, conflict }: Surrender): void {
    const guest = this.#services.guest(name);
    if (guest === undefined || state === undefined) return;
    guest.take(state);
    const bound = state.homes.find((home) => home.bound !== undefined)?.bound;
    if (bound !== undefined) guest.expectStragglers(bound.careOfAddress);
    if (conflict !== true) return;
    const where = `its machine ran on ${peer.name} too, which has let go of it`;
    this.#services.log.error({ guest: name }, `${where}; stop the machine there`);
  }

  /** Another host has it since later. */
  #lost(name: string, peer: Asked): void {
    const guest = this.#services.guest(name);
    if (guest === undefined) return;
    this.#forgetClaims(name);
    this.#dispute(guest, name, peer.name);
    guest.release();
  }

  #dispute(guest: Portable, name: string, other: string): void {
    const mend = `stop one of the two machines, then run kagemusha adopt ${name} where the other runs`;
    const conflict = `it runs here, and since later on ${other}, which keeps it; ${mend}`;
    guest.dispute(conflict);
    this.#services.log.error({ guest: name }, conflict);
  }

  /** Undefined: there was no answer, which the log tells of. */
  async #ask(
    peer: Asked,
    name: string,
    verb: 'knock' | 'offer',
    body: unknown,
  ): Promise<Expectation | undefined> {
    try {
      const answer = readExpectation(await peer.ask(pathOf(name, verb), body));
      this.#troubles.delete(peer);
      return answer;
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
      this.#trouble(peer, name, error);
      return undefined;
    }
  }

  #trouble(peer: Asked, guest: string, { code, message }: KagemushaError): false {
    if (this.#stopped || this.#troubles.get(peer) === message) return false;
    this.#troubles.set(peer, message);
    this.#services.log.warn({ guest, code }, `no hand-over: ${message}`);
    return false;
  }

  #forgetClaims(name: string): void {
    for (const peer of this.#peers) {
      const key = `${name} ${peer.name}`;
      this.#claims.get(key)?.stop();
      this.#claims.delete(key);
    }
  }
}

function pathOf(guest: string, verb: string): string {
  return `/v1/peer/guests/${encodeURIComponent(guest)}/${verb}`;
}

function elsewhere(name: string, since: Millis): KagemushaError {
  return new KagemushaError('GUEST_ELSEWHERE', `${name} is here since ${at(since)}`);
}

function at(time: Millis): string {
  return new Date(time).toISOString();
}
