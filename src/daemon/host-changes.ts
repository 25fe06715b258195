import { isDeepStrictEqual } from 'node:util';
import { KagemushaError } from '../errors.js';
import type { CareOfAddresses } from './care-of-addresses.js';
import { addedGuestFile, forgetAddedGuest, keepAddedGuest } from './config/added-guests.js';
import {
  type GuestPlace,
  type LoadedHost,
  loadHost,
  placeOf,
  withGuest,
  withoutGuest,
} from './config/load.js';
import type { GuestConfig, HostConfig } from './config/schema.js';
import type { HostDaemon } from './host-daemon.js';
import type { Logger } from './log.js';
import { ensureSetup } from './setup.js';
import type { GuestChange, ReloadAnswer } from './status.js';

/** What a request's document is called in complaints about it. */
const REQUEST = 'request';

/**
 * Changes of the guests of a running host, by its file and over its control socket, one after the other. Each is followed as a whole
 * or, when something goes wrong, not at all.
 */
export class HostChanges {
  /** As it was at start: of the file only guests are followed. */
  readonly #started: HostConfig;
  readonly #host: Pick<HostDaemon, 'attached' | 'reload' | 'waiting'>;
  readonly #careOf: Pick<CareOfAddresses, 'choose' | 'alone'>;
  readonly #log: Logger;
  readonly #prepare: typeof ensureSetup;
  #loaded: LoadedHost;
  #busy: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param prepare makes or checks what the system must have for a configuration */
  constructor(
    loaded: LoadedHost,
    host: Pick<HostDaemon, 'attached' | 'reload' | 'waiting'>,
    careOf: Pick<CareOfAddresses, 'choose' | 'alone'>,
    log: Logger,
    prepare = ensureSetup,
  ) {
    this.#started = loaded.config;
    this.#loaded = loaded;
    this.#host = host;
    this.#careOf = careOf;
    this.#log = log;
    this.#prepare = async (...what) => await careOf.alone(async () => await prepare(...what));
  }

  /** Reads the file again. @throws KagemushaError when it is not good; nothing has changed then */
  async reload(): Promise<ReloadAnswer> {
    return await this.#inTurn(async () => {
      const { path, stateDirectory } = this.#started;
      const read = loadHost(path, { stateDirectory });
      // Only guests change while it runs: the system is prepared for them and for nothing else.
      const changed = { ...this.#started, guests: read.config.guests };
      await this.#prepare(changed, this.#log, { attached: this.#host.attached(changed) });
      const notes = this.#host.reload(read.config, await this.#careOf.choose(changed));
      this.#loaded = { ...read, config: changed };
      const waiting = this.#host.waiting.map(({ config, reason, error }) => ({
        line: `${config.name}: ${reason}`,
        failed: error !== undefined,
      }));
      return {
        notes: [...notes, ...waiting.flatMap(({ line, failed }) => (failed ? [] : [line]))],
        failures: waiting.flatMap(({ line, failed }) => (failed ? [line] : [])),
      };
    });
  }

  /** See GuestHandlers. */
  async put(name: string, text: string): Promise<GuestChange> {
    return await this.#inTurn(async () => {
      const before = this.#find(name);
      if (before !== undefined) refuseConfigured(name, before.place);
      const next = withGuest(this.#loaded, { name, file: REQUEST, text });
      const after = next.config.guests.find((guest) => guest.name === name);
      if (before?.place.text === text && isDeepStrictEqual(before.guest, after)) {
        return { change: 'unchanged', ...this.#waits(name) };
      }
      // What others may lack is nothing that this one waits for.
      const guests = after === undefined ? [] : [after];
      const attached = this.#host.attached(next.config);
      const also = ' --guest FILE';
      await this.#prepare({ ...next.config, guests }, this.#log, { attached, also });
      const { stateDirectory } = this.#started;
      const file = addedGuestFile(stateDirectory, name);
      const places = next.places.map((place) =>
        place.file === REQUEST ? { ...place, file } : place,
      );
      await this.#follow({ ...next, places }, before?.place, name, () =>
        keepAddedGuest(stateDirectory, name, text),
      );
      const change = before === undefined ? 'added' : 'changed';
      this.#log.info({ guest: name }, `guest ${change} over the control socket`);
      return { change, ...this.#waits(name) };
    });
  }

  /** See GuestHandlers. Its binding stands until its lifetime ends, as that of a guest that was taken out of the file. */
  async remove(name: string): Promise<void> {
    await this.#inTurn(async () => {
      const before = this.#find(name);
      if (before === undefined) throw this.#unknown(name);
      refuseConfigured(name, before.place);
      const next = withoutGuest(this.#loaded, name);
      await this.#follow(next, before.place, name, () =>
        forgetAddedGuest(this.#started.stateDirectory, name),
      );
      this.#log.info({ guest: name }, 'guest removed over the control socket');
    });
  }

  /** Nothing changes any more once this resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#busy;
  }

  /** Keeps a change of one guest and follows it, or leaves everything as it was. */
  async #follow(
    next: LoadedHost,
    before: GuestPlace | undefined,
    name: string,
    keep: () => void,
  ): Promise<void> {
    const last = this.#loaded;
    try {
      keep();
      this.#host.reload(next.config, await this.#careOf.choose(next.config));
      const failed = this.#waiting(name)?.error;
      if (failed !== undefined) throw failed;
      this.#loaded = next;
    } catch (error) {
      await this.#goBack(last, before, name);
      throw error;
    }
  }

  /** As far as can be: what fails of it does not keep the rest from being taken back. */
  async #goBack(last: LoadedHost, before: GuestPlace | undefined, name: string): Promise<void> {
    const { stateDirectory } = this.#started;
    const guests = last.config.guests.filter((guest) => guest.name === name);
    const steps = [
      () => {
        if (before === undefined) forgetAddedGuest(stateDirectory, name);
        else keepAddedGuest(stateDirectory, name, before.text);
      },
      async () => {
        const attached = this.#host.attached(last.config);
        await this.#prepare({ ...last.config, guests }, this.#log, { attached });
      },
      async () => this.#host.reload(last.config, await this.#careOf.choose(last.config)),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.#log.error({ guest: name, err: error }, 'a change could not be taken back');
      }
    }
  }

  #find(name: string): { readonly guest: GuestConfig; readonly place: GuestPlace } | undefined {
    const { config, places } = this.#loaded;
    const index = config.guests.findIndex((guest) => guest.name === name);
    const guest = config.guests[index];
    const place = places[index];
    return guest === undefined || place === undefined ? undefined : { guest, place };
  }

  #waiting(name: string) {
    return this.#host.waiting.find(({ config }) => config.name === name);
  }

  #waits(name: string): { waits?: string } {
    const waiting = this.#waiting(name);
    return waiting === undefined ? {} : { waits: waiting.reason };
  }

  #unknown(name: string): KagemushaError {
    const { config, places } = this.#loaded;
    const added = config.guests.filter((_, i) => places[i]?.added).map((guest) => guest.name);
    const known = added.join(', ') || 'none';
    return new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"; added to this host: ${known}`);
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(async () => {
      if (this.#closed) throw new KagemushaError('STOPPING', 'the daemon is about to end');
      return await change();
    });
    this.#busy = done.catch(() => undefined);
    return done;
  }
}

/** What the configuration file says is changed there. */
function refuseConfigured(name: string, place: GuestPlace): void {
  if (place.added) return;
  const mend = 'change it there and run kagemusha reload';
  throw new KagemushaError('GUEST_CONFIGURED', `guest "${name}" is in ${placeOf(place)}; ${mend}`);
}
