import { KagemushaError } from '../../errors.js';
import type { GuestState, VmState } from '../../migration/index.js';
import type { Millis } from '../../time.js';
import type { Address } from '../../wire/index.js';
import type { Logger } from '../log.js';
import { Retry } from '../retry.js';
import {
  type Claim,
  type Expectation,
  type Possession,
  readExpectation,
  readSurrender,
  type Surrender,
} from './peer-messages.js';
import { keepsGuest } from './possession.js';

/** What the hand-over of a guest needs of it. */
export interface Portable {
  readonly state: GuestState;
  /** On this host; undefined on its home link. */
  readonly careOfAddress: Address | undefined;
  /** Since when it is here, milliseconds since 1970, 0: since before anybody looked; undefined: it is not. */
  readonly since: Millis | undefined;
  /** It is here, or registered here all the same: there is something to let go of. */
  readonly isHeld: boolean;
  take(state: GuestState): void;
  /** False: it need not, or cannot be. */
  registerEarly(): boolean;
  expectStragglers(from: Address): void;
  sendStragglers(to: Address): void;
  /** Registers it again: another host may have done so. */
  reassert(): void;
}

export interface HandOverServices {
  guest(name: string): Portable | undefined;
  /** Undefined: nobody tells. */
  machine(name: string): VmState | undefined;
  /** Another host has it: it is let go of. @param conflict why that is strange, one line for people */
  release(name: string, conflict: string | undefined): void;
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

/** A guest on its way to another host. */
interface Departure {
  /** Who is to have it. */
  heir: Asked | undefined;
  /** It runs here again. */
  hasReturned: boolean;
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
    if (this.#peers.length === 0) return;
    const state = this.#services.guest(name)?.state;
    if (state === undefined) return;
    // What is told later may come too late: a machine can stop and run elsewhere within a millisecond.
    for (const peer of this.#peers) this.#background(this.#expect(peer, name, 'knock', state));
  }

  /** Its machine stands still, to go. @param stoppedAt milliseconds since 1970, where that is known */
  leaving(name: string, stoppedAt: Millis | undefined): void {
    const guest = this.#services.guest(name);
    if (guest === undefined || this.#peers.length === 0) return;
    const departure: Departure = { heir: undefined, hasReturned: false };
    this.#departures.set(name, departure);
    const state = { ...guest.state, ...(stoppedAt === undefined ? {} : { stoppedAt }) };
    for (const peer of this.#peers) this.#background(this.#offer(peer, name, state, departure));
  }

  /** It runs here again: it is to be registered when this ends. What was done for it elsewhere is to be known before. */
  async returned(name: string): Promise<void> {
    const departure = this.#departures.get(name);
    if (departure === undefined) return;
    departure.hasReturned = true;
    this.#departures.delete(name);
    const now = Date.now();
    const claims = this.#peers.map((peer) => this.#claim(peer, name, now));
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([Promise.all(claims), patience]);
  }

  /** It is not this host's any more, or was removed. */
  forget(name: string): void {
    this.#departures.delete(name);
    this.#forgetClaims(name);
  }

  /** It is here: who thinks to have it is told. */
  arrived(name: string): void {
    this.forget(name);
    for (const peer of this.#peers) this.#background(this.#claimUntilHeard(peer, name));
  }

  /** A guest may come. @throws KagemushaError GUEST_UNKNOWN */
  onKnock(name: string, state: GuestState): Expectation {
    const guest = this.#known(name);
    if (!guest.isHeld) guest.take(state);
    return this.#expectation(name, guest);
  }

  /** A guest is about to come. @throws KagemushaError GUEST_UNKNOWN */
  onOffer(name: string, from: string, state: GuestState): Expectation {
    const guest = this.#known(name);
    const expectation = this.#expectation(name, guest);
    // Machines may be faster than we are: it runs here already.
    const isLate = (state.stoppedAt ?? Number.POSITIVE_INFINITY) <= (guest.since ?? 0);
    if (isLate) guest.take(state);
    if (expectation.awaited === false) return expectation;
    guest.take(state);
    const bound = state.homes.find((home) => home.bound !== undefined)?.bound;
    if (bound !== undefined) guest.expectStragglers(bound.careOfAddress);
    const early = bound === undefined && expectation.awaited === true && guest.registerEarly();
    this.#services.log.info({ guest: name, from, early }, 'the guest is to come');
    return expectation;
  }

  /** It is there. Of two hosts that have it one keeps it. */
  onClaim(name: string, from: string, claim: Claim): Surrender {
    const guest = this.#services.guest(name);
    if (guest === undefined) return {};
    const ours = this.#possession(name, guest);
    if (ours !== undefined && keepsGuest(ours, claim, Date.now())) {
      guest.reassert();
      return { kept: ours };
    }
    const { state } = guest;
    if (!guest.isHeld) return { state: numbersOf(state) };
    const conflict = ours?.runs === true;
    if (claim.careOfAddress !== undefined) guest.sendStragglers(claim.careOfAddress);
    this.forget(name);
    this.#services.release(name, conflict ? this.#disputed(name, from) : undefined);
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

  #expectation(name: string, { isHeld, careOfAddress }: Portable): Expectation {
    const machine = this.#services.machine(name);
    const perhaps = isHeld ? false : 'perhaps';
    const awaited = machine === undefined ? perhaps : machine === 'awaited';
    return { awaited, ...(careOfAddress === undefined ? {} : { careOfAddress }) };
  }

  /** Undefined: it is not here, or about to be elsewhere. */
  #possession(name: string, { since }: Portable): Possession | undefined {
    const machine = this.#services.machine(name);
    if (since === undefined || machine === 'leaving' || machine === 'gone') return undefined;
    return { since, now: Date.now(), runs: machine === 'running' };
  }

  async #offer(peer: Asked, name: string, state: GuestState, departure: Departure): Promise<void> {
    const expected = await this.#expect(peer, name, 'offer', state);
    const alone = this.#peers.length === 1;
    const isHeir = expected?.awaited === true || (expected?.awaited === 'perhaps' && alone);
    if (!isHeir || departure.heir !== undefined) return;
    departure.heir = peer;
    const guest = this.#services.guest(name);
    // It came back before the answer did: what was offered is claimed back.
    if (guest === undefined || departure.hasReturned) return;
    const { careOfAddress } = expected;
    if (careOfAddress !== undefined) guest.sendStragglers(careOfAddress);
    this.#services.log.info({ guest: name, to: peer.name }, 'the guest was handed over');
  }

  async #claimUntilHeard(peer: Asked, name: string): Promise<void> {
    const key = `${name} ${peer.name}`;
    const retry = this.#claims.get(key) ?? new Retry(RETRY.first, RETRY.longest);
    this.#claims.set(key, retry);
    const since = this.#services.guest(name)?.since;
    const heard = since === undefined || (await this.#claim(peer, name, since));
    if (this.#claims.get(key) !== retry) return;
    if (heard) this.#claims.delete(key);
    else if (!this.#stopped) retry.later(() => this.#background(this.#claimUntilHeard(peer, name)));
  }

  /** True: it was heard, whatever the answer. */
  async #claim(peer: Asked, name: string, since: Millis): Promise<boolean> {
    const guest = this.#services.guest(name);
    if (guest === undefined) return true;
    const { careOfAddress } = guest;
    const runs = this.#services.machine(name) === 'running';
    const at = careOfAddress === undefined ? {} : { careOfAddress };
    const claim: Claim = { since, now: Date.now(), runs, ...at };
    let answer: unknown;
    try {
      answer = await peer.ask(pathOf(name, 'claim'), claim);
    } catch (error) {
      this.#trouble(peer, name, error);
      return error instanceof KagemushaError && !error.code.startsWith('PEER_');
    }
    this.#troubles.delete(peer);
    // It may have left meanwhile, or been made anew.
    if (this.#services.guest(name) !== guest || (guest.since ?? since) !== since) return true;
    try {
      this.#answered(peer, name, guest, readSurrender(answer));
    } catch (error) {
      this.#trouble(peer, name, error);
    }
    return true;
  }

  #answered(
    peer: Asked,
    name: string,
    guest: Portable,
    { kept, state, conflict }: Surrender,
  ): void {
    if (kept !== undefined) {
      this.#lost(peer, name, guest, kept);
      return;
    }
    if (state !== undefined) {
      guest.take(state);
      const bound = state.homes.find((home) => home.bound !== undefined)?.bound;
      if (bound !== undefined) guest.expectStragglers(bound.careOfAddress);
    }
    if (conflict !== true) return;
    const where = `its machine ran on ${peer.name} too, which has let go of it`;
    this.#services.log.error({ guest: name }, `${where}; stop the machine there`);
  }

  /** Another host keeps it, and has reason to. */
  #lost(peer: Asked, name: string, guest: Portable, theirs: Possession): void {
    const ours = this.#possession(name, guest);
    if (ours !== undefined && keepsGuest(ours, theirs, Date.now())) {
      guest.reassert();
      return;
    }
    this.forget(name);
    this.#services.release(name, this.#disputed(name, peer.name));
  }

  /** One line for people, which the log has too. */
  #disputed(name: string, other: string): string {
    const mend = `stop one of the two machines, then run kagemusha adopt ${name} where the other runs`;
    const conflict = `it was here, and is on ${other}, which keeps it; if it runs here: ${mend}`;
    this.#services.log.error({ guest: name }, conflict);
    return conflict;
  }

  /** Undefined: there was no answer, which the log tells of. */
  async #expect(
    peer: Asked,
    name: string,
    verb: 'knock' | 'offer',
    state: GuestState,
  ): Promise<Expectation | undefined> {
    try {
      const answer = readExpectation(await peer.ask(pathOf(name, verb), { state }));
      this.#troubles.delete(peer);
      return answer;
    } catch (error) {
      this.#trouble(peer, name, error);
      return undefined;
    }
  }

  /** What a peer says of a guest is an answer; that it cannot be asked is worth a line. */
  #trouble(peer: Asked, guest: string, error: unknown): void {
    if (!(error instanceof KagemushaError)) throw error;
    const { code, message } = error;
    if (code === 'GUEST_UNKNOWN') this.#troubles.delete(peer);
    if (this.#stopped || code === 'GUEST_UNKNOWN' || this.#troubles.get(peer) === message) return;
    this.#troubles.set(peer, message);
    this.#services.log.warn({ guest, code }, `no hand-over: ${message}`);
  }

  /** What nobody waits for. */
  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#services.log.error({ err: error }, 'a hand-over was not dealt with');
    });
  }

  #forgetClaims(name: string): void {
    for (const peer of this.#peers) {
      const key = `${name} ${peer.name}`;
      this.#claims.get(key)?.stop();
      this.#claims.delete(key);
    }
  }
}

/** Of a guest that is not there: what was used under its keys is all that is worth telling. */
function numbersOf({ version, homes }: GuestState): GuestState {
  return {
    version,
    homes: homes.map(({ homeAddress, esp }) => ({
      homeAddress,
      ...(esp === undefined ? {} : { esp }),
    })),
  };
}

function pathOf(guest: string, verb: string): string {
  return `/v1/peer/guests/${encodeURIComponent(guest)}/${verb}`;
}
