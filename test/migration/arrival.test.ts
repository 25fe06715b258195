import t from 'tap';
import { Arrival } from '../../src/migration/index.js';

t.test('from the first instant here to the first packet', async (t) => {
  const arrival = new Arrival();
  arrival.here(1000);
  t.equal(arrival.report, undefined, 'nothing has left yet');
  arrival.answered(1001);
  arrival.sent(1004.5);
  t.strictSame(arrival.report, { at: 1000, trigger: 4.5 }, 'no answer before a question');
  arrival.sent(2004);
  arrival.here(2005);
  arrival.answered(2010);
  const told = { at: 1000, trigger: 4.5, answer: 1005.5 };
  t.strictSame(arrival.report, told, 'from the first update on');
  arrival.delivered(2013);
  arrival.delivered(2100);
  t.equal(arrival.isHere, true);
  t.strictSame(arrival.report, { ...told, firstPacket: 3 });
});

t.test('what the host that it left told, and an update that left early', async (t) => {
  const arrival = new Arrival();
  arrival.stopped(500);
  arrival.sent(510);
  arrival.answered(900);
  arrival.delivered(950);
  t.equal(arrival.report, undefined, 'it is not here yet');
  arrival.here(1000);
  arrival.delivered(1002);
  t.strictSame(arrival.report, {
    at: 1000,
    hypervisor: 500,
    trigger: -490,
    answer: 390,
    firstPacket: 2,
    blackout: 502,
  });
});
