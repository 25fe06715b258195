import { Secret } from '../../crypto/secret.js';
import { KagemushaError } from '../../errors.js';
import type { Address } from '../../wire/address.js';
import { type KeyFile, type KeyLengths, readKeyFile } from './key-file.js';
import type { Path } from './locate.js';
import { readPrivate } from './private-file.js';
import type { AuthOptionConfig, EspConfig } from './types.js';

/** Something wrong at a place in the document. */
export interface Fault {
  readonly path: Path;
  readonly message: string;
}

export interface LoadOptions {
  /** `leave`: the keys stay unread and empty, for who only wants to know devices and addresses. */
  readonly keys?: 'read' | 'leave';
  /** The user id of the daemon, who must be able to read the key files; the user of this process when it is not told. */
  readonly user?: number | undefined;
  /** Where a running host keeps the guests that were added to it; the configuration's own when it is not told. */
  readonly stateDirectory?: string;
}

/** One security association and the table it stands in. */
export interface Association {
  readonly homeAddress: Address;
  readonly security: EspConfig | AuthOptionConfig;
  readonly path: Path;
  /** Of its key file. */
  readonly identity: string;
}

const UNREAD: Omit<KeyFile, 'identity'> = {
  encryption: new Secret(new Uint8Array(0)),
  authentication: new Secret(new Uint8Array(0)),
  keyId: '',
};

/** What comes together while a document turns into a configuration. */
export class Reading {
  readonly faults: Fault[] = [];
  readonly associations: Association[] = [];
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Whether the files that are named are looked at. */
  get reads(): boolean {
    return this.#options.keys !== 'leave';
  }

  /** A private key in PEM; empty when it cannot be used, which is a fault of the place that names it, or is not to be read. */
  privateKey(path: Path, file: string): string {
    return this.#private(path, '', (user) => readPrivate(file, user, 'see README, Peers').text);
  }

  /** The keys of a file; a file that cannot be used is a fault of the place that names it. */
  keys(path: Path, file: string, lengths: KeyLengths): KeyFile {
    const unread = { ...UNREAD, identity: file };
    return this.#private(path, unread, (user) => readKeyFile(file, lengths, user));
  }

  #private<Content>(path: Path, unread: Content, read: (user: number) => Content): Content {
    if (!this.reads) return unread;
    try {
      return read(this.#options.user ?? process.geteuid?.() ?? 0);
    } catch (error) {
      if (!(error instanceof KagemushaError)) throw error;
      this.faults.push({ path, message: error.message });
      return unread;
    }
  }
}
