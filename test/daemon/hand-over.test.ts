import { pino } from 'pino';
import t, { type Test } from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { type Asked, HandOver, type Portable } from '../../src/daemon/peers/hand-over.js';
import { peerRoutes } from '../../src/daemon/peers/peer-routes.js';
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
  registerEarly(): void {
    this.sequence += 1;
    this.done.push('early');
  }
  expectStragglers(from: Address): void {
    this.done.push(`from ${from}`);
  }
  sendStragglers(to: Address): void {
    this.done.push(`to ${to}`);
  }
  release(): void {
    this.since = undefined;
    this.done.push('release');
  }
  reassert(): void {
    this.done.push('reassert');
  }
  dispute(conflict: string | undefined): void {
    this.done.push(`dispute ${conflict}`);
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
  host.handOver.arrived('vm1', since);
}

t.test('from one foreign network to another', async (t) => {
  const { b, c } = pair(t);
  b.handOver.departing('vm1');
  await until('a knock', () => (c.asked.includes('knock') ? true : undefined));
  b.machine = 'leaving';
  b.handOver.leaving('vm1', 2000);
  await c.does('take 7 stopped 2000', `from ${B}`);
  await b.does(`to ${C}`);
  b.guest.release();
  b.machine = 'gone';
  b.handOver.left('vm1');
  runs(c, 3000);
  await until('its answer', () => (c.guest.done.length >= 3 ? true : undefined));
  await b.does(`to ${C}`, 'release');
  t.notMatch(c.guest.done.join(), /early|dispute|release/);
});

t.test('from home: registered early, and given back when the migration fails', async (t) => {
  const { b: home, c } = pair(t, 'home');
  home.machine = 'leaving';
  home.handOver.leaving('vm1', undefined);
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
  home.handOver.leaving('vm1', undefined);
  await home.handOver.returned('vm1');
  await c.does('take 7', 'early', 'release');
  await home.does('take 8');
});

t.test('the next host is down: nothing waits, one line says so, and it hears later', async (t) => {
  const { b, c } = pair(t);
  c.down = true;
  b.machine = 'leaving';
  b.handOver.departing('vm1');
  b.handOver.leaving('vm1', 2000);
  await until('a line', () => (b.said.length > 0 ? true : undefined));
  b.handOver.leaving('vm1', 2000);
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
  runs(c, 3000);
  await until('a loser', () => (b.guest.done.includes('release') ? true : undefined));
  t.match(
    b.guest.done[0],
    /^dispute it runs here, and since later on host-c, .*kagemusha adopt vm1/,
  );
  await until('the winner', () => (/ran on host-b too/.test(c.said.join()) ? true : undefined));

  // The other way round: who claims is the earlier one.
  const again = pair(t);
  runs(again.c, 900);
  await until('a loser', () => (again.c.guest.done.includes('release') ? true : undefined));
  t.match(
    again.c.guest.done.join(),
    /dispute it runs here, and since later on host-b, which keeps it/,
  );
  t.strictSame(again.b.guest.done, ['reassert'], 'what the other one registered is undone');
  t.equal(again.b.guest.since, 1000);
});

t.test('offers that mean nothing', async (t) => {
  const { b, c } = pair(t);
  c.machine = 'running';
  c.guest.since = 500;
  b.handOver.leaving('vm1', 2000);
  await until('a refusal', () => (/vm1 is here since/.test(b.said.join()) ? true : undefined));
  t.strictSame(c.guest.done, []);
  t.throws(() => c.handOver.onOffer('vm2', 'host-b', b.guest.state), { code: 'GUEST_UNKNOWN' });
  t.strictSame(c.handOver.onClaim('vm2', 'host-b', { since: 1 }), {});

  // Somebody who does not await it keeps what it was told, and is no heir.
  const other = pair(t);
  other.c.machine = 'gone';
  other.b.handOver.leaving('vm1', 2000);
  await other.c.does('take 7 stopped 2000', `from ${B}`);
  t.strictSame(other.b.guest.done, []);
});
