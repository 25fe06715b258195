import { randomBytes } from 'node:crypto';
import type { Address } from '../../wire/address.js';
import { type HomeAgentBinding, type Registration, SECRET_LENGTH, type Store } from './store.js';

/** A store that ends with the process, for tests. */
export class MemoryStore implements Store {
  readonly #reserved = new Map<string, number>();
  readonly #tops = new Map<string, number>();
  readonly #bindings = new Map<Address, HomeAgentBinding>();
  readonly #registrations = new Map<Address, Registration>();
  readonly #secrets = new Map<string, Uint8Array>();

  reserve(name: string, until: number): void {
    this.#reserved.set(name, until);
  }

  reserved(name: string): number | undefined {
    return this.#reserved.get(name);
  }

  putReplayTop(name: string, top: number): void {
    this.#tops.set(name, top);
  }

  replayTop(name: string): number | undefined {
    return this.#tops.get(name);
  }

  putBinding(binding: HomeAgentBinding): void {
    this.#bindings.set(binding.homeAddress, binding);
  }

  endBinding(homeAddress: Address, at: number): void {
    const known = this.#bindings.get(homeAddress);
    if (known === undefined) return;
    const expiresAt = Math.min(known.expiresAt, Math.floor(at));
    this.#bindings.set(homeAddress, { ...known, expiresAt });
  }

  pruneBindings(before: number): void {
    for (const { homeAddress, expiresAt } of this.bindings()) {
      if (expiresAt < before) this.#bindings.delete(homeAddress);
    }
  }

  deleteBinding(homeAddress: Address): void {
    this.#bindings.delete(homeAddress);
  }

  bindings(): HomeAgentBinding[] {
    return [...this.#bindings.values()];
  }

  putRegistration(registration: Registration): void {
    this.#registrations.set(registration.homeAddress, registration);
  }

  deleteRegistration(homeAddress: Address): void {
    this.#registrations.delete(homeAddress);
  }

  registration(homeAddress: Address): Registration | undefined {
    return this.#registrations.get(homeAddress);
  }

  registrations(): Registration[] {
    return [...this.#registrations.values()];
  }

  secret(name: string): Uint8Array {
    const known = this.#secrets.get(name) ?? new Uint8Array(randomBytes(SECRET_LENGTH));
    this.#secrets.set(name, known);
    return known;
  }

  close(): void {}
}
