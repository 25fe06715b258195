import type { Address, Mac, NdpOption, Prefix } from '../../src/wire/index.js';
import {
  addressBytes,
  contains,
  isLinkLocal,
  parseAddress,
  readAddress,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { mldReport } from './host-mld.js';
import type { Sent } from './link-frames.js';
import { solicitation } from './link-frames.js';

/** RFC 4861 10, in milliseconds: RetransTimer, and the longest delay before the first message of an interface. */
const RETRANS_TIMER = 1000;
const MAX_RTR_SOLICITATION_DELAY = 1000;
/** RFC 4862 5.5.3 e, seconds */
const TWO_HOURS = 7200;
/** RFC 8981 3.8: TEMP_PREFERRED_LIFETIME, TEMP_VALID_LIFETIME (seconds), TEMP_IDGEN_RETRIES */
const TEMP_PREFERRED = 86_400;
const TEMP_VALID = 172_800;
const TEMP_TRIES = 3;
/** RFC 7527 4.1 */
const NONCE = 14;

export type PrefixInformation = Extract<NdpOption, { kind: 'prefix-information' }>;

/** An address of a host; its lifetimes end at these times (ms). */
export interface Held {
  readonly address: Address;
  readonly kind: 'link-local' | 'static' | 'autoconfigured' | 'temporary';
  dad:
    | { readonly kind: 'waiting'; readonly at: number }
    | { readonly kind: 'probing'; readonly at: number; readonly nonce: Uint8Array }
    | { readonly kind: 'assigned' | 'duplicate' };
  preferredUntil: number;
  validUntil: number;
}

function withInterface({ address }: Prefix, identifier: Uint8Array): Address {
  const bytes = addressBytes(address).slice();
  bytes.set(identifier, 8);
  return readAddress(bytes, 0);
}

/** RFC 2464 4: the interface identifier of a link-layer address. */
export function interfaceIdentifier(mac: Mac): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac
    .split(':')
    .map((part) => parseInt(part, 16));
  return new Uint8Array([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
}

/** A host's addresses: duplicate address detection and autoconfiguration (RFC 4862), temporary addresses (RFC 8981). */
export class HostAddresses {
  readonly held = new Map<Address, Held>();
  /** Addresses that somebody else has. */
  readonly duplicates: Address[] = [];
  readonly #mac: Mac;
  readonly #temporary: boolean;
  readonly #random: () => number;
  readonly #send: (sent: Sent) => void;
  #temporaryTries = 0;

  constructor(mac: Mac, temporary: boolean, random: () => number, send: (sent: Sent) => void) {
    this.#mac = mac;
    this.#temporary = temporary;
    this.#random = random;
    this.#send = send;
  }

  get linkLocal(): Address | undefined {
    return [...this.held.values()].find(
      ({ kind, dad }) => kind === 'link-local' && dad.kind === 'assigned',
    )?.address;
  }

  /** Those it may send from now. */
  assigned(): Held[] {
    return [...this.held.values()].filter(({ dad }) => dad.kind === 'assigned');
  }

  /** The interface comes up: its link-local address, and what is configured (RFC 4862 5.3). */
  up(now: number, configured: readonly Address[]): void {
    this.held.clear();
    this.#temporaryTries = 0;
    const own = { address: parseAddress('fe80::'), length: 64 };
    const at = now + MAX_RTR_SOLICITATION_DELAY * this.#random();
    this.#hold(withInterface(own, interfaceIdentifier(this.#mac)), 'link-local', at);
    for (const address of configured) this.#hold(address, 'static', at);
  }

  /** RFC 4862 5.5.3 */
  advertised(
    now: number,
    { prefix, autonomous, validLifetime, preferredLifetime }: PrefixInformation,
  ): void {
    if (!autonomous || isLinkLocal(prefix.address)) return;
    if (preferredLifetime > validLifetime || prefix.length !== 64) return;
    const until = (seconds: number) => (seconds === 0xffffffff ? Infinity : now + 1000 * seconds);
    const known = [...this.held.values()].filter(
      ({ kind, address }) => kind === 'autoconfigured' && contains(prefix, address),
    );
    for (const held of known) {
      held.preferredUntil = until(preferredLifetime);
      const left = (held.validUntil - now) / 1000;
      if (validLifetime > TWO_HOURS || validLifetime > left) held.validUntil = until(validLifetime);
      else if (left > TWO_HOURS) held.validUntil = until(TWO_HOURS);
    }
    if (known.length > 0 || validLifetime === 0) return;
    const address = withInterface(prefix, interfaceIdentifier(this.#mac));
    const ends = { validUntil: until(validLifetime), preferredUntil: until(preferredLifetime) };
    if (!this.held.has(address)) this.#hold(address, 'autoconfigured', now, ends);
    if (this.#temporary) this.#makeTemporary(now, prefix);
  }

  /** Somebody answers for an address, or probes it too (RFC 4862 5.4.3, 5.4.4; RFC 7527 4.2). */
  taken(now: number, target: Address, nonce?: Uint8Array): void {
    const held = this.held.get(target);
    if (held?.dad.kind !== 'probing') return;
    if (nonce !== undefined && Buffer.compare(nonce, held.dad.nonce) === 0) return;
    held.dad = { kind: 'duplicate' };
    this.duplicates.push(target);
    if (held.kind !== 'temporary' || this.#temporaryTries >= TEMP_TRIES) return;
    this.#makeTemporary(now, { address: target, length: 64 });
  }

  wakeAt(): number[] {
    return [...this.held.values()].flatMap(({ dad }) => ('at' in dad ? [dad.at] : []));
  }

  tick(now: number): void {
    for (const held of [...this.held.values()]) {
      const { dad, address } = held;
      if (dad.kind === 'probing' && now >= dad.at) held.dad = { kind: 'assigned' };
      if (dad.kind !== 'waiting' || now < dad.at) continue;
      const nonce = Uint8Array.from({ length: 6 }, () => 256 * this.#random());
      held.dad = { kind: 'probing', at: now + RETRANS_TIMER, nonce };
      this.#send(mldReport(solicitedNode(address), this.linkLocal ?? UNSPECIFIED));
      this.#send({
        source: UNSPECIFIED,
        destination: solicitedNode(address),
        message: solicitation(address, [{ kind: 'unknown', type: NONCE, data: nonce }]),
      });
    }
  }

  #makeTemporary(now: number, prefix: Prefix): void {
    this.#temporaryTries += 1;
    const identifier = Uint8Array.from({ length: 8 }, () => 256 * this.#random());
    this.#hold(withInterface(prefix, identifier), 'temporary', now, {
      preferredUntil: now + 1000 * TEMP_PREFERRED,
      validUntil: now + 1000 * TEMP_VALID,
    });
  }

  #hold(
    address: Address,
    kind: Held['kind'],
    at: number,
    ends = { preferredUntil: Infinity, validUntil: Infinity },
  ): void {
    this.held.set(address, { address, kind, dad: { kind: 'waiting', at }, ...ends });
  }
}
