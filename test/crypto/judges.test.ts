import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ENCRYPTIONS, InboundAssociation, OutboundAssociation } from '../../src/crypto/index.js';
import { emitMobility, PROTOCOL } from '../../src/wire/index.js';
import { counterFrom, keysFor, PAIRS } from '../support/esp-keys.js';
import { scapy } from '../support/judges.js';
import { UPDATE } from '../support/signals.js';
import { HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const HEADER = emitMobility(UPDATE.message, { source: HOME_ADDRESS, destination: HOME_AGENT });
const SEQUENCE = 7;

interface Judgement {
  readonly sealed: string;
  readonly opened: string;
}

t.test('scapy and we: the same octets, and each opens the other’s', async (t) => {
  const cases = PAIRS.map((algorithms, index) => {
    const spi = 256 + index;
    const keys = keysFor(algorithms, index);
    const { ivLength } = ENCRYPTIONS[algorithms.encryption];
    const iv = Uint8Array.from({ length: ivLength }, (_, at) => (index * 16 + at) & 0xff);
    const outbound = new OutboundAssociation({
      spi,
      algorithms,
      keys,
      counter: counterFrom(SEQUENCE),
      randomBytes: () => iv,
    });
    const inbound = new InboundAssociation({ spi, algorithms, keys, window: undefined });
    const ours = outbound.seal(PROTOCOL.mobility, HEADER);
    if (typeof ours === 'string') throw new Error(ours);
    return { algorithms, spi, keys, iv, ours, inbound };
  });
  const judgements = scapy(
    fileURLToPath(new URL('scapy-esp.py', import.meta.url)),
    cases.map(({ algorithms, spi, keys, iv, ours }) => ({
      ...algorithms,
      encryptionKey: toHex(keys.encryption.reveal()),
      authenticationKey: toHex(keys.authentication.reveal()),
      spi,
      sequence: SEQUENCE,
      iv: toHex(iv),
      ours: toHex(ours),
    })),
  ) as Judgement[];
  t.equal(judgements.length, 20);
  for (const [index, { algorithms, ours, inbound }] of cases.entries()) {
    const name = `${algorithms.encryption}, ${algorithms.authentication}`;
    const { sealed = '', opened = '' } = judgements[index] ?? {};
    t.equal(toHex(ours), sealed, `${name}: sealed as scapy does`);
    t.equal(opened, toHex(HEADER), `${name}: scapy opens ours`);
    const theirs = inbound.open(Buffer.from(sealed, 'hex'));
    t.equal(typeof theirs === 'string' ? theirs : toHex(theirs.payload), toHex(HEADER), name);
  }
});
