import type { Address, NdpMessage } from '../wire/index.js';

/** RFC 3971 5.3.2; RFC 7527 4.1 puts it into the solicitations of DAD. */
const NONCE = { type: 14, length: 6 } as const;

/** A nonce by which a solicitation of DAD is known again when a loop of the link brings it back. @param random 0 <= r < 1 */
export function makeNonce(random: () => number): Uint8Array {
  return Uint8Array.from({ length: NONCE.length }, () => Math.floor(256 * random()));
}

/** The solicitation of duplicate address detection (RFC 4862 5.4.2), to be sent from `::` to the solicited-node group. */
export function probeOf(target: Address, nonce: Uint8Array): NdpMessage {
  return {
    kind: 'neighbor-solicitation',
    target,
    options: [{ kind: 'unknown', type: NONCE.type, data: nonce }],
  };
}

export function carriesNonce({ options }: NdpMessage, nonce: Uint8Array): boolean {
  return options.some(
    (option) =>
      option.kind === 'unknown' &&
      option.type === NONCE.type &&
      option.data.length === nonce.length &&
      option.data.every((octet, index) => octet === nonce[index]),
  );
}
