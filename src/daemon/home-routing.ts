import type { Address } from '../wire/index.js';
import type { RouteWriter } from './ip-route.js';
import type { Logger } from './log.js';

/** The kernel's routes of home addresses, as they are written. */
export type HomeRoutes = Pick<RouteWriter, 'addHomeRoute' | 'removeHomeRoute' | 'settled'>;

/** The kernel's routes of home addresses into the tunnel device, and what has to wait for them. */
export class HomeRouting {
  readonly #routes: HomeRoutes;
  readonly #device: string;
  readonly #log: Logger;
  readonly #changing = new Map<Address, Promise<void>>();
  #ended = false;

  constructor(routes: HomeRoutes, device: string, log: Logger) {
    this.#routes = routes;
    this.#device = device;
    this.#log = log;
  }

  add(homeAddress: Address): void {
    this.#change(homeAddress, this.#routes.addHomeRoute(homeAddress, this.#device));
  }

  remove(homeAddress: Address): void {
    this.#change(homeAddress, this.#routes.removeHomeRoute(homeAddress, this.#device));
  }

  /**
   * Acts once the route of a home address is as its binding says: what follows makes neighbours, or the mobile node, send packets
   * that need it.
   */
  once(homeAddress: Address, act: () => void): void {
    const changing = this.#changing.get(homeAddress);
    if (changing === undefined) {
      act();
      return;
    }
    const later = changing.then(() => {
      // What the devices are needed for is not done when they are about to be closed.
      if (!this.#ended) act();
    });
    void later.catch((error: unknown) => this.#log.error({ homeAddress, err: error }));
  }

  /** Lets what is being changed come to its end; nothing that waits for it is acted upon any more. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#routes.settled();
  }

  #change(homeAddress: Address, change: Promise<void>): void {
    const done = change
      .catch((error: Error) => this.#log.error({ homeAddress }, error.message))
      .finally(() => {
        if (this.#changing.get(homeAddress) === done) this.#changing.delete(homeAddress);
      });
    this.#changing.set(homeAddress, done);
  }
}
