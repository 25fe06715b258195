import { KagemushaError } from '../errors.js';
import type { Address } from '../wire/index.js';
import { AddressMonitor } from './address-monitor.js';
import { readCapabilities } from './capabilities.js';
import { chooseCareOf } from './care-of-auto.js';
import { careOfSteps } from './care-of-steps.js';
import type { GuestConfig, HostConfig } from './config/schema.js';
import type { Logger } from './log.js';
import { applyMissing } from './setup/apply.js';
import { readSystem, type SystemState } from './setup/system.js';
import { explainMissing, planSetup } from './setup.js';
import { CARE_OF_SECRET, type Store } from './store/index.js';

/** The care-of address of a guest, or why there is none. */
export type CareOfChoice =
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'none'; readonly reason: string };

/** By the name of the guest; guests whose address is configured are not in it. */
export type CareOfChoices = ReadonlyMap<string, CareOfChoice>;

/** Chooses care-of addresses from the network's prefixes, prepares the system for them, and follows changes of the network. */
export class CareOfAddresses {
  readonly #store: Store;
  readonly #log: Logger;
  #config: HostConfig | undefined;
  #choices: CareOfChoices = new Map();
  #monitor: AddressMonitor | undefined;
  /** One look at the network at a time. */
  #busy: Promise<unknown> = Promise.resolve();
  #onChange: (choices: CareOfChoices) => void = () => {};

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** For every guest of the configuration with `care_of_address = "auto"`. */
  async choose(config: HostConfig): Promise<CareOfChoices> {
    this.#config = config;
    const choices = this.#busy.then(async () => await this.#look(config));
    this.#busy = choices.catch(() => undefined);
    this.#choices = await choices;
    this.#follow();
    return this.#choices;
  }

  /** `onChange` gets the new choices whenever one of them has changed with the network. */
  watch(onChange: (choices: CareOfChoices) => void): void {
    this.#onChange = onChange;
  }

  close(): void {
    this.#monitor?.close();
  }

  /** Watches the network while a guest depends on it. */
  #follow(): void {
    const wanted = this.#choices.size > 0;
    if (wanted === (this.#monitor !== undefined)) return;
    this.#monitor?.close();
    this.#monitor = wanted
      ? new AddressMonitor({
          onChange: () => void this.#changed(),
          onError: ({ message }) => this.#log.warn(`the network cannot be watched: ${message}`),
        })
      : undefined;
  }

  async #changed(): Promise<void> {
    const config = this.#config;
    if (config === undefined) return;
    const before = JSON.stringify([...this.#choices]);
    const choices = await this.choose(config);
    if (JSON.stringify([...choices]) !== before) this.#onChange(choices);
  }

  async #look(config: HostConfig): Promise<CareOfChoices> {
    const automatic = config.guests.filter(({ careOfAddress }) => careOfAddress === 'auto');
    if (automatic.length === 0) return new Map();
    const system = await readSystem();
    const taken = config.guests.flatMap(({ careOfAddress }) =>
      careOfAddress === undefined || careOfAddress === 'auto' ? [] : [careOfAddress],
    );
    const choices = new Map<string, CareOfChoice>();
    for (const guest of automatic) {
      const choice = await this.#chooseFor(guest, config, system, taken);
      choices.set(guest.name, choice);
      if (choice.kind === 'address') taken.push(choice.address);
    }
    return choices;
  }

  async #chooseFor(
    { name }: GuestConfig,
    config: HostConfig,
    system: SystemState,
    taken: readonly Address[],
  ): Promise<CareOfChoice> {
    const known = this.#choices.get(name);
    const choice = chooseCareOf(system, {
      guest: name,
      secret: this.#store.secret(CARE_OF_SECRET),
      uplink: config.uplink.device,
      taken,
      current: known?.kind === 'address' ? known.address : undefined,
    });
    if (choice.kind === 'none') return choice;
    try {
      await this.#prepare(choice.address, name, config, system);
      return { kind: 'address', address: choice.address };
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
      return { kind: 'none', reason: error.message };
    }
  }

  /** @throws KagemushaError SETUP_MISSING, IP_COMMAND_FAILED */
  async #prepare(
    address: Address,
    name: string,
    config: HostConfig,
    system: SystemState,
  ): Promise<void> {
    const place = { name, uplink: config.uplink.device, system };
    const plan = { ...planSetup(config, system), steps: careOfSteps(address, place) };
    if (!readCapabilities().netAdmin) {
      explainMissing(plan, system, this.#log);
      return;
    }
    await applyMissing(plan, system, (step, commands) => {
      const words = commands.map((command) => command.join(' '));
      this.#log.info({ commands: words }, step.describe);
    });
  }
}
