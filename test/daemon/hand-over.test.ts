import { pino } from 'pino';
import t, { type Test } from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { type Asked, HandOver, type Portable } from '../../src/daemon/peers/hand-over.js';
import { readClaim, readOffer } from '../../src/daemon/peers/peer-messages.js';
import { peerRoutes } from '../../src/daemon/peers/peer-routes.js';
import { keepsGuest } from '../../src/daemon/peers/possession.js';
import { KagemushaError } from '../../src/errors.js';
import type { GuestState, VmState } from '../../src/migration/index.js';
import { type Address, parseAddress } from '../../src/wire/index.js';

const HOME = parseAddress('2001:db8:2000::10');
const HOME_AGENT = parseAddress('2001:db8:2000::1');

/** A guest on one host, as its hand-over sees it: what was done with it is a list of words. */
class FakeGuest implements Portable {
  readonly done: string[] = [];
  readonly careOfAddress: Address | undefined;
  since: number | undefined;
  sequence = 0;
  bound: boolean;

  constructor(careOf: string | undefined, since: number | undefined) {
    this.careOfAddress = careOf === undefined ? undefined : parseAddress(careOf);
    this.since = since;
    this.bound = since !== undefined && careOf !== undefined;
  }

  get isHeld(): boolean {
    return (
      this.since !== undefined || (this.done.includes('early') && !this.done.includes('release'))
    );
  }

  get state(): GuestState {
    const { careOfAddress } = this;
    const at = { homeAgent: HOME_AGENT, lifetime: 60, expiresAt: 1e12 };
    const bound =
      this.bound && careOfAddress !== undefined ? { bound: { ...at, careOfAddress } } : {};
    return { version: 1, homes: [{ homeAddress: HOME, sequence: this.sequence, ...bound }] };
  }

  take({ homes, stoppedAt }: GuestState): void {
    this.sequence = homes[0]?.sequence ?? -1;
    this.done.push(
      `take ${this.sequence}${stoppedAt === undefined ? '' : ` stopped ${stoppedAt}`}`,
    );
  }
  registerEarly(): boolean {
    this.sequence += 1;
    this.done.push('early');
    return true;
  }
  expectStragglers(from: Address): void {
    this.done.push(`from ${from}`);
  }
  sendStragglers(to: Address): void {
    this.done.push(`to ${to}`);
  }
  release(why?: string): void {
    this.since = undefined;
    this.done.push(why === undefined ? 'release' : `release: ${why}`);
  }
  reassert(): void {
    this.done.push('reassert');
  }
}

/** A host with one guest, `vm1`. */
class Host {
  readonly name: string;
  readonly guest: FakeGuest;
  machine: VmState | undefined;
  readonly said: string[] = [];
  readonly peers: Asked[] = [];
  readonly handOver: HandOver;
  /** Nobody answers there. */
  down = false;
  /** What was asked of it. */
  readonly asked: string[] = [];

  constructor(t: Test, name: string, guest: FakeGuest, machine: VmState | undefined) {
    this.name = name;
    this.guest = guest;
    this.machine = machine;
    const log = pino({ base: null }, { write: (line: string) => void this.said.push(line) });
    this.handOver = new HandOver(this.peers, {
      guest: (asked) => (asked === 'vm1' ? guest : undefined),
      machine: () => this.machine,
      release: (_, why) => guest.release(why),
      log,
    });
    t.teardown(() => this.handOver.stop());
  }

  /** The two name each other as peers; what is said travels as JSON by the routes of the peer API. */
  knows(other: Host): void {
    const routes = peerRoutes(other.handOver);
    const ask = async (path: string, body: unknown): Promise<unknown> => {
      await new Promise((resolve) => setImmediate(resolve));
      if (other.down) throw new KagemushaError('PEER_UNREACHABLE', `${other.name}: no answer`);
      const verb = path.split('/').at(-1) ?? '';
      other.asked.push(verb);
      const route = routes.find((one) => one.path.endsWith(`/${verb}`));
      if (route === undefined) throw new Error(path);
      const travelled: unknown = JSON.parse(JSON.stringify(body));
      const request = { parameters: { name: 'vm1' }, body: travelled, caller: this.name };
      const reply = await route.handle(request);
      return 'json' in reply ? JSON.parse(JSON.stringify(reply.json)) : undefined;
    };
    this.peers.push({ name: other.name, ask, close: () => {} });
  }

  does(...expected: string[]): Promise<true> {
    return until(`${this.name}: ${expected.join(', ')}`, () => {
      return JSON.stringify(this.guest.done) === JSON.stringify(expected) ? true : undefined;
    }).catch((cause: Error) => {
      throw new Error(`${cause.message}; it did ${this.guest.done.join(', ')}`);
    });
  }
}

const B = '2001:db8:3000::44';
const C = '2001:db8:4000::44';

/** The guest is on B; C awaits it. */
function pair(t: Test, at: typeof B | 'home' = B): { b: Host; c: Host } {
  const b = new Host(t, 'host-b', new FakeGuest(at === 'home' ? undefined : at, 1000), 'running');
  const c = new Host(t, 'host-c', new FakeGuest(C, undefined), 'awaited');
  b.guest.sequence = 7;
  b.knows(c);
  c.knows(b);
  return { b, c };
}

/** It runs on that host from now on, as QEMU and then the guest tell. */
function runs(host: Host, since: number): void {
  host.machine = 'running';
  host.guest.since = since;
  host.handOver.arrived('vm1');
}

/** It stands still, to go. */
function stops(host: Host, at?: number): void {
  host.machine = 'leaving';
  host.guest.since = undefined;
  host.handOver.leaving('vm1', at);
}

t.test('from one foreign network to another', async (t) => {
  const { b, c } = pair(t);
  b.handOver.departing('vm1');
  await until('a knock', () => (c.asked.includes('knock') ? true : undefined));
  stops(b, 2000);
  await c.does('take 7', 'take 7 stopped 2000', `from ${B}`);
  await b.does(`to ${C}`);
  b.guest.release();
  b.machine = 'gone';
  b.handOver.forget('vm1');
  runs(c, 3000);
  await until('its answer', () => (c.guest.done.length >= 3 ? true : undefined));
  await b.does(`to ${C}`, 'release');
  t.notMatch(c.guest.done.join(), /early|dispute|release/);
});

t.test('from home: registered early, and given back when the migration fails', async (t) => {
  const { b: home, c } = pair(t, 'home');
  stops(home);
  await c.does('take 7', 'early');
  await until('the answer', () => (/was handed over/.test(home.said.join()) ? true : undefined));
  home.machine = 'running';
  await home.handOver.returned('vm1');
  await c.does('take 7', 'early', 'release');
  await home.does(`to ${C}`, 'take 8');
  await home.handOver.returned('vm1');
  t.equal(c.asked.filter((verb) => verb === 'claim').length, 1, 'once');
});

t.test('it comes back before its next host has answered', async (t) => {
  const { b: home, c } = pair(t, 'home');
  stops(home);
  await home.handOver.returned('vm1');
  await c.does('take 7', 'early', 'release');
  await home.does('take 8');
});

t.test('the next host is down: nothing waits, one line says so, and it hears later', async (t) => {
  const { b, c } = pair(t);
  c.down = true;
  b.handOver.departing('vm1');
  stops(b, 2000);
  await until('a line', () => (b.said.length > 0 ? true : undefined));
  stops(b, 2000);
  await b.handOver.returned('vm1');
  t.equal(b.said.filter((line) => /no hand-over: host-c: no answer/.test(line)).length, 1);
  t.match(b.handOver.status, [{ name: 'host-c', reason: 'host-c: no answer' }]);
  t.strictSame(b.guest.done, []);

  runs(b, 5000);
  c.guest.since = 4000;
  await until('a claim in vain', () => b.handOver.status[0]?.reason);
  c.down = false;
  await until('a claim', () => (c.asked.includes('claim') ? true : undefined));
  t.match(c.guest.done, [`to ${B}`, 'release']);
  t.match(b.handOver.status, [{ name: 'host-c' }]);
});

t.test('it runs on two hosts: the later one keeps it, both say so', async (t) => {
  const { b, c } = pair(t);
  const lost = (host: Host): string | undefined =>
    host.guest.done.find((word) => word.startsWith('release: '));
  runs(c, 3000);
  t.match(await until('a loser', () => lost(b)), /and is on host-c, .*kagemusha adopt vm1/);
  await until('the winner', () => (/ran on host-b too/.test(c.said.join()) ? true : undefined));

  // The other way round: who claims is the earlier one.
  const again = pair(t);
  runs(again.c, 900);
  t.match(await until('a loser', () => lost(again.c)), /and is on host-b, which keeps it/);
  t.strictSame(again.b.guest.done, ['reassert'], 'what the other one registered is undone');
  t.equal(again.b.guest.since, 1000);

  // Nobody sees it run on the one that has it since later.
  const unseen = pair(t);
  unseen.b.machine = undefined;
  runs(unseen.c, 900);
  await unseen.b.does(`to ${C}`, 'release');
  t.notOk(lost(unseen.c));
});

t.test('who keeps it: clocks may differ', async (t) => {
  const ours = { since: 5000, now: 9000, runs: true };
  const later = { since: 105_500, now: 109_000, runs: true };
  t.equal(keepsGuest(ours, later, 9000), false, 'for 3.5 s, and we for 4 s');
  t.equal(keepsGuest(ours, { ...later, since: 104_500 }, 9000), true);
  t.equal(keepsGuest(ours, { ...later, since: 1e15 }, 9000), false, 'no later than now');
  t.equal(keepsGuest({ ...ours, since: 9001 }, { ...later, since: 1e15 }, 9000), true);
  t.equal(keepsGuest(ours, { ...later, since: 0 }, 9000), true, 'since nobody knows when');
  t.equal(keepsGuest({ ...ours, runs: false }, { ...later, since: 0 }, 9000), false);
});

t.test('offers that mean nothing', async (t) => {
  const { b, c } = pair(t);
  c.machine = 'running';
  c.guest.since = 500;
  stops(b, 2000);
  await until('an offer', () => (c.asked.includes('offer') ? true : undefined));
  t.strictSame(c.guest.done, []);
  t.throws(() => c.handOver.onOffer('vm2', 'host-b', b.guest.state), { code: 'GUEST_UNKNOWN' });
  t.strictSame(c.handOver.onClaim('vm2', 'host-b', { since: 1, now: Date.now(), runs: true }), {});

  t.throws(() => readOffer({ state: { version: 9 } }), { code: 'STATE_VERSION' });
  t.throws(() => readClaim({ since: -1, now: 0, runs: true }), { code: 'PEER_STRANGE' });
  t.throws(() => readClaim({ since: 1, now: 0, runs: true, careOfAddress: 'ff02::1' }), {
    code: 'PEER_STRANGE',
  });

  // Somebody who does not await it is no heir.
  const other = pair(t);
  other.c.machine = 'gone';
  stops(other.b, 2000);
  await until('an offer', () => (other.c.asked.includes('offer') ? true : undefined));
  t.strictSame(other.c.guest.done, []);
  t.strictSame(other.b.guest.done, []);
});
