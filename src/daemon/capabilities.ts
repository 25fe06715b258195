import { readFileSync } from 'node:fs';

/** The rights of this process that matter here (capabilities(7)). */
export interface Capabilities {
  /** Devices, routes and sysctls of the network namespace. */
  readonly netAdmin: boolean;
  /** Raw and packet sockets. */
  readonly netRaw: boolean;
}

const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/** The capabilities in a /proc/PID/status, which root in a user namespace has too. */
export function parseCapabilities(status: string): Capabilities {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (bit: bigint): boolean => ((mask >> bit) & 1n) === 1n;
  return { netAdmin: has(CAP_NET_ADMIN), netRaw: has(CAP_NET_RAW) };
}

/** The effective capabilities of this process. */
export function readCapabilities(): Capabilities {
  return parseCapabilities(readFileSync('/proc/self/status', 'utf8'));
}
