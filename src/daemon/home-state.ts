import type { BoundState, EspState, HomeState } from '../migration/index.js';
import type { Address } from '../wire/index.js';
import type { EspConfig, SecurityConfig } from './config/schema.js';
import { espFloor } from './numbers.js';
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

/**
 * Numbers that another host may have reached further than ours would have by now, by its clock or by much signaling. What is further away
 * is not believed: numbers do not go back, and an association that has none left is dead.
 */
const MARGIN = 3600;

/**
 * Keeps how far the replay windows of a host before this one were. Those under other keys mean nothing here, nor do those of home agents
 * that nobody knows.
 *
 * @throws KagemushaError of the store
 */
export function keepReplayTops(
  store: Store,
  { homeAddress, esp }: HomeState,
  security: SecurityConfig,
  homeAgents: readonly Address[],
): void {
  if (security.kind !== 'esp' || !isSameAssociation(esp, security)) return;
  const { spiIn, keyId } = security;
  const most = espFloor({ ...security, spiOut: spiIn }, Date.now()) + MARGIN;
  for (const { homeAgent, top } of esp.replayTops) {
    const window = espReplayTop(homeAddress, spiIn, keyId, homeAgent);
    const known = store.replayTop(window) ?? 0;
    const isNew = top > known && top <= Math.max(known + MARGIN, most);
    if (isNew && homeAgents.includes(homeAgent)) store.putReplayTop(window, top);
  }
}

/**
 * From where on a host before this one has used no number of ESP; undefined where it says nothing of this association, or what it says
 * cannot be.
 *
 * @param ours the next one here
 */
export function numbersFrom(
  { esp }: HomeState,
  security: SecurityConfig,
  ours: number,
): number | undefined {
  if (security.kind !== 'esp' || !isSameAssociation(esp, security)) return undefined;
  const most = Math.max(ours, espFloor(security, Date.now())) + MARGIN;
  return esp.next <= most ? esp.next : undefined;
}

/** Whether its numbers are those of this association. */
function isSameAssociation(esp: EspState | undefined, security: EspConfig): esp is EspState {
  return esp?.spiOut === security.spiOut && esp.keyId === security.keyId;
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
