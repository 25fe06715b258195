import { sameSecret } from '../../crypto/return-routability.js';
import type { Millis } from '../../time.js';
import { INITIAL_BINDACK_TIMEOUT } from '../constants.js';
import { ATTEMPTS, MAX_TOKEN_LIFETIME } from './constants.js';
import type { KeygenToken } from './nonces.js';

/** Octets of a Home Init or Care-of Init Cookie (RFC 6275 5.2.1). */
const COOKIE_LENGTH = 8;

interface Held extends KeygenToken {
  readonly expiresAt: Millis;
}

interface UnderWay {
  readonly sendAt: Millis;
  readonly timeout: Millis;
  readonly attemptsLeft: number;
  /** of the last message; a retransmission has a new one (RFC 6275 11.8) */
  readonly cookie?: Uint8Array;
}

/** One half of return routability, of the home address or of the care-of address (RFC 6275 11.6.1, 11.6.2). */
export class AddressTest {
  readonly #randomBytes: (count: number) => Uint8Array;
  #held: Held | undefined;
  #underWay: UnderWay | undefined;

  constructor(randomBytes: (count: number) => Uint8Array) {
    this.#randomBytes = randomBytes;
  }

  /** The token that the correspondent gave, while it lasts (RFC 6275 5.2.7). */
  token(now: Millis): KeygenToken | undefined {
    return this.#held !== undefined && now < this.#held.expiresAt ? this.#held : undefined;
  }

  /** When the token is too old. */
  get expiresAt(): Millis | undefined {
    return this.#held?.expiresAt;
  }

  /** When a message is due, or all of them have been in vain; undefined when no test runs. */
  get dueAt(): Millis | undefined {
    return this.#underWay?.sendAt;
  }

  /** Begins a test, unless one is under way. */
  begin(now: Millis): void {
    this.#underWay ??= {
      sendAt: now,
      timeout: INITIAL_BINDACK_TIMEOUT,
      attemptsLeft: ATTEMPTS,
    };
  }

  /** The cookie of the message to send now; 'unanswered' once, when none of the messages was answered. */
  due(now: Millis): Uint8Array | 'unanswered' | undefined {
    const test = this.#underWay;
    if (test === undefined || now < test.sendAt) return undefined;
    if (test.attemptsLeft === 0) {
      this.#underWay = undefined;
      return 'unanswered';
    }
    const cookie = this.#randomBytes(COOKIE_LENGTH);
    this.#underWay = {
      sendAt: now + test.timeout,
      timeout: 2 * test.timeout,
      attemptsLeft: test.attemptsLeft - 1,
      cookie,
    };
    return cookie;
  }

  /** Takes the answer; false when its cookie is not that of the last message. */
  answered(now: Millis, cookie: Uint8Array, token: KeygenToken): boolean {
    const sent = this.#underWay?.cookie;
    if (sent === undefined || !sameSecret(sent, cookie)) return false;
    this.#underWay = undefined;
    const { nonceIndex, keygenToken } = token;
    this.#held = { nonceIndex, keygenToken, expiresAt: now + MAX_TOKEN_LIFETIME };
    return true;
  }

  /** The token is of no use any more: the correspondent forgot its nonce, or the address changed. */
  forget(): void {
    this.#held = undefined;
    this.#underWay = undefined;
  }

  /** Waits for no answer any more. */
  stop(): void {
    this.#underWay = undefined;
  }
}
