import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import type { MobileNodeState } from './mobile-node-state.js';
import { bindingOf } from './mobile-node-state.js';

/** A binding as `status` shows it. */
export interface BindingSummary {
  readonly state: 'idle' | 'registering' | 'registered' | 'rejected' | 'deregistering';
  /** of the Binding Acknowledgement that brought us here */
  readonly status?: number;
  /** seconds granted */
  readonly lifetime?: number;
  /** seconds left, rounded up */
  readonly expiresIn?: number;
  /** one sentence: what it means and what happens next */
  readonly reason?: string;
}

function seconds(from: Millis, until: Millis): number {
  return Math.max(0, Math.ceil((until - from) / 1000));
}

/** @param pathError what the path last complained of, in words */
export function summarise(
  state: MobileNodeState,
  now: Millis,
  homeAgent: Address,
  pathError: string | undefined,
): BindingSummary {
  const binding = bindingOf(state);
  const bound = binding && {
    status: binding.status,
    lifetime: binding.lifetime,
    expiresIn: seconds(now, binding.expiresAt),
  };
  const cause = pathError === undefined ? '' : ` (the path says: ${pathError})`;
  switch (state.kind) {
    case 'idle':
      return { state: 'idle' };
    case 'registered':
      return { state: 'registered', ...bound };
    case 'refreshing':
      return {
        state: 'registered',
        ...bound,
        reason: `waiting for the home agent ${homeAgent} to confirm a refresh${cause}`,
      };
    case 'registering':
      return {
        state: 'registering',
        reason: `no answer yet from the home agent ${homeAgent}${cause}, next Binding Update in ${seconds(now, state.sendAt)} s`,
      };
    case 'rejected':
      return {
        state: 'rejected',
        ...bound,
        status: state.status,
        reason: `${state.reason} (status ${state.status}), next attempt in ${seconds(now, state.retryAt)} s`,
      };
    case 'deregistering':
      return {
        state: 'deregistering',
        ...bound,
        reason: `waiting for the home agent ${homeAgent} to confirm the de-registration${cause}`,
      };
  }
}
