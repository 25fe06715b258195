import t from 'tap';
import { PathMtu } from '../../src/tunnel/index.js';
import { PathSimulation } from '../support/path-simulation.js';
import { seededRandom } from '../support/random.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function opened(...of: ConstructorParameters<typeof PathSimulation>): PathSimulation {
  const simulation = new PathSimulation(...of);
  simulation.send({ type: 'open' });
  return simulation;
}

const sizes = ({ probes }: PathSimulation) => probes.map(({ size }) => size);
const mtus = ({ estimates }: PathSimulation) => estimates.map(({ mtu }) => mtu);

t.test(
  'a path that takes what the link takes: proved in one round trip, the estimate never moves',
  (t) => {
    const path = opened({ forward: 1500, roundTrip: 20 });
    t.equal(path.machine.mtu, 1500);
    t.equal(path.machine.state, 'searching');
    t.equal(
      path.until(() => path.machine.state === 'confirmed'),
      20,
    );
    path.run(HOUR);
    t.same(path.estimates, []);
    t.end();
  },
);

t.test(
  'RFC 4821 7.3: the sizes that are met often are asked about at once, the largest first',
  (t) => {
    const path = opened({});
    t.same(sizes(path), [1500, 1492, 1480, 1460, 1420, 1400, 1320, 1280]);
    const limited = opened({}, { linkMtu: 9216, overhead: 48 });
    t.same(sizes(limited), [9216, 9000, 8896, 1500, 1492, 1480, 1460, 1420, 1400, 1328, 1280]);
    t.same(sizes(opened({}, { linkMtu: 1280 })), [1280]);
    t.end();
  },
);

t.test('RFC 8899 4.3: a black hole is noticed in the second round, well under a second', (t) => {
  for (const roundTrip of [1, 20, 50]) {
    for (const forward of [1280, 1281, 1320, 1399, 1400, 1437, 1499]) {
      const path = opened({ forward, roundTrip });
      const took = path.until(() => path.machine.mtu <= forward);
      t.ok(took < 550, `${forward} octets after ${took} ms`);
      path.until(() => path.machine.state === 'confirmed');
      t.ok(path.machine.mtu > forward - 8 && path.machine.mtu <= forward, `${path.machine.mtu}`);
      t.ok(path.now < 2500, `settled after ${path.now} ms`);
      path.run(HOUR);
      t.ok(path.machine.mtu > forward - 8 && path.machine.mtu <= forward, `${path.machine.mtu}`);
    }
  }
  t.end();
});

t.test(
  'RFC 8201 4: a Packet Too Big lowers the estimate at once, and its size is asked about',
  (t) => {
    const path = opened({ forward: 1403, tooBig: true });
    path.until(() => path.machine.state === 'confirmed');
    t.same(path.estimates, [{ at: path.estimates[0]?.at, mtu: 1403, reason: 'packet-too-big' }]);
    t.ok(path.now <= 31, `two round trips: ${path.now}`);
    path.run(HOUR);
    t.same(mtus(path), [1403]);
    t.end();
  },
);

t.test('RFC 8201 4: less than 1280 is discarded', (t) => {
  const path = opened({}).run(1000);
  for (const mtu of [0, 68, 1279]) path.send({ type: 'too-big', mtu });
  t.equal(path.machine.mtu, 1500);
  t.equal(path.machine.state, 'confirmed');
  t.same(Object.fromEntries(path.machine.drops), { too_big_below_minimum: 3 });
  t.end();
});

t.test(
  'RFC 8201 4: a Packet Too Big never raises the estimate, and the same one again changes nothing',
  (t) => {
    const path = opened({ forward: 1400, tooBig: true }).run(5000);
    const count = path.probes.length;
    const before = path.machine.drops.get('too_big_not_smaller') ?? 0;
    for (const mtu of [1400, 1401, 1500, 9000]) path.send({ type: 'too-big', mtu });
    t.equal(path.machine.mtu, 1400);
    t.equal(path.machine.state, 'confirmed');
    t.equal(path.machine.drops.get('too_big_not_smaller'), before + 4);
    t.equal(path.probes.length, count);
    t.end();
  },
);

t.test('RFC 8899 4.6.2: a Packet Too Big in the middle of a search is its upper end', (t) => {
  const path = opened({ forward: 5000 }, { linkMtu: 9000 });
  path.until(() => path.machine.mtu <= 5000);
  t.equal(path.machine.state, 'searching');
  path.send({ type: 'too-big', mtu: 5000 });
  path.until(() => path.machine.mtu === 5000);
  t.equal(path.machine.state, 'confirmed');
  t.equal(path.machine.mtu, 5000);
  t.end();
});

t.test('a Packet Too Big below what had just been answered: the path is another one', (t) => {
  const path = opened({ forward: 5000 }, { linkMtu: 9000 });
  path.until(() => path.machine.mtu <= 5000);
  path.path.forward = 1400;
  path.send({ type: 'too-big', mtu: 1400 });
  t.equal(path.machine.mtu, 1400);
  path.until(() => path.machine.state === 'confirmed');
  t.equal(path.machine.mtu, 1400);
  t.end();
});

t.test('a Packet Too Big that is still too large: the search goes on below it', (t) => {
  const path = opened({ forward: 1350 }).run(1);
  path.send({ type: 'too-big', mtu: 1450 });
  path.until(() => path.machine.state === 'confirmed');
  t.ok(path.machine.mtu > 1342 && path.machine.mtu <= 1350, `${path.machine.mtu}`);
  t.end();
});

t.test('RFC 8201 4: ten minutes after a Packet Too Big larger packets are tried again', (t) => {
  const path = opened({ forward: 1400, tooBig: true }).run(5000);
  path.path.forward = 1500;
  path.run(9 * MINUTE);
  t.equal(path.machine.mtu, 1400);
  path.run(2 * MINUTE + 5000);
  t.equal(path.machine.mtu, 1500);
  t.same(path.estimates.at(-1)?.reason, 'probe');
  t.end();
});

t.test(
  'RFC 8201 4: without probes, or with a peer that never answers, the estimate ages out',
  (t) => {
    for (const probing of [false, true]) {
      const path = opened({ forward: 1400, tooBig: true, answers: false }, { probing }).run(5000);
      t.equal(path.machine.mtu, 1400);
      path.path.forward = 1500;
      path.run(9 * MINUTE);
      t.equal(path.machine.mtu, 1400);
      path.run(2 * MINUTE + 5000);
      t.equal(path.machine.mtu, 1500);
      t.equal(path.estimates.at(-1)?.reason, 'aged-out');
      t.equal(path.machine.state, 'unconfirmed');
      if (!probing) t.same(path.probes, []);
    }
    t.end();
  },
);

t.test('RFC 8899 5.2: what probes had lowered is raised by probes', (t) => {
  const path = opened({ forward: 1400 }).run(5000);
  path.path.forward = 1500;
  path.run(12 * MINUTE);
  t.equal(path.machine.mtu, 1500);
  t.end();
});

t.test('RFC 8899 5.2: where nothing has changed, an attempt to raise costs a few probes', (t) => {
  for (const tooBig of [true, false]) {
    const path = opened({ forward: 1400, tooBig }).run(5 * MINUTE);
    path.idle = true;
    path.run(MINUTE);
    const before = path.probes.length;
    path.run(HOUR);
    t.same(mtus(path), [1400]);
    const count = path.probes.length - before;
    t.ok(count >= 5 && count <= 6 * 16, `${count} in an hour`);
  }
  t.end();
});

t.test('RFC 8899 5.1.1: with traffic the size is verified every 10 s, without it is not', (t) => {
  const path = opened({}).run(5000);
  const before = path.probes.length;
  path.run(10 * MINUTE);
  const count = path.probes.length - before;
  t.ok(count >= 2 * 51 && count <= 2 * 60, `${count}`);
  t.same(new Set(sizes(path).slice(before)), new Set([1500, 1280]));
  path.idle = true;
  path.run(MINUTE);
  const idle = path.probes.length;
  path.run(HOUR);
  t.equal(path.probes.length, idle);
  t.equal(path.machine.wakeAt(), undefined);
  t.end();
});

t.test(
  'RFC 8899 4.3: a path that becomes a black hole is noticed by the next verification',
  (t) => {
    const path = opened({}).run(5000);
    path.path.forward = 1410;
    const took = path.until(() => path.machine.mtu <= 1410);
    t.ok(took < 15_000, `${took}`);
    path.until(() => path.machine.state === 'confirmed');
    t.ok(path.machine.mtu > 1402, `${path.machine.mtu}`);
    t.end();
  },
);

t.test('loss is no black hole: three misses in three rounds, while others are answered', (t) => {
  const path = opened({}).run(29_000);
  for (let minute = 0; minute < 600; minute += 1) {
    // All that is sent for 1.2 s is lost, and before and after that one in twenty.
    path.path.loss = 1;
    path.run(1200);
    path.path.loss = 0.02;
    path.run(MINUTE - 1200);
  }
  t.same(path.estimates, []);
  t.end();
});

t.test(
  'RFC 4821 7.6.4: where a third of all packets is lost, three misses are too few to believe',
  (t) => {
    let low = 0;
    for (let seed = 0; seed < 6; seed += 1) {
      const path = opened({ forward: 1500, loss: 0.3 }, {}, seed);
      for (let second = 0; second < 3600; second += 1) {
        path.run(1000);
        if (path.machine.mtu < 1500) low += 1;
      }
    }
    t.ok(low < 6 * 360, `too small for ${low} of ${6 * 3600} s`);
    t.end();
  },
);

t.test('a path that is down says nothing about sizes', (t) => {
  const path = opened({ forward: 1400 }).run(10_000);
  t.equal(path.machine.mtu, 1400);
  path.path.loss = 1;
  path.run(5 * MINUTE);
  t.equal(path.machine.state, 'unconfirmed');
  t.equal(path.machine.mtu, 1400);
  path.run(HOUR);
  t.equal(path.machine.mtu, 1400, 'what probes lowered stays low without an answer');
  path.path.loss = 0;
  path.run(22 * MINUTE);
  t.equal(path.machine.state, 'confirmed');
  t.equal(path.machine.mtu, 1400);
  t.end();
});

t.test(
  'a peer that never answers: the estimate stays, and it is asked less and less often',
  (t) => {
    const path = opened({ forward: 1400, answers: false }).run(3000);
    t.equal(path.machine.state, 'unconfirmed');
    t.equal(path.machine.mtu, 1500);
    path.run(24 * HOUR);
    t.same(path.estimates, []);
    t.ok(path.probes.length < 24 * 6 * 3 * 4, `${path.probes.length} in a day`);
    path.path.answers = true;
    path.run(12 * MINUTE);
    t.equal(path.machine.mtu, 1400);
    t.equal(path.machine.state, 'confirmed');
    t.end();
  },
);

t.test('a peer that answers once a second does not look like a black hole', (t) => {
  const whole = opened({ forward: 1500, answersPerSecond: 1 }).run(HOUR);
  t.same(whole.estimates, []);
  t.equal(whole.machine.state, 'confirmed');
  const path = opened({ forward: 1437, answersPerSecond: 1 }).run(MINUTE);
  t.ok(path.machine.mtu > 1429 && path.machine.mtu <= 1437, `${path.machine.mtu}`);
  t.end();
});

t.test('answers count however late they come', (t) => {
  for (const roundTrip of [300, 700, 1600, 4000]) {
    const path = opened({ forward: 1400, roundTrip });
    const took = path.until(() => path.machine.mtu <= 1400);
    t.ok(took < 400 + 12 * roundTrip, `${roundTrip}: ${took}`);
    path.run(MINUTE);
    t.equal(path.machine.mtu, 1400);
    t.equal(path.machine.state, 'confirmed');
    const clean = opened({ roundTrip }).run(HOUR);
    t.same(clean.estimates, [], 'and never look like losses');
    t.equal(clean.machine.state, 'confirmed');
  }
  t.end();
});

t.test('a round trip that becomes long does not look like a black hole', (t) => {
  const path = opened({ roundTrip: 5 }).run(MINUTE);
  for (const roundTrip of [900, 5, 3000, 5, 250]) {
    path.path.roundTrip = roundTrip;
    path.run(3 * MINUTE);
  }
  t.same(path.estimates, []);
  t.end();
});

t.test('an answer to what was asked before a Packet Too Big does not raise the estimate', (t) => {
  const path = opened({ roundTrip: 100 }).run(60);
  path.path.forward = 1400;
  path.send({ type: 'too-big', mtu: 1400 });
  path.run(1500);
  t.equal(path.machine.mtu, 1400);
  t.same(mtus(path), [1400]);
  t.ok((path.machine.drops.get('probe_unknown') ?? 0) > 0);
  t.end();
});

t.test('nor does an answer from before a Packet Too Big prove that its size passes', (t) => {
  const machine = new PathMtu({
    linkMtu: 1500,
    overhead: 40,
    probing: true,
    random: seededRandom(3),
  });
  const tokens = (): Map<number, number> => {
    const sent = new Map<number, number>();
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      if (output.type === 'probe') sent.set(output.size, output.token);
    }
    return sent;
  };
  machine.handle(0, { type: 'open' });
  const before = tokens();
  machine.handle(20, { type: 'answer', token: before.get(1500) ?? -1 });
  t.equal(machine.state, 'confirmed');
  machine.handle(30, { type: 'too-big', mtu: 1400 });
  const after = tokens();
  t.same([...after.keys()], [1400, 1280]);
  machine.handle(40, { type: 'answer', token: before.get(1400) ?? -1 });
  t.equal(machine.state, 'searching');
  machine.handle(50, { type: 'answer', token: after.get(1400) ?? -1 });
  t.equal(machine.state, 'confirmed');
  t.equal(machine.mtu, 1400);
  t.end();
});

t.test('the way back takes less than the way there: both count, since the echo is as long', (t) => {
  const path = opened({ forward: 1500, backward: 1400 }).run(5000);
  t.equal(path.machine.mtu, 1400);
  t.end();
});

t.test(
  'a path that flaps: lower at once with Packet Too Big, never above the lower one for more than a moment',
  (t) => {
    const path = opened({ tooBig: true }).run(1000);
    let wrong = 0;
    for (let flap = 0; flap < 100; flap += 1) {
      path.path.forward = flap % 2 === 0 ? 1400 : 1500;
      for (let second = 0; second < 20; second += 1) {
        path.run(1000);
        if (path.machine.mtu > path.path.forward) wrong += 1;
      }
    }
    t.ok(wrong <= 60, `${wrong} of 2000 s`);
    t.ok(path.probes.length < 2000 * 2, `${path.probes.length} probes`);
    t.end();
  },
);

t.test('a forged Packet Too Big is refuted by a probe of the former size', (t) => {
  const path = opened({}).run(5000);
  path.send({ type: 'too-big', mtu: 1280 });
  t.equal(path.machine.mtu, 1280);
  const took = path.until(() => path.machine.mtu === 1500);
  t.ok(took >= 2000 && took < 2600, `${took}`);
  t.equal(path.machine.state, 'confirmed');
  t.equal(path.machine.drops.get('too_big_refuted'), 1);
  t.end();
});

t.test('a refutation that is lost is tried again', (t) => {
  const path = opened({}).run(5000);
  path.send({ type: 'too-big', mtu: 1280 });
  path.run(1900);
  path.path.loss = 1;
  path.run(650);
  path.path.loss = 0;
  path.run(1000);
  t.equal(path.machine.mtu, 1500);
  t.end();
});

t.test(
  'a storm of forged Packet Too Big: 1280 at the least, few probes, and after it the former size',
  (t) => {
    const path = opened({}, { linkMtu: 9000 }).run(1000);
    path.path.forward = 9000;
    path.send({ type: 'open' });
    path.run(5000);
    t.equal(path.machine.mtu, 9000);
    const before = path.probes.length;
    for (let mtu = 8999; mtu > 1000; mtu -= 1) {
      path.run(0.25);
      path.send({ type: 'too-big', mtu });
      t.ok(path.machine.mtu >= 1280);
    }
    t.ok(path.probes.length - before < 120, `${path.probes.length - before} probes in 2 s`);
    path.run(4000);
    t.equal(path.machine.mtu, 9000);
    t.equal(path.machine.state, 'confirmed');
    t.end();
  },
);

t.test('paths of two MTUs side by side: each refutation makes the next one come later', (t) => {
  const path = opened({}).run(5000);
  let refuted = 0;
  for (let second = 0; second < 540; second += 1) {
    // A flow whose packets go another way than the probes.
    if (path.machine.mtu > 1400) path.send({ type: 'too-big', mtu: 1400 });
    path.run(1000);
    refuted = path.machine.drops.get('too_big_refuted') ?? 0;
  }
  t.ok(refuted >= 5 && refuted <= 9, `${refuted} in nine minutes`);
  t.end();
});

t.test('another care-of address: all begins anew', (t) => {
  const path = opened({ forward: 1400 }).run(5000);
  t.equal(path.machine.mtu, 1400);
  path.path.forward = 1500;
  path.send({ type: 'open' });
  t.equal(path.machine.mtu, 1500);
  t.equal(path.estimates.at(-1)?.reason, 'link');
  path.run(1000);
  t.equal(path.machine.state, 'confirmed');
  path.run(HOUR);
  t.equal(path.machine.mtu, 1500);
  t.end();
});

t.test('a closed tunnel is asked about nothing', (t) => {
  const path = opened({ forward: 1400 }).run(5000);
  path.send({ type: 'close' });
  const before = path.probes.length;
  path.send({ type: 'too-big', mtu: 1300 });
  path.run(HOUR);
  t.equal(path.probes.length, before);
  t.equal(path.machine.wakeAt(), undefined);
  t.equal(path.machine.state, 'unconfirmed');
  path.send({ type: 'open' });
  t.equal(path.machine.mtu, 1500);
  t.end();
});

t.test('an answer to no probe of ours is counted, and changes nothing', (t) => {
  const path = opened({ forward: 1400, answers: false }).run(10);
  const random = seededRandom(9);
  for (let i = 0; i < 1000; i += 1) {
    path.send({ type: 'answer', token: Math.floor(random() * 2 ** 32) });
  }
  t.equal(path.machine.drops.get('probe_unknown'), 1000);
  t.equal(path.machine.state, 'searching');
  t.end();
});

t.test('hundreds of tunnels opened at one instant do not ask again at one instant', (t) => {
  const again: number[] = [];
  for (let tunnel = 0; tunnel < 300; tunnel += 1) {
    const path = opened({ answers: false }, {}, tunnel).run(300);
    const second = path.probes.find(({ at }) => at > 0);
    if (second !== undefined) again.push(Math.floor(second.at / 10));
  }
  t.equal(again.length, 300);
  const crowd = Math.max(...again.map((at) => again.filter((other) => other === at).length));
  t.ok(crowd < 110, `${crowd} in 10 ms`);
  t.end();
});
