import { Authority } from './certificates.js';

/** A host that hands guests over, by the name in its certificate. */
export interface PeerHost {
  readonly name: string;
  readonly address: string;
}

const PORT = 7626;

/** The peers of a testbed, and an authority for their certificates. */
export class Peers {
  readonly #authority: Authority;
  readonly #hosts: readonly PeerHost[];

  /** @param directory where the files of the authority go */
  constructor(directory: string, hosts: readonly PeerHost[]) {
    this.#authority = new Authority(directory);
    this.#hosts = hosts;
  }

  /** The tables of a host's configuration. @param by another authority than that of its peers */
  tables(name: string, by = this.#authority): string {
    const own = this.#hosts.find((host) => host.name === name);
    const { certificate, key } = by.issue(name);
    const others = this.#hosts.filter((host) => host !== own);
    return [
      '[host.peering]',
      `listen = "[${own?.address}]:${PORT}"`,
      `certificate = "${certificate}"`,
      `key_file = "${key}"`,
      `authority = "${this.#authority.certificate}"`,
      ...others.flatMap((peer) => [
        '[[host.peer]]',
        `name = "${peer.name}"`,
        `address = "[${peer.address}]:${PORT}"`,
      ]),
      '',
    ].join('\n');
  }
}
