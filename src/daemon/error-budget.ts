import { TokenBucket } from '../token-bucket.js';
import { monotonicNow } from './driver.js';

/** ICMPv6 errors at once and per second (RFC 4443 2.4f): about the packets of one guest or tunnel, and of a whole daemon. */
const OWN = { burst: 10, rate: 10 } as const;
const SHARED = { burst: 100, rate: 100 } as const;

/** What all guests or tunnels of a daemon share. */
export function sharedErrorBudget(): TokenBucket {
  return new TokenBucket(SHARED.burst, SHARED.rate);
}

/** The errors that one guest or tunnel may cause: who causes too many does not take the others' share. */
export class ErrorBudget {
  readonly #own = new TokenBucket(OWN.burst, OWN.rate);
  readonly #shared: TokenBucket;

  constructor(shared: TokenBucket) {
    this.#shared = shared;
  }

  take(): boolean {
    const now = monotonicNow();
    return this.#own.take(now) && this.#shared.take(now);
  }
}
