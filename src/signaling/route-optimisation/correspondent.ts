import { bindingManagementKey } from '../../crypto/return-routability.js';
import { Drops } from '../../drops.js';
import type { Millis } from '../../time.js';
import { earliest } from '../../time.js';
import { TokenBucket } from '../../token-bucket.js';
import type { Address, MobilityMessage } from '../../wire/index.js';
import { alignMobilityOptions, BINDING_ERROR, UNSPECIFIED } from '../../wire/index.js';
import type { RegistrationRequest } from '../registration-request.js';
import { isRoutable, readRequest } from '../registration-request.js';
import { isNewer } from '../sequence.js';
import type { Signal } from '../signal.js';
import { type AuthorizedFor, authorize, isAuthorized } from './authorization.js';
import { BindingCache } from './binding-cache.js';
import { IN_USE, MAX_RR_BINDING_LIFETIME } from './constants.js';
import { Nonces } from './nonces.js';

export interface CorrespondentConfig {
  /** the guest's, to whom mobile nodes speak */
  readonly homeAddress: Address;
  readonly maxBindings: number;
  /** keys and nonces come from here */
  readonly randomBytes: (count: number) => Uint8Array;
}

export type CorrespondentEvent =
  /** A Mobility Header message for the guest's home address. */
  | { readonly type: 'signal'; readonly signal: Signal }
  /** The engine saw traffic with it. */
  | { readonly type: 'correspondent'; readonly address: Address }
  /** A packet whose Home Address option no binding covers (RFC 6275 9.3.1). */
  | {
      readonly type: 'home-address-option';
      readonly source: Address;
      readonly homeAddress: Address;
    }
  /** An ICMPv6 error came back from what was sent to a care-of address. */
  | { readonly type: 'unreachable'; readonly careOfAddress: Address }
  /** The guest's own home registration ended. */
  | { readonly type: 'unbound'; readonly reason: string }
  | { readonly type: 'tick' };

export type CorrespondentOutput =
  /** From the guest's home address, so by way of its home agent. */
  | { readonly type: 'transmit-in-tunnel'; readonly signal: Signal }
  /** A new binding of a mobile node, or one with another care-of address. */
  | { readonly type: 'bind'; readonly homeAddress: Address; readonly careOfAddress: Address }
  | { readonly type: 'unbind'; readonly homeAddress: Address; readonly reason: string };

/** RFC 6275 6.1.8 */
const STATUS = {
  accepted: 0,
  insufficientResources: 130,
  notHomeAgent: 131,
  sequence: 135,
  homeNonce: 136,
  careOfNonce: 137,
  nonces: 138,
  typeChange: 139,
} as const;

/** Answers to what nobody has proved anything about yet, by kind: at once, and per second in the long run. */
const ANSWER_BURST = 20;
const ANSWER_RATE = 10;
/** Before the end of a binding in use: two requests to renew it (RFC 6275 9.5.5). */
const REFRESH_REQUEST: { readonly ahead: Millis; readonly again: Millis; readonly most: number } = {
  ahead: 20_000,
  again: 10_000,
  most: 2,
};
/** RFC 6275 9.3.4: "persistent" errors. */
const UNREACHABLE = { count: 3, within: 30_000 } as const;

/** The correspondent node's side for one guest, whose stack knows nothing of it (RFC 6275 section 9). */
export class Correspondent {
  /** Signals without an answer, by reason. */
  readonly drops = new Drops();

  readonly #homeAddress: Address;
  readonly #nonces: Nonces;
  readonly #cache: BindingCache;
  readonly #tests = new TokenBucket(ANSWER_BURST, ANSWER_RATE);
  readonly #refusals = new TokenBucket(ANSWER_BURST, ANSWER_RATE);
  readonly #errors = new TokenBucket(ANSWER_BURST, ANSWER_RATE);
  readonly #outputs: CorrespondentOutput[] = [];

  constructor(config: CorrespondentConfig) {
    this.#homeAddress = config.homeAddress;
    this.#nonces = new Nonces(config.randomBytes);
    this.#cache = new BindingCache(config.maxBindings);
  }

  /** The next thing to do, until undefined. */
  poll(): CorrespondentOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handle` wants a tick at the latest. */
  wakeAt(): Millis | undefined {
    const refreshes = [...this.#cache.live()].map((binding) =>
      binding.refreshRequests < REFRESH_REQUEST.most ? refreshRequestAt(binding) : undefined,
    );
    return earliest(this.#cache.deadline(), ...refreshes);
  }

  /** Where the mobile node with this home address is; undefined without a binding. */
  careOfAddress(homeAddress: Address): Address | undefined {
    return this.#cache.find(homeAddress)?.careOfAddress;
  }

  /** Who is at this care-of address. */
  homeAddressAt(careOfAddress: Address): Address | undefined {
    for (const binding of this.#cache.live()) {
      if (binding.careOfAddress === careOfAddress) return binding.homeAddress;
    }
    return undefined;
  }

  handle(now: Millis, event: CorrespondentEvent): void {
    for (const homeAddress of this.#cache.expire(now)) {
      this.#outputs.push({ type: 'unbind', homeAddress, reason: 'expired' });
    }
    switch (event.type) {
      case 'signal':
        this.#signal(now, event.signal);
        break;
      case 'correspondent': {
        const binding = this.#cache.find(event.address);
        if (binding !== undefined) this.#cache.put({ ...binding, seenAt: now });
        break;
      }
      case 'home-address-option':
        this.#homeAddressOption(now, event.source, event.homeAddress);
        break;
      case 'unreachable':
        this.#unreachable(now, event.careOfAddress);
        break;
      case 'unbound':
        for (const { homeAddress } of [...this.#cache.live()]) {
          this.#remove(now, homeAddress, event.reason);
        }
        break;
      case 'tick':
        break;
    }
    this.#requestRefreshes(now);
  }

  #signal(now: Millis, signal: Signal): void {
    const { message, destination, routingHeader } = signal;
    if ((routingHeader ?? destination) !== this.#homeAddress) {
      this.drops.count('not_ours');
      return;
    }
    switch (message.kind) {
      case 'home-test-init':
      case 'care-of-test-init':
        this.#test(now, signal, message);
        break;
      case 'binding-update': {
        const request = readRequest(signal, message);
        const reason = typeof request === 'string' ? request : this.#update(now, request);
        if (reason !== undefined) this.drops.count(reason);
        break;
      }
      case 'unknown':
        // RFC 6275 9.2
        this.#bindingError(
          now,
          signal.source,
          BINDING_ERROR.unrecognizedMobilityHeader,
          signal.homeAddressOption,
        );
        break;
      default:
        this.drops.count('unexpected_message');
    }
  }

  /** RFC 6275 9.4.1 - 9.4.4: answered without keeping anything. */
  #test(
    now: Millis,
    signal: Signal,
    message: Extract<MobilityMessage, { kind: 'home-test-init' | 'care-of-test-init' }>,
  ): void {
    const { source } = signal;
    if (signal.homeAddressOption !== undefined) {
      // RFC 6275 9.4.1, 9.4.2
      this.drops.count('test_with_home_address_option');
    } else if (!isRoutable(source) || source === this.#homeAddress) {
      this.drops.count('source_not_routable');
    } else if (!this.#tests.take(now)) {
      this.drops.count('test_limited');
    } else {
      const home = message.kind === 'home-test-init';
      const kind = home ? 'home-test' : 'care-of-test';
      const token = home ? this.#nonces.home(now, source) : this.#nonces.careOf(now, source);
      const options = alignMobilityOptions([], kind);
      // The type 2 routing header of a binding that stands is not used here (RFC 6275 9.4.3).
      this.#send({
        source: this.#homeAddress,
        destination: source,
        message: { kind, cookie: message.cookie, ...token, options },
      });
    }
  }

  /** RFC 6275 9.5.1; gives the reason why the Binding Update is discarded in silence. */
  #update(now: Millis, request: RegistrationRequest): string | undefined {
    const { update, homeAddress, careOfAddress, deregisters } = request;
    if (homeAddress === this.#homeAddress || careOfAddress === this.#homeAddress) {
      return 'circular_care_of_address';
    }
    if (update.homeRegistration) {
      const known = this.#cache.find(homeAddress) !== undefined;
      return this.#refuse(now, request, known ? STATUS.typeChange : STATUS.notHomeAgent);
    }
    const [indices, ...more] = update.options.filter(({ kind }) => kind === 'nonce-indices');
    if (indices?.kind !== 'nonce-indices' || more.length > 0) return 'no_nonce_indices';
    const home = this.#nonces.homeAgain(now, homeAddress, indices.home);
    // RFC 6275 9.5.1: the care-of index of a de-registration is not looked at.
    const careOf = deregisters
      ? undefined
      : this.#nonces.careOfAgain(now, careOfAddress, indices.careOf);
    if (home === undefined) {
      const both = !deregisters && careOf === undefined;
      return this.#refuse(now, request, both ? STATUS.nonces : STATUS.homeNonce);
    }
    if (!deregisters && careOf === undefined) {
      return this.#refuse(now, request, STATUS.careOfNonce);
    }
    const secret: AuthorizedFor = {
      kbm: bindingManagementKey(home, careOf),
      careOfAddress: deregisters ? homeAddress : careOfAddress,
      correspondent: this.#homeAddress,
    };
    if (!isAuthorized(update, secret)) return 'not_authorized';
    this.#authorized(now, request, secret);
    return undefined;
  }

  /** What a proved Binding Update does (RFC 6275 9.5.1 - 9.5.3). */
  #authorized(now: Millis, request: RegistrationRequest, secret: AuthorizedFor): void {
    const { update, homeAddress, careOfAddress, deregisters } = request;
    const { sequence } = update;
    const last = this.#cache.sequence(homeAddress);
    if (last !== undefined && !isNewer(sequence, last)) {
      this.#acknowledge(request, { status: STATUS.sequence, sequence: last, lifetime: 0 }, secret);
      return;
    }
    if (deregisters) {
      this.#remove(now, homeAddress, 'de-registered', sequence);
      this.#acknowledge(request, { status: STATUS.accepted, sequence, lifetime: 0 }, secret);
      return;
    }
    if (!this.#cache.hasRoom(homeAddress)) {
      const status = STATUS.insufficientResources;
      this.#acknowledge(request, { status, sequence, lifetime: 0 }, secret);
      return;
    }
    const before = this.#cache.find(homeAddress);
    const lifetime = Math.min(update.lifetime, MAX_RR_BINDING_LIFETIME);
    this.#cache.put({
      homeAddress,
      careOfAddress,
      sequence,
      lifetime,
      updatedAt: now,
      expiresAt: now + 1000 * lifetime,
      seenAt: before?.seenAt ?? now,
      refreshRequests: 0,
      unreachableAt: [],
    });
    if (before?.careOfAddress !== careOfAddress) {
      this.#outputs.push({ type: 'bind', homeAddress, careOfAddress });
    }
    this.#acknowledge(request, { status: STATUS.accepted, sequence, lifetime }, secret);
  }

  #remove(now: Millis, homeAddress: Address, reason: string, sequence?: number): void {
    const live = this.#cache.find(homeAddress) !== undefined;
    this.#cache.remove(now, homeAddress, sequence);
    if (live) this.#outputs.push({ type: 'unbind', homeAddress, reason });
  }

  /** An answer to what is not proved: limited, and without an authenticator (RFC 6275 9.5.4). */
  #refuse(now: Millis, request: RegistrationRequest, status: number): string | undefined {
    if (!this.#refusals.take(now)) return 'refusal_limited';
    this.#acknowledge(request, { status, sequence: request.update.sequence, lifetime: 0 });
    return undefined;
  }

  /** RFC 6275 9.5.4 */
  #acknowledge(
    request: RegistrationRequest,
    fields: { status: number; sequence: number; lifetime: number },
    secret?: AuthorizedFor,
  ): void {
    if (fields.status < 128 && !request.update.acknowledge) return;
    const kind = 'binding-acknowledgement';
    const message = { kind, keyManagement: false, reserved: 0, options: [], ...fields } as const;
    this.#send({
      source: this.#homeAddress,
      destination: request.answerTo,
      ...(request.direct ? {} : { routingHeader: request.homeAddress }),
      message:
        secret === undefined
          ? { ...message, options: alignMobilityOptions([], kind) }
          : authorize(message, secret),
    });
  }

  /** RFC 6275 9.3.1, 9.3.3 */
  #homeAddressOption(now: Millis, source: Address, homeAddress: Address): void {
    if (this.#cache.find(homeAddress)?.careOfAddress === source) return;
    this.#bindingError(now, source, BINDING_ERROR.unknownBinding, homeAddress);
  }

  #bindingError(now: Millis, to: Address, status: number, homeAddress = UNSPECIFIED): void {
    if (!isRoutable(to)) {
      this.drops.count('source_not_routable');
      return;
    }
    if (!this.#errors.take(now)) {
      this.drops.count('binding_error_limited');
      return;
    }
    const kind = 'binding-error';
    const options = alignMobilityOptions([], kind);
    this.#send({
      source: this.#homeAddress,
      destination: to,
      message: { kind, status, homeAddress, options },
    });
  }

  /** RFC 6275 9.3.4 */
  #unreachable(now: Millis, careOfAddress: Address): void {
    const homeAddress = this.homeAddressAt(careOfAddress);
    const binding = homeAddress === undefined ? undefined : this.#cache.find(homeAddress);
    if (binding === undefined) {
      this.drops.count('path_error_unusable');
      return;
    }
    const recent = binding.unreachableAt.filter((at) => now < at + UNREACHABLE.within);
    const unreachableAt = [...recent, now];
    this.#cache.put({ ...binding, unreachableAt });
    if (unreachableAt.length >= UNREACHABLE.count) {
      this.#remove(now, binding.homeAddress, 'its care-of address cannot be reached');
    }
  }

  /** RFC 6275 9.5.5: a binding in use is about to end. */
  #requestRefreshes(now: Millis): void {
    for (const binding of [...this.#cache.live()]) {
      const { homeAddress, refreshRequests } = binding;
      if (refreshRequests >= REFRESH_REQUEST.most || now < refreshRequestAt(binding)) continue;
      this.#cache.put({ ...binding, refreshRequests: refreshRequests + 1 });
      if (now >= binding.seenAt + IN_USE) continue;
      const kind = 'binding-refresh-request';
      // RFC 6275 6.1: of all messages, only an acknowledgement may have a type 2 routing header.
      this.#send({
        source: this.#homeAddress,
        destination: homeAddress,
        message: { kind, options: alignMobilityOptions([], kind) },
      });
    }
  }

  #send(signal: Signal): void {
    this.#outputs.push({ type: 'transmit-in-tunnel', signal });
  }
}

function refreshRequestAt(binding: {
  readonly expiresAt: Millis;
  readonly lifetime: number;
  readonly refreshRequests: number;
}): Millis {
  const ahead = Math.min(REFRESH_REQUEST.ahead, (1000 * binding.lifetime) / 2);
  const again = Math.min(REFRESH_REQUEST.again, (1000 * binding.lifetime) / 4);
  return binding.expiresAt - ahead + binding.refreshRequests * again;
}
