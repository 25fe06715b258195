import type { BoundState, EspState, HomeState } from '../migration/index.js';
import type { Address } from '../wire/index.js';
import type { EspConfig, SecurityConfig } from './config/schema.js';
import {
  espReplayTop,
  espSequence,
  mobilitySequence,
  type Registration,
  type Store,
} from './store/index.js';

/*
 * What hosts hand each other of a home address is what their stores keep of it: hosts that share a store have nothing to hand over.
 */

/**
 * What the store knows of a home address. Numbers that are reserved count as used.
 *
 * @param homeAgents of the home network, as far as they are known
 */
export function storedHomeState(
  store: Store,
  homeAddress: Address,
  security: SecurityConfig,
  homeAgents: readonly Address[],
): HomeState {
  const sequence = store.reserved(mobilitySequence(homeAddress));
  const known = store.registration(homeAddress);
  const asked = new Set(known === undefined ? homeAgents : [...homeAgents, known.homeAgent]);
  return {
    homeAddress,
    ...(sequence === undefined ? {} : { sequence }),
    ...(known === undefined || known.expiresAt <= Date.now() ? {} : { bound: boundState(known) }),
    ...(security.kind === 'esp' ? { esp: espState(store, homeAddress, security, [...asked]) } : {}),
  };
}

/** Keeps what a host before this one knew. Numbers never go back; those under other keys mean nothing here. */
export function keepHomeState(store: Store, state: HomeState, security: SecurityConfig): void {
  const { homeAddress, sequence, esp } = state;
  if (sequence !== undefined) store.reserve(mobilitySequence(homeAddress), sequence);
  if (security.kind !== 'esp' || !isSameAssociation(esp, security)) return;
  const { spiOut, spiIn, keyId } = security;
  const name = espSequence(homeAddress, spiOut, keyId);
  if (esp.next > (store.reserved(name) ?? 0)) store.reserve(name, esp.next);
  for (const { homeAgent, top } of esp.replayTops) {
    const window = espReplayTop(homeAddress, spiIn, keyId, homeAgent);
    if (top > (store.replayTop(window) ?? 0)) store.putReplayTop(window, top);
  }
}

/** Whether its numbers are those of this association. */
export function isSameAssociation(
  esp: EspState | undefined,
  security: SecurityConfig,
): esp is EspState {
  return security.kind === 'esp' && esp?.spiOut === security.spiOut && esp.keyId === security.keyId;
}

function boundState({ homeAgent, careOfAddress, lifetime, expiresAt }: Registration): BoundState {
  return { homeAgent, careOfAddress, lifetime, expiresAt };
}

function espState(
  store: Store,
  homeAddress: Address,
  { spiOut, spiIn, keyId }: EspConfig,
  homeAgents: readonly Address[],
): EspState {
  const replayTops = homeAgents.flatMap((homeAgent) => {
    const top = store.replayTop(espReplayTop(homeAddress, spiIn, keyId, homeAgent));
    return top === undefined ? [] : [{ homeAgent, top }];
  });
  const next = store.reserved(espSequence(homeAddress, spiOut, keyId)) ?? 1;
  return { spiOut, keyId, next, replayTops };
}
