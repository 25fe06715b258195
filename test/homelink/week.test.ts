import t from 'tap';
import type { GuestLinkConfig, GuestLinkEvent, HomePrefix } from '../../src/homelink/index.js';
import { GuestLink } from '../../src/homelink/index.js';
import type { Address } from '../../src/wire/index.js';
import {
  ALL_NODES,
  formatPrefix,
  parseAddress,
  parseMac,
  readAddress,
} from '../../src/wire/index.js';
import { drain } from '../support/drain.js';
import { ADVERTISED } from '../support/guest-link-harness.js';
import { interfaceIdentifier } from '../support/host-addresses.js';
import { icmpv6Frame, read } from '../support/link-frames.js';
import { seededRandom } from '../support/random.js';
import { SimulatedHost } from '../support/simulated-host.js';
import {
  GUEST_MAC,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
const HOME_ROUTER_MAC = parseMac('02:00:00:00:0a:01');
const NEIGHBOURS = [HOME_ROUTER, HOST_A, HOME_AGENT, parseAddress('fe80::2')];
/** RFC 4861 10, RFC 4862 5.4.2: delay, DAD of the link-local address, delay of the solicitation, and of its answer. */
const LONGEST_WITHOUT_ROUTER = (1 + 1 + 1 + 0.5) * SECOND;

const AUTOCONFIGURED = (() => {
  const bytes = new Uint8Array([0x20, 0x01, 0x0d, 0xb8, 0x20, 0, 0, 0, ...new Uint8Array(8)]);
  bytes.set(interfaceIdentifier(GUEST_MAC), 8);
  return readAddress(bytes, 0);
})();

/** What happens, and when (ms). */
type Happening = readonly [at: number, what: 'down' | 'up' | 'restart' | GuestLinkEvent];

interface Story {
  readonly name: string;
  /** The home address is the host's own doing (A flag), and it wants temporary ones besides. */
  readonly autonomous: boolean;
  readonly mtu?: number;
  readonly happenings: readonly Happening[];
}

const POWER: readonly Happening[] = [
  [2 * DAY + 5 * HOUR, 'down'], // a reboot
  [2 * DAY + 5 * HOUR + 40 * SECOND, 'up'],
  [4 * DAY + HOUR, 'down'], // an interface that flaps
  [4 * DAY + HOUR + 800, 'up'],
  [4 * DAY + HOUR + 2000, 'down'],
  [4 * DAY + HOUR + 2100, 'up'],
];

function told(
  at: number,
  lifetimes: { validLifetime: number; preferredLifetime: number },
): Happening {
  const prefix: HomePrefix = { prefix: HOME_PREFIX, onLink: true, autonomous: true, ...lifetimes };
  return [at, { type: 'prefixes', prefixes: [prefix] }];
}

const SHORT = { validLifetime: 20_000, preferredLifetime: 12_000 };
const LONG = { validLifetime: 259_200, preferredLifetime: 172_800 };

const STORIES: readonly Story[] = [
  {
    name: 'a home address by hand; the daemon restarts',
    autonomous: false,
    mtu: 1460,
    happenings: [...POWER, [5 * DAY, 'restart'], [6 * DAY, 'restart']],
  },
  {
    name: 'an autoconfigured home address; the daemon restarts',
    autonomous: true,
    happenings: [...POWER, [5 * DAY, 'restart']],
  },
  {
    name: 'the home agent renews the prefixes at three quarters of their lifetimes',
    autonomous: true,
    happenings: [
      ...POWER,
      ...Array.from({ length: 67 }, (_, i) => told(HOUR + i * 9000 * SECOND, SHORT)),
    ],
  },
  {
    name: 'the home agent tells of long lifetimes once and falls silent',
    autonomous: true,
    happenings: [...POWER, told(HOUR, LONG)],
  },
  {
    name: 'the home agent tells of short lifetimes once and falls silent',
    autonomous: true,
    happenings: [...POWER, told(HOUR, SHORT)],
  },
];

/** A guest that was carried from home, its link, and what must hold between them at every instant. */
class Week {
  now = 0;
  readonly host: SimulatedHost;
  /** Router Advertisements to all nodes, since the daemon started; and the others. */
  toAll: number[] = [];
  readonly gaps: number[] = [];
  toOne = 0;
  questions = 0;
  readonly #random: () => number;
  readonly #homeAddress: Address;
  readonly #config: GuestLinkConfig;
  #link: GuestLink;
  #upSince = Number.NEGATIVE_INFINITY;
  #useAt = 0;

  constructor({ autonomous, mtu }: Story, seed: number) {
    const random = seededRandom(seed);
    this.#random = random;
    this.#homeAddress = autonomous ? AUTOCONFIGURED : HOME_ADDRESS;
    this.#config = {
      homeAddresses: [this.#homeAddress],
      homePrefix: HOME_PREFIX,
      homeRouter: HOME_ROUTER,
      routerMac: ROUTER_MAC,
      routerAdvertisement: { ...ADVERTISED, autonomous, mtu },
      random,
    };
    this.#link = new GuestLink(this.#config);
    const addresses = autonomous ? [] : [HOME_ADDRESS];
    this.host = new SimulatedHost({ mac: GUEST_MAC, addresses, temporary: autonomous, random });
    this.#comeFromHome(autonomous);
    this.#handle({ type: 'arrived' });
  }

  live(happenings: readonly Happening[]): void {
    const due = [...happenings].sort(([one], [other]) => one - other);
    for (;;) {
      const next = due[0]?.[0] ?? Infinity;
      const at = Math.min(this.#link.wakeAt() ?? Infinity, this.host.wakeAt(), this.#useAt, next);
      // A lifetime that ends before the next event has ended under the guest.
      this.#check(Math.min(at, WEEK));
      if (at >= WEEK) return;
      if (at < this.now) throw new Error(`back from ${this.now} to ${at}`);
      this.now = at;
      if (next <= at) this.#happen(due.shift()?.[1]);
      if (this.#useAt <= at) this.#talk();
      this.host.tick(at);
      this.#handle({ type: 'tick' });
      this.#check(at);
    }
  }

  /** What the host knows from home, where the router and every neighbour had addresses of their own. */
  #comeFromHome(autonomous: boolean): void {
    const prefix = { kind: 'prefix-information', prefix: HOME_PREFIX, onLink: true } as const;
    const { lifetime, ...lifetimes } = ADVERTISED;
    const heard = icmpv6Frame({
      source: HOME_ROUTER,
      sourceMac: HOME_ROUTER_MAC,
      destination: ALL_NODES,
      message: {
        kind: 'router-advertisement',
        hopLimit: 64,
        ...lifetimes,
        homeAgent: true,
        preference: 'medium',
        routerLifetime: lifetime,
        reachableTime: 0,
        retransTimer: 0,
        options: [
          { kind: 'source-link-layer-address', mac: HOME_ROUTER_MAC },
          { ...prefix, ...lifetimes, autonomous, routerAddress: false },
        ],
      },
    });
    this.host.up(-500 * SECOND);
    this.host.hear(-400 * SECOND, read(heard));
    for (let at = -400; at < 0; at += 1) this.host.tick(at * SECOND);
    drain(this.host);
    this.host.solicitations = 0;
    if (this.host.addresses.held.get(this.#homeAddress)?.dad.kind !== 'assigned') throw new Error();
  }

  #happen(what: Happening[1] | undefined): void {
    if (what === 'down') this.host.down();
    else if (what === 'up') {
      this.host.up(this.now);
      this.#upSince = this.now;
    } else if (what === 'restart') {
      this.#link = new GuestLink(this.#config);
      this.toAll = [];
      this.#handle({ type: 'arrived' });
    } else if (what !== undefined) this.#handle(what);
  }

  /** A busy hour, then five quiet ones in which what is not used is forgotten; now and then things of the link only. */
  #talk(): void {
    const busy = Math.floor(this.now / HOUR) % 6 === 0;
    this.#useAt = this.now + (busy ? 2 + 10 * this.#random() : 600 * this.#random()) * SECOND;
    if (!this.host.isUp) return;
    for (const neighbour of NEIGHBOURS) {
      if (busy || this.#random() < 0.3) this.host.use(this.now, neighbour);
      else if (neighbour !== HOME_ROUTER) this.host.neighbours.delete(neighbour);
    }
    const source = this.host.addresses.linkLocal;
    if (source === undefined || this.#random() > 0.01) return;
    const echo = {
      kind: 'echo-request',
      identifier: 1,
      sequence: 1,
      data: new Uint8Array(8),
    } as const;
    for (const destination of [HOME_ROUTER, parseAddress('ff02::fb'), parseAddress('fe80::2')]) {
      this.host.send({ source, destination, message: echo });
    }
  }

  /** An event for the link, and all that follows from it on both sides. */
  #handle(event: GuestLinkEvent): void {
    this.#link.handle(this.now, event);
    this.#exchange();
  }

  #exchange(): void {
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 20) throw new Error('a conversation without end');
      const toHost = drain(this.#link).flatMap((output) =>
        output.type === 'frame' ? [output.bytes] : [],
      );
      for (const bytes of toHost) this.#deliver(bytes);
      const toLink = drain(this.host);
      for (const bytes of toLink) this.#link.handle(this.now, { type: 'frame', bytes });
      if (toHost.length === 0 && toLink.length === 0) return;
    }
  }

  /** Nothing but what a home router says, to somebody who listens. */
  #deliver(bytes: Uint8Array): void {
    const heard = read(bytes);
    const { message, source, sourceMac, destination, destinationMac, hopLimit } = heard;
    if (sourceMac !== ROUTER_MAC || hopLimit !== 255) this.#fail('a frame of somebody else');
    switch (message.kind) {
      case 'router-advertisement':
        if (source !== HOME_ROUTER) this.#fail(`a router at ${source}`);
        if (destination === ALL_NODES) this.#advertised();
        else this.toOne += 1;
        break;
      case 'neighbor-advertisement':
        if (this.#isOwn(message.target)) this.#fail(`${message.target} is the guest's own`);
        if (message.router !== (message.target === HOME_ROUTER)) this.#fail('the R flag');
        if (message.solicited !== (destination !== ALL_NODES)) this.#fail('the S flag');
        if (message.solicited) this.questions += 1;
        break;
      case 'neighbor-solicitation':
        if (source !== HOME_ROUTER || message.target !== this.#homeAddress)
          this.#fail('a question');
        break;
      case 'echo-reply':
        if (source !== HOME_ROUTER) this.#fail(`an echo of ${source}`);
        break;
      default:
        this.#fail(message.kind);
    }
    if (!this.host.isUp) return;
    if (!this.host.listensTo(destinationMac)) {
      // A question for an address that the guest does not have yet goes unheard, as at home.
      if (message.kind !== 'neighbor-solicitation') this.#fail(`to ${destinationMac}`);
      return;
    }
    this.host.hear(this.now, heard);
  }

  #advertised(): void {
    const before = this.toAll.at(-1);
    if (before !== undefined) this.gaps.push(this.now - before);
    this.toAll.push(this.now);
  }

  #isOwn(address: Address): boolean {
    const held = this.host.addresses.held.get(address);
    return held !== undefined && held.kind !== 'temporary';
  }

  #check(at: number): void {
    const { host } = this;
    if (!host.isUp) return;
    const { held } = host.addresses;
    for (const { address, kind, dad, preferredUntil, validUntil } of held.values()) {
      if (kind === 'temporary') continue;
      if (dad.kind === 'duplicate') this.#fail(`${address} is a duplicate`);
      if (preferredUntil <= at) this.#fail(`${address} is deprecated`);
      if (validUntil <= at) this.#fail(`${address} is invalid`);
    }
    for (const { target, state } of host.neighbours.values()) {
      if (state.kind === 'failed') this.#fail(`${target} is not reachable`);
    }
    if (at < this.#upSince + LONGEST_WITHOUT_ROUTER) return;
    if (!((host.routers.get(HOME_ROUTER) ?? -1) > at)) this.#fail('no default router');
    if (host.routers.size !== 1) this.#fail(`${host.routers.size} default routers`);
    const onLink = host.onLink.get(formatPrefix(HOME_PREFIX));
    if (!((onLink?.until ?? -1) > at)) this.#fail('the prefix is not on-link');
    const entry = host.neighbours.get(HOME_ROUTER);
    if (entry?.mac !== ROUTER_MAC || !entry.isRouter) this.#fail('the entry of the router');
    if (at < this.#upSince + LONGEST_WITHOUT_ROUTER + 2 * SECOND) return;
    if (held.get(this.#homeAddress)?.dad.kind !== 'assigned') this.#fail('no home address');
  }

  #fail(why: string): never {
    throw new Error(`after ${(this.now / SECOND).toFixed(3)} s: ${why}`);
  }

  drops(): Record<string, number> {
    return Object.fromEntries(this.#link.drops);
  }
}

STORIES.forEach((story, index) => {
  t.test(
    `RFC 4861 6.2.1, 7.3, RFC 4862 5.5.4: a week in the life of a guest: ${story.name}`,
    (t) => {
      const week = new Week(story, 21 + index);
      week.live(story.happenings);
      const { host, gaps } = week;
      t.ok(Math.min(...gaps) >= 3 * SECOND, 'RFC 4861 6.2.6: MIN_DELAY_BETWEEN_RAS');
      t.ok(Math.max(...gaps) <= 600 * SECOND, 'RFC 4861 6.2.1: MaxRtrAdvInterval');
      t.ok(gaps.length <= WEEK / (198 * SECOND) + 80, `${gaps.length} advertisements to all nodes`);
      t.ok(week.toOne <= host.solicitations, 'RFC 4861 6.2.6: one at most for each solicitation');
      t.ok(host.solicitations >= 1, `${host.solicitations} solicitations`);
      t.ok(week.questions > 5000, `${week.questions} questions to neighbours`);
      t.ok(host.echoReplies > 100, 'the router answers echo requests');
      t.equal(host.mtu, story.mtu ?? 1500);
      const temporary = host.addresses.assigned().filter(({ kind }) => kind === 'temporary');
      t.same(temporary, [], 'none that could not be used was taken since the reboot');
      t.equal(host.addresses.duplicates.length > 0, story.autonomous);
      const { link_local: linkLocal, mld: _, ...others } = week.drops();
      t.ok(linkLocal !== undefined && linkLocal > 0);
      t.same(others, {}, 'nothing else was dropped');
      t.end();
    },
  );
});
