import { bindingStatus } from '../wire/index.js';

/** What a refusing Binding Acknowledgement means to the operator, and how patiently to ask again. */
export interface Rejection {
  readonly meaning: string;
  /** seconds before the first retry; it doubles with each refusal */
  readonly firstRetry: number;
  /** seconds that a retry waits at most */
  readonly longestRetry: number;
}

const SOON = { firstRetry: 5, longestRetry: 300 };
const LATER = { firstRetry: 30, longestRetry: 300 };
/** A person has to change something first. */
const SLOWLY = { firstRetry: 300, longestRetry: 1800 };

/** RFC 6275 6.1.8; 140 to 143 are RFC 3963 5. What is not listed is retried `LATER`. */
const REJECTIONS: Readonly<Record<number, Rejection>> = {
  128: { meaning: 'the home agent refused without saying why', ...LATER },
  129: {
    meaning: 'the home agent does not allow this home address, list it there',
    ...SLOWLY,
  },
  130: { meaning: 'the home agent has no room for another binding', ...LATER },
  131: {
    meaning: 'the node at this address is not a home agent, check home_agent',
    ...SLOWLY,
  },
  // A home agent that restarted says this until it has seen its own Router Advertisement.
  132: {
    meaning: 'the home agent does not serve the prefix of this home address, or has just restarted',
    ...SOON,
  },
  133: { meaning: 'the home agent has no binding for this home address', ...LATER },
  134: {
    meaning: 'another node on the home link uses this home address',
    ...LATER,
  },
  139: {
    meaning: 'the home agent holds a binding of another type for this home address',
    ...LATER,
  },
  140: { meaning: 'the home agent does not serve mobile routers', ...SLOWLY },
  141: { meaning: 'the home agent does not know the mobile network prefix', ...SLOWLY },
  142: { meaning: 'the mobile network prefix is not authorised', ...SLOWLY },
  143: { meaning: 'the home agent could not set up forwarding', ...LATER },
  174: { meaning: 'the home agent does not accept this care-of address', ...SLOWLY },
};

/** Never undefined: a status from a future RFC is a refusal as well. */
export function rejectionOf(status: number): Rejection {
  const { name } = bindingStatus(status);
  return REJECTIONS[status] ?? { meaning: `the home agent refused: ${name}`, ...LATER };
}
