export type {
  HomeLinkDefenderConfig,
  HomeLinkDefenderEvent,
  HomeLinkDefenderOutput,
} from './defender.js';
export { HomeLinkDefender } from './defender.js';
export { answerEcho } from './echo.js';
export type { GuestLinkConfig, GuestLinkEvent, GuestLinkOutput } from './guest-link.js';
export { GuestLink } from './guest-link.js';
export type { HomeAgentAdvertisement } from './home-agent-advertisement.js';
export type { HomeComingConfig, HomeComingEvent, HomeComingOutput } from './home-coming.js';
export { HomeComing } from './home-coming.js';
export type { HomePrefix } from './home-prefixes.js';
export { isSignOfGuest } from './sign-of-guest.js';
