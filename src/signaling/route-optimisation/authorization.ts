import {
  AUTHENTICATOR_LENGTH,
  bindingAuthenticator,
  sameSecret,
} from '../../crypto/return-routability.js';
import type { Address, MobilityMessage, MobilityOption } from '../../wire/index.js';
import {
  alignMobilityOptions,
  attempt,
  emitMobility,
  UNSPECIFIED,
  WireError,
} from '../../wire/index.js';

/** The messages that a Binding Authorization Data option can prove (RFC 6275 6.2.7). */
export type Authorized = Extract<
  MobilityMessage,
  { kind: 'binding-update' | 'binding-acknowledgement' }
>;

/** What an authenticator covers besides the message (RFC 6275 6.2.7). */
export interface AuthorizedFor {
  readonly kbm: Uint8Array;
  /** the home address in a de-registration */
  readonly careOfAddress: Address;
  readonly correspondent: Address;
}

/** The checksum counts as zero, so whose addresses are in it does not matter. */
const NO_PSEUDO_HEADER = { source: UNSPECIFIED, destination: UNSPECIFIED };

function authenticatorOf(message: Authorized, secret: AuthorizedFor): Uint8Array {
  const header = emitMobility(message, NO_PSEUDO_HEADER);
  return bindingAuthenticator(secret.kbm, secret.careOfAddress, secret.correspondent, header);
}

/** The same message with the option behind its others: it must be the last one (RFC 6275 6.2.7). */
export function authorize<Message extends Authorized>(
  message: Message,
  secret: AuthorizedFor,
): Message {
  const withOption = (authenticator: Uint8Array): Message => {
    const option = { kind: 'binding-authorization-data', authenticator } as const;
    return {
      ...message,
      options: alignMobilityOptions([...message.options, option], message.kind),
    };
  };
  return withOption(authenticatorOf(withOption(new Uint8Array(AUTHENTICATOR_LENGTH)), secret));
}

function authorizationOf(options: readonly MobilityOption[]): Uint8Array | undefined {
  const last = options.at(-1);
  if (last?.kind !== 'binding-authorization-data') return undefined;
  const others = options.slice(0, -1);
  if (others.some(({ kind }) => kind === 'binding-authorization-data')) return undefined;
  return last.authenticator.length === AUTHENTICATOR_LENGTH ? last.authenticator : undefined;
}

/** Whether the message ends with the option and its authenticator is right. */
export function isAuthorized(message: Authorized, secret: AuthorizedFor): boolean {
  const authenticator = authorizationOf(message.options);
  if (authenticator === undefined) return false;
  const expected = attempt(() => authenticatorOf(message, secret));
  return !(expected instanceof WireError) && sameSecret(authenticator, expected);
}
