import t from 'tap';
import type { Signal } from '../../../src/signaling/index.js';
import { emitSignal } from '../../../src/signaling/index.js';
import { ofType } from '../../support/drain.js';
import { complaints, tshark } from '../../support/judges.js';
import { LINKTYPE } from '../../support/pcap.js';
import {
  CorrespondentHarness,
  OptimiserHarness,
} from '../../support/route-optimisation-harness.js';
import { HOME_ADDRESS, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

t.test('tshark finds nothing wrong with any message of route optimisation', (t) => {
  const node = OptimiserHarness.optimised();
  const sent = node.outputs.flatMap((output) => ('signal' in output ? [output.signal] : []));
  const correspondent = CorrespondentHarness.bound();
  const tokens = correspondent.tokens();
  correspondent.answers(correspondent.update(tokens));
  correspondent.handle({
    type: 'home-address-option',
    source: OTHER_CARE_OF,
    homeAddress: HOME_ADDRESS,
  });
  correspondent.pass(390_000);
  correspondent.handle({ type: 'correspondent', address: HOME_ADDRESS });
  correspondent.pass(20_000);
  const answered = ofType(correspondent.outputs, 'transmit-in-tunnel').map(({ signal }) => signal);
  const signals: Signal[] = [...sent, ...answered];
  const kinds = new Set(signals.map(({ message }) => message.kind));
  t.equal(kinds.size, 8, 'every message that RFC 6275 6.1 defines');
  const seen = tshark(LINKTYPE.raw, signals.map(emitSignal));
  seen.forEach((dissection, index) => {
    t.same(complaints(dissection), [], signals[index]?.message.kind ?? '');
  });
  t.ok(seen.some((dissection) => dissection.has('mip6.bad.auth')));
  t.end();
});
