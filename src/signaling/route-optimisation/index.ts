export type {
  CorrespondentConfig,
  CorrespondentEvent,
  CorrespondentOutput,
} from './correspondent.js';
export { Correspondent } from './correspondent.js';
export type {
  CorrespondentSummary,
  RouteOptimiserConfig,
  RouteOptimiserEvent,
  RouteOptimiserOutput,
} from './route-optimiser.js';
export { RouteOptimiser } from './route-optimiser.js';
