import { randomInt } from 'node:crypto';
import { sequenceOffset } from '../crypto/index.js';
import { ReservedCounter } from '../reserved-counter.js';
import type { Address } from '../wire/index.js';
import type { EspConfig } from './config/schema.js';
import type { Store } from './store/index.js';
import { espSequence, mobilitySequence } from './store/index.js';

/** How many numbers a crash may skip. */
const MOBILITY_BLOCK = 16;
const ESP_BLOCK = 256;

/** Sequence numbers of Binding Updates: a restart goes on where the last process may have stopped (RFC 6275 6.1.7). */
export function mobilityNumbers(store: Store, homeAddress: Address): ReservedCounter {
  const name = mobilitySequence(homeAddress);
  return new ReservedCounter({
    // A home agent that still knows a later number answers with it (status 135) and is followed.
    next: store.reserved(name) ?? randomInt(0x10000),
    last: 0xffff,
    wraps: true,
    block: MOBILITY_BLOCK,
    reserve: (until) => store.reserve(name, until),
  });
}

/** 2025-01-01, in milliseconds since 1970. */
const ESP_EPOCH = 1_735_689_600_000;

/**
 * The number that an outbound association has reached by now: seconds since 2025 from an offset that its key gives, 31 bits each, so that
 * every host with the key knows it and nobody else does.
 *
 * @param now milliseconds since 1970
 */
export function espFloor(
  { spiOut, keys }: Pick<EspConfig, 'spiOut' | 'keys'>,
  now: number,
): number {
  const seconds = Math.max(1, Math.floor((now - ESP_EPOCH) / 1000));
  return sequenceOffset(keys.authentication, spiOut) + seconds;
}

/**
 * Sequence numbers of an outbound security association: never twice under one key (RFC 4303 3.3.3). They do not lag behind the clock:
 * when the guest moves to another host, whose store has never counted for it, its numbers go on where those of the first host
 * ended, about, and a replay window at the home agent lets them pass. Signaling needs fewer than one a second in the long run.
 */
export function espNumbers(
  store: Store,
  homeAddress: Address,
  security: EspConfig,
): ReservedCounter {
  const name = espSequence(homeAddress, security.spiOut, security.keyId);
  return new ReservedCounter({
    next: store.reserved(name) ?? 1,
    floor: () => espFloor(security, Date.now()),
    last: 0xffff_ffff,
    block: ESP_BLOCK,
    reserve: (until) => store.reserve(name, until),
  });
}
