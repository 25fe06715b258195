export { GuardedStore } from './guarded-store.js';
export { MemoryStore } from './memory-store.js';
export {
  authTimestamp,
  CARE_OF_SECRET,
  espReplayTop,
  espSequence,
  mobilitySequence,
  STATION_SECRET,
} from './names.js';
export { SqliteStore } from './sqlite-store.js';
export type { HomeAgentBinding, Registration, Store } from './store.js';
