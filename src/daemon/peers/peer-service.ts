import { X509Certificate } from 'node:crypto';
import { KagemushaError } from '../../errors.js';
import type { PeeringConfig } from '../config/schema.js';
import type { Route } from '../http-service.js';
import type { Logger } from '../log.js';
import { Retry } from '../retry.js';
import { createPeerServer, type PeerServer } from './peer-server.js';

/** Days before a certificate ends in which the log says so at start. */
const EXPIRY_WARNING = 14;

/** Serves peers as soon as it can, and never stands in the way of the tunnels. */
export class PeerService {
  readonly #config: PeeringConfig;
  readonly #routes: readonly Route[];
  readonly #log: Logger;
  readonly #retry = new Retry(1_000, 30_000);
  #server: Promise<PeerServer | undefined>;
  #told = false;

  constructor(config: PeeringConfig, routes: readonly Route[], log: Logger) {
    this.#config = config;
    this.#routes = routes;
    this.#log = log;
    const { validTo } = new X509Certificate(config.certificate);
    const days = (Date.parse(validTo) - Date.now()) / 86_400_000;
    if (days < EXPIRY_WARNING) {
      log.warn(
        `the certificate of host.peering ends ${validTo}; peers take no other, make a new one`,
      );
    }
    this.#server = this.#listen();
  }

  async close(): Promise<void> {
    this.#retry.stop();
    await (await this.#server)?.close();
  }

  async #listen(): Promise<PeerServer | undefined> {
    try {
      return await createPeerServer(this.#config, this.#routes, this.#log);
    } catch (error) {
      if (!this.#told) this.#tell(error);
      this.#told = true;
      this.#retry.later(() => {
        this.#server = this.#listen();
      });
      return undefined;
    }
  }

  #tell(error: unknown): void {
    if (error instanceof KagemushaError) this.#log.warn({ code: error.code }, error.message);
    else this.#log.error({ err: error }, 'peers are not served');
  }
}
