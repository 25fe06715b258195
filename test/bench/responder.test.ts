import t from 'tap';
import { answerUpdate } from '../../bench/path/responder.js';
import { emitSignal, readSignal } from '../../src/signaling/index.js';
import {
  ETHERTYPE_IPV6,
  emitEthernet,
  parseAddress,
  parseEthernet,
  parseMac,
  parsePacket,
} from '../../src/wire/index.js';
import { UPDATE } from '../support/signals.js';
import { HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const HOST = parseMac('52:54:00:00:00:01');
const ROUTER = parseMac('52:54:00:00:00:02');

function frame(payload: Uint8Array, etherType: number = ETHERTYPE_IPV6): Uint8Array {
  return emitEthernet({ destination: ROUTER, source: HOST, etherType, payload });
}

t.test('a Binding Update is acknowledged to where it came from', async (t) => {
  const answer = answerUpdate(frame(emitSignal(UPDATE)), HOME_AGENT);
  const ethernet = parseEthernet(answer ?? new Uint8Array());
  t.same([ethernet.destination, ethernet.source], [HOST, ROUTER]);
  t.match(readSignal(parsePacket(ethernet.payload)), {
    source: HOME_AGENT,
    destination: UPDATE.source,
    routingHeader: HOME_ADDRESS,
    message: {
      kind: 'binding-acknowledgement',
      status: 0,
      sequence: UPDATE.message.sequence,
      lifetime: UPDATE.message.lifetime,
    },
  });
});

t.test('nothing else is answered', async (t) => {
  const { homeAddressOption, ...straight } = UPDATE;
  const message = { ...UPDATE.message, acknowledge: false };
  const update = emitSignal(UPDATE);
  const changed = update.map((octet, index) => (index === update.length - 1 ? octet ^ 1 : octet));
  for (const [what, bytes] of [
    ['no answer is asked for', frame(emitSignal({ ...UPDATE, message }))],
    ['no Home Address option', frame(emitSignal(straight))],
    ['a wrong checksum', frame(changed)],
    ['cut short', frame(update.subarray(0, 50))],
    ['another protocol', frame(update, 0x0800)],
  ] as const) {
    t.equal(answerUpdate(bytes, HOME_AGENT), undefined, what);
  }
  const another = parseAddress('2001:db8:2000::99');
  t.equal(answerUpdate(frame(update), another), undefined, 'for somebody else');
});
