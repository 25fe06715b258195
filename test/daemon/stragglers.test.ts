import t, { type Test } from 'tap';
import { type SlotPool, Stragglers } from '../../src/daemon/stragglers.js';
import type { TunnelSpec } from '../../src/datapath/index.js';
import { parseAddress } from '../../src/wire/index.js';
import { SECOND_AGENT } from '../support/registration-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const SECOND_HOME = parseAddress('2001:db8:2000::11');
const THIRD_CARE_OF = parseAddress('2001:db8:5000::55');
const PORT = 3 as NonNullable<TunnelSpec['port']>;

const HERE = {
  side: 'mobile-node',
  local: CARE_OF,
  homeAddresses: [HOME_ADDRESS],
  port: PORT,
  mtu: 1360,
} as const;
const TUNNEL: TunnelSpec = { ...HERE, slot: 0, remote: HOME_AGENT };
const SECOND: TunnelSpec = {
  ...TUNNEL,
  slot: 1,
  remote: SECOND_AGENT,
  homeAddresses: [SECOND_HOME],
};

/** Time that passes when it is told to. */
class FakeTimers {
  #now = 0;
  readonly #waiting = new Map<object, { at: number; run: () => void }>();

  constructor(t: Test) {
    const setTimeout = (run: () => void, delay: number): object => {
      const timer = {};
      this.#waiting.set(timer, { at: this.#now + delay, run });
      return timer;
    };
    t.intercept(globalThis, 'setTimeout', { value: setTimeout });
    t.intercept(globalThis, 'clearTimeout', { value: (it: object) => this.#waiting.delete(it) });
  }

  get pending(): number {
    return this.#waiting.size;
  }

  pass(milliseconds: number): void {
    this.#now += milliseconds;
    for (const [timer, { at, run }] of [...this.#waiting]) {
      if (at <= this.#now && this.#waiting.delete(timer)) run();
    }
  }
}

/** The stragglers of a guest with so many blocks to spare, from 100 on. */
function stand(t: Test, spare = 1) {
  const timers = new FakeTimers(t);
  const free = Array.from({ length: spare }, (_, index) => 100 + index);
  const slots: SlotPool = {
    take: () => free.shift(),
    release: (slot) => void free.push(slot),
  };
  const seen = { changes: 0 };
  const stragglers = new Stragglers(slots, () => {
    seen.changes += 1;
  });
  const table = (tunnels: readonly TunnelSpec[] = [TUNNEL]) => stragglers.table(tunnels, HERE);
  return { timers, free, seen, stragglers, table };
}

t.test('a guest without stragglers has the tunnels that it has', async (t) => {
  const { table, stragglers, seen, timers } = stand(t);
  t.strictSame(table([TUNNEL, SECOND]), [TUNNEL, SECOND]);
  stragglers.letRunOut();
  stragglers.stop();
  t.strictSame([seen.changes, timers.pending], [0, 0]);
});

t.test('RFC 5568 3.2: what its tunnels bring goes on to its new place', async (t) => {
  const { stragglers, table, seen, free } = stand(t);
  const routes = { signaling: true, optimise: true, routes: [] };
  const tunnels = [{ ...TUNNEL, ...routes, mssClamp: true }, SECOND];
  stragglers.sendOnward(tunnels, OTHER_CARE_OF);
  t.equal(seen.changes, 1);
  t.strictSame(free, []);
  const [first, second, place, ...more] = table([]);
  t.strictSame(
    [first, second],
    tunnels.map((tunnel) => ({ ...tunnel, onward: true })),
    'also when they are closed',
  );
  t.strictSame(place, {
    side: 'home-agent',
    slot: 100,
    local: CARE_OF,
    remote: OTHER_CARE_OF,
    homeAddresses: [HOME_ADDRESS, SECOND_HOME],
    mtu: 1360,
  });
  t.strictSame(more, []);
});

t.test('the same place twice changes nothing, another one replaces it', async (t) => {
  const { stragglers, table, seen, free } = stand(t);
  stragglers.sendOnward([TUNNEL], OTHER_CARE_OF);
  stragglers.sendOnward([SECOND], OTHER_CARE_OF);
  t.equal(seen.changes, 1);
  t.equal(table()[0]?.slot, TUNNEL.slot);
  stragglers.sendOnward([], THIRD_CARE_OF);
  t.equal(table()[1]?.remote, OTHER_CARE_OF, 'whose tunnels are closed has nothing to send on');
  stragglers.sendOnward([TUNNEL], THIRD_CARE_OF);
  t.match(table()[1], { slot: 100, remote: THIRD_CARE_OF });
  t.strictSame(free, [], 'the block is the one that was given back');
});

t.test('no longer than a machine stands still, and shortly when it runs elsewhere', async (t) => {
  const { stragglers, table, timers, free, seen } = stand(t);
  stragglers.sendOnward([TUNNEL], OTHER_CARE_OF);
  timers.pass(119_999);
  t.equal(table().length, 2);
  timers.pass(1);
  t.strictSame(table(), [TUNNEL]);
  t.strictSame(free, [100]);

  stragglers.sendOnward([TUNNEL], OTHER_CARE_OF);
  stragglers.letRunOut();
  timers.pass(4_999);
  t.equal(table().length, 2);
  timers.pass(1);
  t.strictSame(table(), [TUNNEL]);
  t.strictSame([free, timers.pending, seen.changes], [[100], 0, 4]);
});

t.test('it comes back: what comes is for the guest here, at once', async (t) => {
  const { stragglers, table, timers, free } = stand(t);
  stragglers.sendOnward([TUNNEL], OTHER_CARE_OF);
  stragglers.endOnward();
  t.strictSame(table(), [TUNNEL]);
  t.strictSame([free, timers.pending], [[100], 0]);
  stragglers.letRunOut();
  t.equal(timers.pending, 0);
});

t.test('RFC 2473 3.3: what the old host sends on comes out here', async (t) => {
  const { stragglers, table, timers, free } = stand(t);
  const inbound = {
    ...HERE,
    slot: 100,
    remote: OTHER_CARE_OF,
    inbound: true,
  };
  stragglers.expectFrom(OTHER_CARE_OF);
  t.strictSame(table([]), [inbound], 'before there is another tunnel');
  t.strictSame(table(), [TUNNEL, inbound]);
  timers.pass(60_000);
  stragglers.expectFrom(OTHER_CARE_OF);
  t.strictSame(table(), [TUNNEL, inbound], 'told twice');
  timers.pass(119_999);
  t.equal(table().length, 2);
  timers.pass(1);
  t.strictSame(table(), [TUNNEL]);
  t.strictSame([free, timers.pending], [[100], 0]);
});

t.test('without a block left there are none', async (t) => {
  const { stragglers, table, timers, free, seen } = stand(t, 0);
  stragglers.sendOnward([TUNNEL], OTHER_CARE_OF);
  stragglers.expectFrom(OTHER_CARE_OF);
  t.strictSame(table(), [TUNNEL]);
  t.strictSame([free, timers.pending, seen.changes], [[], 0, 0]);
});

t.test(
  'who goes on before all have come sends them on, and keeps both blocks until it stops',
  async (t) => {
    const { stragglers, table, timers, free } = stand(t, 2);
    stragglers.expectFrom(OTHER_CARE_OF);
    stragglers.sendOnward([TUNNEL], THIRD_CARE_OF);
    t.strictSame(
      table().map(({ slot, remote }) => [slot, remote]),
      [
        [0, HOME_AGENT],
        [101, THIRD_CARE_OF],
      ],
    );
    t.strictSame(free, []);
    stragglers.stop();
    t.strictSame([free.sort(), timers.pending], [[100, 101], 0]);
    t.strictSame(table(), [TUNNEL]);
  },
);
