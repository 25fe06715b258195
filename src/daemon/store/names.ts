import type { Address } from '../../wire/address.js';

/*
 * The names under which the daemons keep their counters.
 */

/** Sequence numbers of Binding Updates for a home address (RFC 6275 6.1.7), modulo 2^16. */
export const mobilitySequence = (homeAddress: Address) => `mh/${homeAddress}`;

/** Sequence numbers of an outbound security association (RFC 4303 2.2). New keys are a new one. @param keyId see EspConfig */
export const espSequence = (homeAddress: Address, spi: number, keyId: string) =>
  `esp-out/${homeAddress}/${spi}/${keyId}`;

/**
 * The replay window of an inbound security association. New keys are a new association, whose numbers begin at 1: the
 * window of the old one would lock it out. Each peer numbers its packets itself.
 *
 * @param keyId see EspConfig
 */
export const espReplayTop = (homeAddress: Address, spi: number, keyId: string, peer: Address) =>
  `esp-in/${homeAddress}/${spi}/${keyId}/${peer}`;

/** The last timestamp that a home agent accepted in place of a replay window (RFC 4285 6), milliseconds since 1970. */
export const authTimestamp = (homeAddress: Address, spi: number, keyId: string) =>
  `auth/${homeAddress}/${spi}/${keyId}`;

/** What makes the link-layer address of this host's care-of addresses (see stationMac). */
export const STATION_SECRET = 'station';

/** What makes an automatic care-of address stable and hard to guess (RFC 7217). */
export const CARE_OF_SECRET = 'care-of';
