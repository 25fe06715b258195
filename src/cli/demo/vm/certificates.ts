import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of one's own, made by openssl, for peers' certificates. */
export class Authority {
  readonly certificate: string;
  readonly #key: string;
  readonly #directory: string;
  readonly #name: string;

  /** @param directory where its files go */
  constructor(directory: string, name = 'authority') {
    this.#directory = directory;
    this.#name = name;
    this.certificate = join(directory, `${name}.crt`);
    this.#key = join(directory, `${name}.key`);
    const subject = ['-subj', `/CN=${name}`, '-days', '2'];
    openssl('req', '-x509', ...NEW_KEY, ...subject, '-keyout', this.#key, '-out', this.certificate);
  }

  /** A certificate for a host of this name. */
  issue(name: string): Certificate {
    const path = (end: string): string => join(this.#directory, `${this.#name}-${name}.${end}`);
    const [certificate, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map(path) as [
      string,
      string,
      string,
      string,
    ];
    openssl('req', '-new', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', key, '-out', request);
    writeFileSync(extensions, `subjectAltName=DNS:${name}\n`);
    const by = ['-CA', this.certificate, '-CAkey', this.#key, '-CAcreateserial', '-days', '2'];
    const files = ['-in', request, '-extfile', extensions, '-out', certificate];
    openssl('x509', '-req', ...by, ...files);
    chmodSync(key, 0o600);
    return { certificate, key };
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

function openssl(...argv: readonly string[]): void {
  execFileSync('openssl', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export const pem = (path: string): string => readFileSync(path, 'utf8');
