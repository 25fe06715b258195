import type { ProtectionKind } from '../../signaling/index.js';
import type { Address } from '../../wire/address.js';

/** A binding that a Home Agent accepted (RFC 6275 9.1), as it outlives the process. */
export interface HomeAgentBinding {
  readonly homeAddress: Address;
  readonly careOfAddress: Address;
  /** Of the last Binding Update that was accepted. */
  readonly sequence: number;
  /** Seconds granted. */
  readonly lifetime: number;
  /** Milliseconds since 1970: monotonic clocks begin anew with each process. */
  readonly expiresAt: number;
  /** The L flag: the link-local address that goes with the home address is defended too (RFC 6275 10.3.1). */
  readonly linkLocal: boolean;
  /** That its Binding Updates had: it is not held again where another one is demanded. */
  readonly protection: ProtectionKind;
}

/** What a Home Agent confirmed to a mobile node: the tunnel that a host opens at once when it starts again. */
export interface Registration {
  readonly homeAddress: Address;
  readonly homeAgent: Address;
  readonly careOfAddress: Address;
  /** Seconds granted. */
  readonly lifetime: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * What a daemon must still know after kill -9 at any instant. Every call has done its work when it returns: a call that
 * returned survives the end of the process; `reserve` and `secret` survive the end of the power too.
 * All throw KagemushaError STORE_FAILED or STORE_DAMAGED with the file and what to do.
 */
export interface Store {
  /**
   * Numbers before `until` may be in use from now on. Replaces what was reserved under that name: a counter that wraps goes
   * back to small numbers, and so does one that another node's answer moved.
   *
   * @param name of the counter: `mh/2001:db8::10`, `esp-out/2001:db8::10/1000/…`
   */
  reserve(name: string, until: number): void;
  /** Where a counter goes on; undefined when nothing was reserved yet. */
  reserved(name: string): number | undefined;

  /** The highest sequence number accepted by a replay window. */
  putReplayTop(name: string, top: number): void;
  replayTop(name: string): number | undefined;

  /** Adds or replaces the binding of its home address. */
  putBinding(binding: HomeAgentBinding): void;
  /**
   * The binding has ended, if it had not before: it stays for its sequence number, which tells an older Binding Update after a restart
   * too (RFC 6275 9.5.1).
   *
   * @param at milliseconds since 1970
   */
  endBinding(homeAddress: Address, at: number): void;
  /** Forgets the bindings that ended before this time, milliseconds since 1970. */
  pruneBindings(before: number): void;
  deleteBinding(homeAddress: Address): void;
  /** All of them, those that have ended or ran out meanwhile included. */
  bindings(): HomeAgentBinding[];

  /** Adds or replaces the registration of its home address. */
  putRegistration(registration: Registration): void;
  deleteRegistration(homeAddress: Address): void;
  /** That of one home address, also when it ran out meanwhile. */
  registration(homeAddress: Address): Registration | undefined;
  /** All of them, those that ran out meanwhile included. */
  registrations(): Registration[];

  /** 16 random octets that stay the same for this name as long as the store lives. */
  secret(name: string): Uint8Array;

  close(): void;
}

/** Octets of a {@link Store.secret}: RFC 7217 5 asks for 128 bits at least. */
export const SECRET_LENGTH = 16;
