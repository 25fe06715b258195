import type { Drops } from '../drops.js';
import type { Signal, StoredBinding } from '../signaling/index.js';
import type { Address } from '../wire/index.js';
import { monotonicNow } from './driver.js';
import type { Logger } from './log.js';
import type { Store } from './store/index.js';

/** Binding Acknowledgements from here on refuse (RFC 6275 6.1.8). */
const FIRST_REFUSAL = 128;

/** The bindings in the store. A store that fails, for want of space say, costs acknowledgements and not the daemon. */
export class StoredBindings {
  readonly #store: Pick<Store, 'putBinding' | 'endBinding' | 'deleteBinding'>;
  readonly #log: Logger;
  readonly #drops: Drops;
  /** accepted, and not written down: the mobile node must not hear that they stand */
  readonly #unstored = new Set<Address>();

  /** @param drops counts each failure as `store_failed` */
  constructor(
    store: Pick<Store, 'putBinding' | 'endBinding' | 'deleteBinding'>,
    drops: Drops,
    log: Logger,
  ) {
    this.#store = store;
    this.#drops = drops;
    this.#log = log;
  }

  /** Writes a binding down; its `expiresAt` is on this process's clock. */
  put(binding: StoredBinding): void {
    const { homeAddress } = binding;
    const expiresAt = Date.now() + (binding.expiresAt - monotonicNow());
    const stored = this.#try(homeAddress, () => this.#store.putBinding({ ...binding, expiresAt }));
    if (stored) this.#unstored.delete(homeAddress);
    else this.#unstored.add(homeAddress);
  }

  /** It has ended. @param remembered its sequence number stays in the store: of listed nodes, which are bounded */
  end(homeAddress: Address, remembered: boolean): void {
    this.#unstored.delete(homeAddress);
    this.#try(homeAddress, () => {
      if (remembered) this.#store.endBinding(homeAddress, Date.now());
      else this.#store.deleteBinding(homeAddress);
    });
  }

  /**
   * Whether a signal may be sent: not the acknowledgement of a binding that could not be written down. The mobile node asks again,
   * and so does the store get another try.
   */
  allows({ destination, routingHeader, message }: Signal): boolean {
    if (message.kind !== 'binding-acknowledgement' || message.status >= FIRST_REFUSAL) return true;
    return !this.#unstored.has(routingHeader ?? destination);
  }

  #try(homeAddress: Address, work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      this.#drops.count('store_failed');
      this.#log.error({ homeAddress, code }, message);
      return false;
    }
  }
}
