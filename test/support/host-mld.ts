import type { Address } from '../../src/wire/index.js';
import { addressBytes, parseAddress } from '../../src/wire/index.js';
import type { Sent } from './link-frames.js';

/** RFC 3810 5.2: a host's version 2 report that it listens to a group from now on. */
export function mldReport(group: Address, source: Address): Sent {
  const body = new Uint8Array(4 + 20);
  body[3] = 1;
  body[4] = 4;
  body.set(addressBytes(group), 8);
  return {
    source,
    destination: parseAddress('ff02::16'),
    message: { kind: 'unknown', type: 143, code: 0, body },
    packet: {
      hopLimit: 1,
      extensions: [
        {
          kind: 'hop-by-hop',
          options: [
            { kind: 'router-alert', value: 0 },
            { kind: 'padN', data: new Uint8Array(0) },
          ],
        },
      ],
    },
  };
}
