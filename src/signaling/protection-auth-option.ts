import { randomBytes } from 'node:crypto';
import type { MobilityAddresses, Secret } from '../crypto/index.js';
import {
  AUTHENTICATOR_LENGTH,
  findAuthenticator,
  isAuthentic,
  MN_HA,
  MOBILITY_KEY_LENGTH,
  mobilityAuthenticator,
  SMALLEST_MOBILITY_SPI,
} from '../crypto/index.js';
import type { Address, MobilityMessage, MobilityOption, PseudoHeader } from '../wire/index.js';
import { alignMobilityOptions, emitMobility } from '../wire/index.js';
import { Peers } from './protection-peers.js';
import {
  CLOSE_ENOUGH,
  HomeAgentTimestamps,
  MobileNodeTimestamps,
} from './protection-timestamps.js';
import type { AuthenticationResult, Envelope } from './signal.js';
import { endsOf } from './signal.js';

export type BindingUpdate = Extract<MobilityMessage, { kind: 'binding-update' }>;
export type BindingAcknowledgement = Extract<MobilityMessage, { kind: 'binding-acknowledgement' }>;

/** RFC 4283 3.1: a network access identifier. */
const NAI = 1;
/** RFC 7542 2.3: octets of a network access identifier that others must support, and at most (RFC 4282 2.3). */
const LONGEST_NAI = 253;

/** A mobility security association (RFC 4285 5.1), both directions. */
export interface AuthOptionOptions {
  readonly spi: number;
  /** 16 octets */
  readonly key: Secret;
  /** a network access identifier (RFC 4283): the mobile node sends it, the home agent asks for it */
  readonly identifier?: string;
  /** milliseconds */
  readonly closeEnough?: number;
  /** home agent: milliseconds since 1970 of the last timestamp accepted before a restart */
  readonly lastAccepted?: number;
  /** home agent: told the timestamp of each Binding Update that it accepts, milliseconds since 1970 */
  readonly accepted?: (milliseconds: number) => void;
  /** home agent: told, in milliseconds, that the clock was set back by that much at least since the last one was accepted */
  readonly setBack?: (milliseconds: number) => void;
  /** 0 up to 1, in tests */
  readonly noise?: () => number;
}

/** The mobility message authentication option, with timestamps against replays, for one home address (RFC 4285). */
export class AuthOptionProtection {
  readonly kind = 'auth-option';
  readonly #spi: number;
  readonly #key: Secret;
  readonly #identifier: Uint8Array | undefined;
  readonly #homeAgents: Peers<Address, MobileNodeTimestamps>;
  readonly #mobileNode: HomeAgentTimestamps;
  readonly #accepted: ((milliseconds: number) => void) | undefined;

  /** @throws RangeError for a reserved SPI, a key of the wrong length, an identifier that is too long */
  constructor(options: AuthOptionOptions) {
    const { spi, key, identifier, closeEnough = CLOSE_ENOUGH, noise = randomNoise } = options;
    if (!Number.isInteger(spi) || spi < SMALLEST_MOBILITY_SPI || spi > 0xffffffff) {
      throw new RangeError(`SPI ${spi} is not 256 to 4294967295 (RFC 4285 5.1)`);
    }
    if (key.length !== MOBILITY_KEY_LENGTH) {
      throw new RangeError(
        `auth-option takes a key of ${MOBILITY_KEY_LENGTH} octets, not of ${key.length}`,
      );
    }
    this.#spi = spi;
    this.#key = key;
    this.#identifier = identifier === undefined ? undefined : new TextEncoder().encode(identifier);
    if ((this.#identifier?.length ?? 0) > LONGEST_NAI) {
      throw new RangeError(`an identifier of more than ${LONGEST_NAI} octets`);
    }
    this.#homeAgents = new Peers(() => new MobileNodeTimestamps(noise));
    this.#mobileNode = new HomeAgentTimestamps(closeEnough, options.lastAccepted, options.setBack);
    this.#accepted = options.accepted;
  }

  /** Mobile node: from now on acknowledgements of this home agent are expected. */
  expect(homeAgent: Address): void {
    this.#homeAgents.learn(homeAgent);
  }

  expects(homeAgent: Address): boolean {
    return this.#homeAgents.get(homeAgent) !== undefined;
  }

  /** Mobile node: a Mobility Header with identifier, timestamp and authenticator. @throws WireError `WIRE_RANGE` */
  signUpdate(envelope: Envelope, message: BindingUpdate, now: number): Uint8Array {
    const timestamp = this.#homeAgents.learn(envelope.destination).next(now);
    const identifier: MobilityOption[] =
      this.#identifier === undefined
        ? []
        : [{ kind: 'mobile-node-identifier', subtype: NAI, identifier: this.#identifier }];
    const options = [...message.options, ...identifier];
    const addresses = {
      careOfAddress: envelope.source,
      homeAddress: envelope.homeAddressOption ?? envelope.source,
    };
    return this.#sign({ ...message, options }, timestamp, endsOf(envelope), addresses);
  }

  /** Home agent: the same for the answer, with the timestamp of its request. @throws WireError `WIRE_RANGE` */
  signAcknowledgement(
    envelope: Envelope,
    message: BindingAcknowledgement,
    now: number,
  ): Uint8Array {
    const timestamp = this.#mobileNode.answer(message.status, message.sequence, now);
    const addresses = {
      careOfAddress: envelope.destination,
      homeAddress: envelope.routingHeader ?? envelope.destination,
    };
    return this.#sign(message, timestamp, endsOf(envelope), addresses);
  }

  /** Reads nothing of a Mobility Header but the option. A drop reason when it is not there, or names another key. */
  authenticate(
    header: Uint8Array,
    addresses: MobilityAddresses,
  ): 'authentic' | 'forged' | 'unprotected' | 'auth_option_spi' {
    const found = findAuthenticator(header);
    if (found === undefined) return 'unprotected';
    if (found.spi !== this.#spi) return 'auth_option_spi';
    return isAuthentic(this.#key, addresses, header, found) ? 'authentic' : 'forged';
  }

  /** Home agent: what a Binding Update is worth whose authenticator is right, or is not. */
  judgeUpdate(message: BindingUpdate, authentic: boolean, now: number): AuthenticationResult {
    const { sequence } = message;
    const timestamp = timestampOf(message);
    if (!authentic || !this.#identifies(message)) {
      this.#mobileNode.refuse({ sequence, timestamp });
      return 'failed';
    }
    const result = this.#mobileNode.judge({ sequence, timestamp }, now);
    if (result === 'ok') this.#accepted?.(this.#mobileNode.lastAccepted(now));
    return result;
  }

  /** Mobile node: whether an authentic Binding Acknowledgement answers one of our Binding Updates. */
  isAnswer(homeAgent: Address, message: BindingAcknowledgement, now: number): boolean {
    const timestamps = this.#homeAgents.get(homeAgent);
    const answers = timestamps?.answers(message.status, timestampOf(message), now) === true;
    if (answers) this.#homeAgents.prove(homeAgent);
    return answers;
  }

  #identifies(message: BindingUpdate): boolean {
    const wanted = this.#identifier;
    if (wanted === undefined) return true;
    return message.options.some(
      (option) =>
        option.kind === 'mobile-node-identifier' &&
        option.subtype === NAI &&
        Buffer.compare(option.identifier, wanted) === 0,
    );
  }

  #sign(
    message: BindingUpdate | BindingAcknowledgement,
    timestamp: bigint | undefined,
    pseudo: PseudoHeader,
    addresses: MobilityAddresses,
  ): Uint8Array {
    const replay: MobilityOption[] =
      timestamp === undefined ? [] : [{ kind: 'replay-protection', timestamp }];
    const emit = (authenticator: Uint8Array) => {
      const authentication: MobilityOption = {
        kind: 'mobility-authentication',
        subtype: MN_HA,
        spi: this.#spi,
        authenticator,
      };
      const options = [...message.options, ...replay, authentication];
      const aligned = lastButPadding(alignMobilityOptions(options, message.kind));
      return emitMobility({ ...message, options: aligned }, pseudo);
    };
    const header = emit(new Uint8Array(AUTHENTICATOR_LENGTH));
    const offset = findAuthenticator(header)?.offset ?? header.length;
    return emit(mobilityAuthenticator(this.#key, addresses, header, offset));
  }
}

function randomNoise(): number {
  return randomBytes(4).readUInt32BE() / 2 ** 32;
}

function timestampOf(message: BindingUpdate | BindingAcknowledgement): bigint | undefined {
  return message.options.find((option) => option.kind === 'replay-protection')?.timestamp;
}

/** The option must be the last (RFC 4285 5.1): padding behind it goes before it, which keeps its alignment of 4. */
function lastButPadding(options: readonly MobilityOption[]): MobilityOption[] {
  const last = options.at(-1);
  const padding = last?.kind === 'padN' || last?.kind === 'pad1';
  if (last === undefined || !padding) return [...options];
  return [...options.slice(0, -2), last, ...options.slice(-2, -1)];
}
