import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';

/** What a Binding Acknowledgement has confirmed, and nothing else. */
export interface ConfirmedBinding {
  readonly careOfAddress: Address;
  /** seconds granted, at most what was asked for */
  readonly lifetime: number;
  readonly expiresAt: Millis;
  /** of the acknowledgement: 0, or 1 (accepted, prefix discovery necessary) */
  readonly status: number;
}

/** The next Binding Update, and how long to wait for its acknowledgement. */
interface Pace {
  readonly sendAt: Millis;
  readonly timeout: Millis;
}

export type MobileNodeState =
  /** Nothing is bound and nothing is wanted. */
  | { readonly kind: 'idle' }
  /** Nothing is bound; Binding Updates go out until one is acknowledged. */
  | ({ readonly kind: 'registering' } & Pace)
  | { readonly kind: 'registered'; readonly binding: ConfirmedBinding; readonly refreshAt: Millis }
  /** Bound, and a newer Binding Update waits for its acknowledgement. */
  | ({ readonly kind: 'refreshing'; readonly binding: ConfirmedBinding } & Pace)
  /** Refused; a binding from before may still stand. */
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly reason: string;
      readonly retryAt: Millis;
      readonly binding?: ConfirmedBinding;
    }
  | ({
      readonly kind: 'deregistering';
      readonly attemptsLeft: number;
      readonly binding?: ConfirmedBinding;
    } & Pace);

/** The confirmed binding, in the states that have one. */
export function bindingOf(state: MobileNodeState): ConfirmedBinding | undefined {
  return 'binding' in state ? state.binding : undefined;
}
