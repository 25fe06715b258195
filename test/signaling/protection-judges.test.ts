import tap from 'tap';
import { parsePacket } from '../../src/wire/index.js';
import { keysFor, PAIRS, TSHARK_ESP, tsharkAssociation } from '../support/esp-keys.js';
import type { Dissection } from '../support/judges.js';
import { complaints, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import { espEnds, sent } from '../support/protected-pairs.js';
import { ACKNOWLEDGEMENT, UPDATE } from '../support/signals.js';

const CASES = PAIRS.map((algorithms, index) => {
  const spi = { toAgent: 1000 + 2 * index, toNode: 1001 + 2 * index };
  const ends = espEnds(algorithms, spi);
  const update = sent(ends.mobileNode.emit(UPDATE));
  const acknowledgement = sent(ends.homeAgent.emit(ACKNOWLEDGEMENT));
  return { algorithms, spi, update, acknowledgement, ends };
});
const PREFERENCES = [
  ...TSHARK_ESP,
  ...CASES.flatMap(({ algorithms, spi }) =>
    [spi.toAgent, spi.toNode].map((number) =>
      tsharkAssociation(number, algorithms, keysFor(algorithms)),
    ),
  ),
];

function check(
  t: Pick<typeof tap, 'same'>,
  seen: Dissection | undefined,
  fields: Record<string, string>,
) {
  if (seen === undefined) throw new Error('not seen');
  t.same(complaints(seen), [], 'no complaint');
  for (const [field, value] of Object.entries(fields)) t.same(seen.get(field), [value], field);
}

tap.test(
  'tshark decrypts and authenticates Binding Update and Acknowledgement of every pair',
  async (t) => {
    const packets = CASES.flatMap(({ update, acknowledgement }) => [update, acknowledgement]);
    const seen = tshark(LINKTYPE.raw, packets, PREFERENCES);
    t.equal(seen.length, 40);
    for (const [index, { algorithms, spi, update, acknowledgement, ends }] of CASES.entries()) {
      t.test(`${algorithms.encryption}, ${algorithms.authentication}`, async (t) => {
        check(t, seen[2 * index], {
          'esp.spi': `0x${spi.toAgent.toString(16).padStart(8, '0')}`,
          'esp.sequence': '1',
          'esp.icv_good': '1',
          'ipv6.opt.mipv6.home_address': '2001:db8:2000::10',
          'mip6.mhtype': '5',
          'mip6.bu.seqnr': '14885',
          'mip6.acoa.acoa': '2001:db8:3000::33',
          'mip6.csum': '0xa719',
        });
        check(t, seen[2 * index + 1], {
          'esp.spi': `0x${spi.toNode.toString(16).padStart(8, '0')}`,
          'esp.icv_good': '1',
          'ipv6.routing.mipv6.home_address': '2001:db8:2000::10',
          'mip6.mhtype': '6',
          'mip6.ba.seqnr': '14885',
          'mip6.ba.status': '0',
          'mip6.csum': '0xe726',
        });
        t.match(ends.homeAgent.read(parsePacket(update)), {
          kind: 'mobility',
          signal: { ...UPDATE, protection: 'esp' },
        });
        t.match(ends.mobileNode.read(parsePacket(acknowledgement)), {
          kind: 'mobility',
          signal: { ...ACKNOWLEDGEMENT, protection: 'esp' },
        });
      });
    }
  },
);

tap.test('the judge does judge: a flipped bit makes a bad ICV', async (t) => {
  const [first] = CASES;
  if (first === undefined) throw new Error('no case');
  const forged = Uint8Array.from(first.update);
  forged[forged.length - 20] = (forged[forged.length - 20] ?? 0) ^ 1;
  const [seen] = tshark(LINKTYPE.raw, [forged], PREFERENCES);
  t.same(seen?.get('esp.icv_good'), ['0']);
});
