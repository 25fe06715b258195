import { pino } from 'pino';
import t, { type Test } from 'tap';
import { ArrivalWatch } from '../../src/daemon/arrival-watch.js';
import { wallClock } from '../../src/daemon/wall-clock.js';

function watch(t: Test): { watch: ArrivalWatch; said: object[] } {
  const said: object[] = [];
  const write = (line: string): void => void said.push(JSON.parse(line));
  const made = new ArrivalWatch(pino({ base: null }, { write }));
  t.teardown(() => made.stop());
  return { watch: made, said };
}

t.test('an arrival is told once, when the first packet has come', async (t) => {
  const { watch: arrival, said } = watch(t);
  t.equal(arrival.isSeen, false);
  arrival.delivered();
  const at = wallClock();
  arrival.stopped(at - 300);
  arrival.here(at);
  arrival.sent();
  arrival.answered();
  t.strictSame(said, [], 'not yet');
  arrival.delivered();
  t.match(said, [{ msg: 'arrived', arrival: { at, hypervisor: 300, blackout: Number } }]);
  arrival.forget();
  t.equal(said.length, 1);
  t.equal(arrival.report, undefined);
});

t.test('a guest that leaves before anybody spoke to it has arrived all the same', async (t) => {
  const { watch: arrival, said } = watch(t);
  arrival.here(wallClock());
  arrival.sent();
  arrival.forget();
  t.match(said, [{ msg: 'arrived', arrival: { trigger: Number } }]);
  t.equal(arrival.isSeen, false);
});
