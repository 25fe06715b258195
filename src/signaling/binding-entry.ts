import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import type { Binding, HomeAgentConfig, StoredBinding } from './home-agent-types.js';
import { derivedLinkLocal } from './link-local.js';
import type { ProtectionKind } from './protection-kind.js';
import type { RegistrationPolicy } from './registration-policy.js';
import type { RegistrationRequest } from './registration-request.js';

/** An entry of the binding cache, with what the home agent needs to keep it. */
export interface BindingEntry extends Binding {
  readonly protection: ProtectionKind;
  /** what made it; not known of a binding from before a restart */
  readonly request?: RegistrationRequest;
  /** of the acknowledgement */
  readonly status: number;
  readonly linkLocal: boolean;
  /** what is probed or defended for this binding: nothing on a virtual home link */
  readonly addresses: readonly Address[];
  /** probing: the addresses that have not proved unique yet */
  readonly unproven: readonly Address[];
  /** when the mobile node is to be asked for a refresh, earliest first */
  readonly refreshRequestsAt: readonly Millis[];
}

/** Long enough for DAD (1 s); an entry whose probe is never answered must not stay. */
const PROBE_TIMEOUT: Millis = 5000;
/** Shares of a lifetime that are left, and the most that may be left, when the mobile node is asked for a refresh. */
const REFRESH_REQUESTS = [
  { share: 1 / 8, atMost: 60_000 },
  { share: 1 / 16, atMost: 30_000 },
] as const;

/** When a Binding Refresh Request is due for a binding that nobody has refreshed (RFC 6275 9.5.5): twice before it ends. */
function refreshRequestTimes(expiresAt: Millis, lifetime: number): Millis[] {
  return REFRESH_REQUESTS.map(
    ({ share, atMost }) => expiresAt - Math.min(atMost, 1000 * lifetime * share),
  );
}

/** A virtual home link has nobody to ask, and nobody who asks. */
function addressesOf(
  homeLink: HomeAgentConfig['homeLink'],
  homeAddress: Address,
  linkLocal: boolean,
): Address[] {
  if (homeLink === 'virtual') return [];
  return linkLocal ? [homeAddress, derivedLinkLocal(homeAddress)] : [homeAddress];
}

/** What a request becomes while its addresses are probed. */
export function probingEntry(
  now: Millis,
  request: RegistrationRequest,
  policy: RegistrationPolicy,
  homeLink: HomeAgentConfig['homeLink'],
): BindingEntry {
  const { homeAddress, careOfAddress, update } = request;
  const linkLocal = update.linkLocalCompatible;
  const addresses = addressesOf(homeLink, homeAddress, linkLocal);
  return {
    homeAddress,
    careOfAddress,
    protection: policy.protectionOf(homeAddress),
    sequence: update.sequence,
    ...policy.grant(homeAddress, update.lifetime),
    expiresAt: now + PROBE_TIMEOUT,
    state: 'probing',
    request,
    linkLocal,
    addresses,
    unproven: addresses,
    refreshRequestsAt: [],
  };
}

/** The same, granted from now on. */
export function boundEntry(now: Millis, entry: BindingEntry): BindingEntry {
  const expiresAt = now + 1000 * entry.lifetime;
  const refreshRequestsAt = refreshRequestTimes(expiresAt, entry.lifetime);
  return { ...entry, state: 'bound', unproven: [], expiresAt, refreshRequestsAt };
}

/** A binding from before a restart. */
export function restoredEntry(
  now: Millis,
  stored: StoredBinding,
  homeLink: HomeAgentConfig['homeLink'],
): BindingEntry {
  const { homeAddress, lifetime, linkLocal } = stored;
  // A clock that was set back meanwhile makes no binding longer than it was granted.
  const expiresAt = Math.min(stored.expiresAt, now + 1000 * lifetime);
  return {
    ...stored,
    expiresAt,
    status: 0,
    state: 'bound',
    addresses: addressesOf(homeLink, homeAddress, linkLocal),
    unproven: [],
    refreshRequestsAt: refreshRequestTimes(expiresAt, lifetime),
  };
}

/** What is written down of a binding. */
export function storedBinding(entry: BindingEntry): StoredBinding {
  const { homeAddress, careOfAddress, sequence, lifetime, expiresAt, linkLocal, protection } =
    entry;
  return { homeAddress, careOfAddress, sequence, lifetime, expiresAt, linkLocal, protection };
}

/** When an entry needs attention. */
export function dueAt({ expiresAt, refreshRequestsAt }: BindingEntry): Millis {
  return Math.min(expiresAt, ...refreshRequestsAt);
}
