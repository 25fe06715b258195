export type {
  DefaultRouter,
  ForeignLinkConfig,
  ForeignLinkEvent,
  ForeignLinkOutput,
  Hops,
} from './foreign-link.js';
export { ForeignLink } from './foreign-link.js';
export type { AutonomousPrefix } from './routers.js';
