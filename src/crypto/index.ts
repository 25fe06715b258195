export type {
  Algorithms,
  Authentication,
  AuthenticationName,
  Encryption,
  EncryptionName,
} from './algorithms.js';
export { AUTHENTICATIONS, ENCRYPTIONS } from './algorithms.js';
export type { AssociationKeys } from './esp.js';
export type { MobilityAddresses, MobilityAuthenticator } from './mobility-authentication.js';
export {
  AUTHENTICATOR_LENGTH,
  findAuthenticator,
  isAuthentic,
  MN_HA,
  MOBILITY_KEY_LENGTH,
  mobilityAuthenticator,
  SMALLEST_MOBILITY_SPI,
} from './mobility-authentication.js';
export {
  LARGEST_REPLAY_WINDOW,
  ReplayWindow,
  SMALLEST_REPLAY_WINDOW,
} from './replay-window.js';
export { Secret } from './secret.js';
export type {
  EspDropReason,
  InboundOptions,
  Opened,
  OutboundOptions,
} from './security-association.js';
export {
  InboundAssociation,
  OutboundAssociation,
  peekSpi,
  SMALLEST_SPI,
} from './security-association.js';
export { sequenceOffset } from './sequence-offset.js';
export {
  isLater,
  justAfter,
  sameFraction,
  timestampDifference,
  toTimestamp,
  withSecondsOf,
} from './timestamp.js';
