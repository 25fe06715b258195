import type { Drops } from '../../drops.js';
import { KagemushaError } from '../../errors.js';
import type { Address } from '../../wire/address.js';
import type { HomeAgentBinding, Registration, Store } from './store.js';

/** Between two lines of the log about the same trouble, milliseconds. */
const SAY_AGAIN = 60_000;

/**
 * A store whose trouble (a full disk, say) does not take the tunnels down that stand: what would only be remembered is lost, with a
 * count and a line in the log. What must be written before anything else happens still throws: a number that was not
 * reserved is not used.
 */
export class GuardedStore implements Store {
  readonly #store: Store;
  readonly #drops: Drops;
  readonly #tell: (error: KagemushaError) => void;
  #saidAt = Number.NEGATIVE_INFINITY;

  /** @param drops counts `store_failed` @param tell told once a minute at most */
  constructor(store: Store, drops: Drops, tell: (error: KagemushaError) => void) {
    this.#store = store;
    this.#drops = drops;
    this.#tell = tell;
  }

  reserve(name: string, until: number): void {
    this.#told(() => this.#store.reserve(name, until));
  }

  reserved(name: string): number | undefined {
    return this.#store.reserved(name);
  }

  putReplayTop(name: string, top: number): void {
    this.#tried(() => this.#store.putReplayTop(name, top));
  }

  replayTop(name: string): number | undefined {
    return this.#store.replayTop(name);
  }

  // Of bindings stored-bindings.ts takes care: they decide about answers.
  putBinding(binding: HomeAgentBinding): void {
    this.#store.putBinding(binding);
  }

  deleteBinding(homeAddress: Address): void {
    this.#store.deleteBinding(homeAddress);
  }

  endBinding(homeAddress: Address, at: number): void {
    this.#store.endBinding(homeAddress, at);
  }

  pruneBindings(before: number): void {
    this.#tried(() => this.#store.pruneBindings(before));
  }

  bindings(): HomeAgentBinding[] {
    return this.#store.bindings();
  }

  putRegistration(registration: Registration): void {
    this.#tried(() => this.#store.putRegistration(registration));
  }

  deleteRegistration(homeAddress: Address): void {
    this.#tried(() => this.#store.deleteRegistration(homeAddress));
  }

  registration(homeAddress: Address): Registration | undefined {
    return this.#store.registration(homeAddress);
  }

  registrations(): Registration[] {
    return this.#store.registrations();
  }

  secret(name: string): Uint8Array {
    return this.#store.secret(name);
  }

  close(): void {
    this.#store.close();
  }

  #tried(work: () => void): void {
    try {
      this.#told(work);
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
    }
  }

  #told(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof KagemushaError) this.#count(error);
      throw error;
    }
  }

  #count(error: KagemushaError): void {
    this.#drops.count('store_failed');
    const now = performance.now();
    if (now < this.#saidAt + SAY_AGAIN) return;
    this.#saidAt = now;
    this.#tell(error);
  }
}
