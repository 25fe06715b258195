import { bindingStatus } from '../wire/index.js';

/** What a refusing Binding Acknowledgement means to the operator, what to do, and how patiently to ask again. */
export interface Rejection {
  readonly meaning: string;
  /**
   * retry: ask the same home agent later. next-home-agent: another one may think otherwise, if there is one. again: the cause is
   * mended by the answer, ask at once.
   */
  readonly action: 'retry' | 'next-home-agent' | 'again';
  /** seconds before the first retry; it doubles with each refusal */
  readonly firstRetry: number;
  /** seconds that a retry waits at most */
  readonly longestRetry: number;
}

const SOON = { firstRetry: 5, longestRetry: 300 };
const LATER = { firstRetry: 30, longestRetry: 300 };
/** A person has to change something first. */
const SLOWLY = { firstRetry: 300, longestRetry: 1800 };

const RETRY = { action: 'retry' } as const;
const NEXT = { action: 'next-home-agent' } as const;
const AGAIN = { action: 'again' } as const;

/** The registry of RFC 6275 6.1.8: what each refusal means. */
const REJECTIONS: Readonly<Record<number, Rejection>> = {
  128: { meaning: 'the home agent refused without saying why', ...NEXT, ...LATER },
  129: {
    meaning: 'the home agent does not allow this home address, list it there',
    ...NEXT,
    ...SLOWLY,
  },
  130: { meaning: 'the home agent has no room for another binding', ...NEXT, ...LATER },
  131: {
    meaning: 'the node at this address is not a home agent, check home_agent',
    ...NEXT,
    ...SLOWLY,
  },
  // A home agent that restarted says this until it has seen its own Router Advertisement.
  132: {
    meaning: 'the home agent does not serve the prefix of this home address, or has just restarted',
    ...NEXT,
    ...SOON,
  },
  133: { meaning: 'the home agent has no binding for this home address', ...NEXT, ...LATER },
  134: { meaning: 'another node on the home link uses this home address', ...RETRY, ...LATER },
  139: {
    meaning: 'the home agent holds a binding of another type for this home address',
    ...RETRY,
    ...LATER,
  },
  140: { meaning: 'the home agent does not serve mobile routers', ...NEXT, ...SLOWLY },
  141: { meaning: 'the home agent does not know the mobile network prefix', ...NEXT, ...SLOWLY },
  142: { meaning: 'the mobile network prefix is not authorised', ...NEXT, ...SLOWLY },
  143: { meaning: 'the home agent could not set up forwarding', ...NEXT, ...LATER },
  // RFC 4285 6: the answer carries the home agent's time, which the protection has taken over by now.
  144: {
    meaning: 'the clocks of this host and the home agent are too far apart, set one of them',
    ...AGAIN,
    ...SOON,
  },
  145: {
    meaning:
      'the home agent demands the mobility message authentication option with a timestamp, set kind = "auth-option" and key_file in guest.security',
    ...RETRY,
    ...SLOWLY,
  },
  146: {
    meaning:
      'the home agent does not accept our authenticator, check spi and key_file of guest.security against its own',
    ...RETRY,
    ...SLOWLY,
  },
  151: {
    meaning: 'the home agent does not authorise this mobile node for its service',
    ...NEXT,
    ...SLOWLY,
  },
  174: { meaning: 'the home agent does not accept this care-of address', ...RETRY, ...SLOWLY },
};

/** Refusals of extensions that are never asked for: the home agent takes us for somebody else. */
const EXTENSIONS = [
  { from: 136, to: 138, what: 'return routability' },
  { from: 147, to: 150, what: 'enhanced route optimisation (RFC 4866)' },
  { from: 152, to: 163, what: 'Proxy Mobile IPv6 (RFC 5213, RFC 5845)' },
  { from: 164, to: 169, what: 'several care-of addresses (RFC 5648)' },
  { from: 170, to: 173, what: 'IPv4 mobility (RFC 5844)' },
] as const;

function meaningOf(status: number): string {
  const extension = EXTENSIONS.find(({ from, to }) => status >= from && status <= to);
  const { name } = bindingStatus(status);
  if (extension === undefined) return `the home agent refused: ${name}`;
  return `the home agent answers for ${extension.what}, which was not asked for: ${name}`;
}

/** Never undefined: a status from a future RFC is a refusal as well. */
export function rejectionOf(status: number): Rejection {
  return REJECTIONS[status] ?? { meaning: meaningOf(status), ...NEXT, ...LATER };
}

/**
 * Seconds before a refused registration is tried again.
 * @param rejections how many there were before, in a row
 * @param random spreads the retries of many
 */
export function retryDelay(status: number, rejections: number, random: () => number): number {
  const { firstRetry, longestRetry } = rejectionOf(status);
  const doublings = Math.max(0, Math.min(rejections, 16));
  return Math.min(longestRetry, firstRetry * 2 ** doublings) * (1 + 0.1 * random());
}
