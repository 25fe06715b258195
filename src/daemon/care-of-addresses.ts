import { KagemushaError } from '../errors.js';
import type { Address } from '../wire/index.js';
import { AddressMonitor } from './address-monitor.js';
import { readCapabilities } from './capabilities.js';
import { chooseCareOf } from './care-of-auto.js';
import { careOfSteps } from './care-of-steps.js';
import type { GuestConfig, HostConfig } from './config/schema.js';
import type { Logger } from './log.js';
import { applyMissing, takeBack } from './setup/apply.js';
import { missingSteps } from './setup/plan.js';
import { readSystem, type SystemState } from './setup/system.js';
import { planSetup } from './setup.js';
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
  #closed = false;

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** For every guest of the configuration with `care_of_address = "auto"`. */
  async choose(config: HostConfig): Promise<CareOfChoices> {
    this.#config = config;
    const choices = await this.#inTurn(config);
    this.#follow();
    return choices;
  }

  /** `onChange` gets the new choices whenever one of them has changed with the network. */
  watch(onChange: (choices: CareOfChoices) => void): void {
    this.#onChange = onChange;
  }

  /** Changes the system when nobody else does: what is being taken back would look as if it were there. */
  async alone<Result>(change: () => Promise<Result>): Promise<Result> {
    const changed = this.#busy.then(change);
    this.#busy = changed.catch(() => undefined);
    return await changed;
  }

  /** No tunnel uses these addresses any more: this host must not answer for them, unless a guest has one again by then. */
  retire(addresses: readonly Address[]): void {
    if (!readCapabilities().netAdmin) return;
    this.#busy = this.#busy.then(async () => {
      const config = this.#config;
      if (config === undefined) return;
      const wanted = new Set(config.guests.map(({ careOfAddress }) => careOfAddress));
      const gone = new Set(addresses.filter((address) => !wanted.has(address)));
      if (gone.size === 0) return;
      try {
        await takeBack(
          config,
          (resource) =>
            (resource.kind === 'route' ||
              resource.kind === 'blackhole' ||
              resource.kind === 'proxy') &&
            gone.has(resource.address),
        );
        this.#log.info({ addresses }, 'care-of addresses left');
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        this.#log.warn(`${addresses.join(', ')}: routes stay: ${why}`);
      }
    });
  }

  /** Nothing is chosen or changed once this resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#monitor?.close();
    await this.#busy;
  }

  /** Watches the network while a guest depends on it. */
  #follow(): void {
    const wanted = this.#choices.size > 0 && !this.#closed;
    if (wanted === (this.#monitor !== undefined)) return;
    this.#monitor?.close();
    this.#monitor = wanted
      ? new AddressMonitor({
          onChange: (system) => void this.#changed(system),
          onError: ({ message }) => this.#log.warn(`the network cannot be watched: ${message}`),
        })
      : undefined;
  }

  async #changed(system: SystemState): Promise<void> {
    const config = this.#config;
    if (config === undefined || this.#closed) return;
    try {
      const before = JSON.stringify([...this.#choices]);
      const choices = await this.#inTurn(config, system);
      if (this.#closed || JSON.stringify([...choices]) === before) return;
      this.#onChange(choices);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#log.error(`the care-of addresses could not follow the network: ${why}`);
    }
  }

  /** One look after the other: each makes changes of the system. */
  async #inTurn(config: HostConfig, system?: SystemState): Promise<CareOfChoices> {
    const choices = this.#busy.then(async () => await this.#look(config, system));
    this.#busy = choices.catch(() => undefined);
    this.#choices = await choices;
    return this.#choices;
  }

  async #look(config: HostConfig, known?: SystemState): Promise<CareOfChoices> {
    const automatic = config.guests.filter(({ careOfAddress }) => careOfAddress === 'auto');
    // On a packet uplink they come from what its own routers advertise (foreign-network.ts).
    if (automatic.length === 0 || config.uplink.kind === 'packet') return new Map();
    const system = known ?? (await readSystem());
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
      if (missingSteps(plan, system).some(({ advice }) => advice !== true)) {
        throw new KagemushaError(
          'SETUP_MISSING',
          `care_of_address = "auto" needs CAP_NET_ADMIN to route ${address} here; run as root, or write that address into the configuration and run kagemusha setup --apply`,
        );
      }
      return;
    }
    await applyMissing(plan, system, (step, commands) => {
      const words = commands.map((command) => command.join(' '));
      this.#log.info({ commands: words }, step.describe);
    });
  }
}
