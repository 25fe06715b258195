import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import type { MobileNodeState } from './mobile-node-state.js';
import { bindingOf } from './mobile-node-state.js';
import type { LearntPrefix } from './prefix-discovery.js';

/** A binding as `status` shows it. */
export interface BindingSummary {
  readonly state:
    | 'idle'
    /** no home agent is known yet */
    | 'discovering'
    | 'registering'
    | 'registered'
    /** the home agent does not answer; the tunnel stays open until the binding runs out */
    | 'lost'
    | 'rejected'
    | 'deregistering'
    | 'at-home';
  /** of the binding, or the one that is asked for one */
  readonly homeAgent?: Address;
  /** of the Binding Acknowledgement that brought us here */
  readonly status?: number;
  /** seconds granted */
  readonly lifetime?: number;
  /** seconds left, rounded up */
  readonly expiresIn?: number;
  /** one sentence: what it means and what happens next */
  readonly reason?: string;
  /** of the home link, once a Mobile Prefix Advertisement has told */
  readonly prefixes?: readonly LearntPrefix[];
}

/** Whole seconds between two instants, rounded up, not below 0. */
export function secondsUntil(from: Millis, until: Millis): number {
  return Math.max(0, Math.ceil((until - from) / 1000));
}

/** @param trouble what unauthenticated messages last complained of, in words */
export function summarise(
  state: MobileNodeState,
  now: Millis,
  homeAgent: Address,
  trouble: string | undefined,
): BindingSummary {
  const binding = bindingOf(state);
  const bound = {
    homeAgent: binding?.homeAgent ?? homeAgent,
    ...(binding && {
      status: binding.status,
      lifetime: binding.lifetime,
      expiresIn: secondsUntil(now, binding.expiresAt),
    }),
  };
  const cause = trouble === undefined ? '' : ` (${trouble})`;
  switch (state.kind) {
    case 'idle':
      return { state: 'idle', reason: 'not registered, and nothing has asked for it' };
    case 'registered':
      return {
        state: 'registered',
        ...bound,
        reason: `registered with the home agent ${homeAgent}, next refresh in ${secondsUntil(now, state.refreshAt)} s`,
      };
    case 'refreshing':
      return {
        ...bound,
        ...(state.lost
          ? {
              state: 'lost',
              reason: `no answer from the home agent ${homeAgent}${cause}, the tunnel to ${bound.homeAgent} stays open for ${bound.expiresIn} s, next Binding Update in ${secondsUntil(now, state.sendAt)} s`,
            }
          : {
              state: 'registered',
              reason: `waiting for the home agent ${homeAgent} to confirm a refresh${cause}`,
            }),
      };
    case 'registering':
      return {
        state: 'registering',
        ...bound,
        reason: `no answer yet from the home agent ${homeAgent}${cause}, next Binding Update in ${secondsUntil(now, state.sendAt)} s`,
      };
    case 'rejected':
      return {
        state: 'rejected',
        ...bound,
        status: state.status,
        reason: `${state.reason} (status ${state.status}), next attempt in ${secondsUntil(now, state.retryAt)} s`,
      };
    case 'deregistering':
      return {
        state: 'deregistering',
        ...bound,
        reason: `waiting for the home agent ${homeAgent} to confirm the de-registration${cause}`,
      };
  }
}
