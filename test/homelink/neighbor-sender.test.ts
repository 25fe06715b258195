import t from 'tap';
import { NeighborSender } from '../../src/homelink/neighbor-sender.js';
import { parseAddress, parseMac } from '../../src/wire/index.js';

const NEIGHBOR = parseAddress('2001:db8:2000::10');
const MAC = parseMac('02:00:00:00:00:10');
const packet = (n: number) => Uint8Array.of(n);

function sender() {
  const log: string[] = [];
  const link = {
    solicit: (address: string) => log.push(`ask ${address}`),
    deliver: (mac: string, bytes: Uint8Array) => log.push(`${mac} gets ${bytes[0]}`),
  };
  return { log, sender: new NeighborSender(link) };
}

t.test(
  'RFC 4861 7.2.2: packets wait for the link-layer address, the last few of them',
  async (t) => {
    const { log, sender: s } = sender();
    for (let n = 1; n <= 6; n += 1) t.ok(s.send(0, NEIGHBOR, packet(n)));
    t.equal(s.wakeAt(), 0);
    s.advance(0);
    t.strictSame(log.splice(0), [`ask ${NEIGHBOR}`]);
    t.ok(s.advertised(NEIGHBOR, MAC));
    t.strictSame(
      log.splice(0),
      [3, 4, 5, 6].map((n) => `${MAC} gets ${n}`),
    );
    t.notOk(s.advertised(NEIGHBOR, MAC), 'it is not sought any more');
    t.equal(s.wakeAt(), undefined);
  },
);

t.test('RFC 4861 7.2.2: three solicitations, a second apart, and it is given up', async (t) => {
  const { log, sender: s } = sender();
  s.send(0, NEIGHBOR, packet(1));
  const lost = [0, 999, 1000, 2000, 2999].map((now) => s.advance(now));
  t.strictSame(lost, [0, 0, 0, 0, 0]);
  t.equal(log.length, 3);
  t.equal(s.wakeAt(), 3000);
  t.equal(s.advance(3000), 1);
  t.equal(s.wakeAt(), undefined);
  t.notOk(s.advertised(NEIGHBOR, MAC));
});

t.test('neighbours that do not answer take a bounded place', async (t) => {
  const { sender: s } = sender();
  const taken = Array.from({ length: 300 }, (_, n) =>
    s.send(0, parseAddress(`2001:db8:2000::${n.toString(16)}`), packet(n)),
  );
  t.equal(taken.filter(Boolean).length, 256);
  t.ok(s.send(0, parseAddress('2001:db8:2000::1'), packet(1)), 'one that is sought already');
});
