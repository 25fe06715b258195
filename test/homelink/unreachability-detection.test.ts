import t from 'tap';
import type { GuestLinkOutput, HomeLinkDefenderEvent } from '../../src/homelink/index.js';
import { HomeLinkDefender } from '../../src/homelink/index.js';
import type { Address } from '../../src/wire/index.js';
import { parseAddress, parseMac, solicitedNode } from '../../src/wire/index.js';
import { drain, ofType } from '../support/drain.js';
import { frames, GuestLinkHarness } from '../support/guest-link-harness.js';
import type { Sent } from '../support/link-frames.js';
import { icmpv6Frame, read, SLLA, solicitation } from '../support/link-frames.js';
import { isMldReport } from '../support/mld.js';
import { NeighbourCacheEntry } from '../support/neighbour-cache.js';
import { seededRandom } from '../support/random.js';
import {
  GUEST_LINK_LOCAL,
  GUEST_MAC,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const WEEK = 7 * 86_400_000;
const HOME_ROUTER_MAC = parseMac('02:00:00:00:0a:01');
const NEIGHBOUR_MAC = parseMac('02:00:00:00:0a:02');

/** A host's question for an entry of its cache. */
function question(entry: NeighbourCacheEntry, way: 'unicast' | 'multicast', source: Address): Sent {
  const { target, mac } = entry;
  return {
    source,
    destination: way === 'unicast' ? target : solicitedNode(target),
    ...(way === 'unicast' && mac !== undefined ? { destinationMac: mac } : {}),
    message: solicitation(target, way === 'unicast' ? [] : [SLLA]),
  };
}

t.test(
  'RFC 4861 7.3: a guest with a cache from home talks for a week and never loses a neighbour',
  (t) => {
    const random = seededRandom(11);
    const harness = new GuestLinkHarness({ random });
    const router = new NeighbourCacheEntry(HOME_ROUTER, random, HOME_ROUTER_MAC);
    router.isRouter = true;
    const entries = [
      router,
      new NeighbourCacheEntry(HOST_A, random, NEIGHBOUR_MAC),
      new NeighbourCacheEntry(HOME_AGENT, random),
      new NeighbourCacheEntry(parseAddress('fe80::2'), random),
    ];
    const hear = (outputs: readonly GuestLinkOutput[]) => {
      for (const { message, destinationMac } of frames(outputs)) {
        if (message.kind !== 'neighbor-advertisement') continue;
        if (message.solicited && destinationMac !== GUEST_MAC) throw new Error(destinationMac);
        const entry = entries.find(({ target }) => target === message.target);
        entry?.hear(harness.now, message);
      }
    };
    hear(harness.handle({ type: 'arrived' }));
    t.match(router, { mac: ROUTER_MAC, state: { kind: 'stale' } }, 'the announcement has Override');
    let asked = 0;
    while (harness.now < WEEK) {
      // A busy hour, then a quiet one.
      const busy = Math.floor(harness.now / 3_600_000) % 2 === 0;
      hear(harness.pass(busy ? 500 : 60_000).map(({ output }) => output));
      for (const entry of entries) {
        if (busy || random() < 0.1) entry.use(harness.now);
        const way = entry.tick(harness.now);
        if (way === undefined) continue;
        asked += 1;
        const source = random() < 0.5 ? HOME_ADDRESS : GUEST_LINK_LOCAL;
        hear(harness.frame(icmpv6Frame(question(entry, way, source))));
        if (entry.state.kind !== 'reachable') t.fail(`${entry.target} is ${entry.state.kind}`);
        if (entry.isRouter !== (entry.target === HOME_ROUTER)) t.fail(`${entry.target}: router`);
        // RFC 4861 7.3.3: what is known from home is asked there first, any destination MAC is taken.
        if (entry.mac !== ROUTER_MAC) t.fail(`${entry.target} is at ${entry.mac}`);
      }
    }
    t.ok(asked > 4 * 84 * 60, `${asked} questions`);
    t.end();
  },
);

t.test(
  'RFC 6275 10.4.1: home neighbours follow the home address to the home agent and keep it for a week',
  (t) => {
    const random = seededRandom(12);
    const mac = parseMac('02:00:00:00:00:01');
    const defender = new HomeLinkDefender({
      mac,
      address: HOME_AGENT,
      homePrefix: HOME_PREFIX,
      random,
    });
    let now = 0;
    const entry = new NeighbourCacheEntry(HOME_ADDRESS, random, GUEST_MAC);
    const hear = () => {
      for (const { bytes } of ofType(drain(defender), 'frame')) {
        if (isMldReport(bytes)) continue;
        const { message, source, destination, destinationMac } = read(bytes);
        if (message.kind !== 'neighbor-advertisement') throw new Error(message.kind);
        if (source !== HOME_AGENT) t.fail(source);
        if (message.target !== HOME_ADDRESS) continue;
        if (message.solicited) {
          if (destination !== HOST_A || destinationMac !== NEIGHBOUR_MAC) t.fail(destination);
        }
        if (!message.override || message.router) t.fail('RFC 6275 10.4.1: O set, R clear');
        entry.hear(now, message);
      }
    };
    const handle = (event: HomeLinkDefenderEvent) => {
      defender.handle(now, event);
      hear();
    };
    handle({ type: 'defend', address: HOME_ADDRESS });
    t.match(entry, { mac, isRouter: false, state: { kind: 'stale' } });
    let asked = 0;
    for (; now < WEEK; now += 1000) {
      entry.use(now);
      const way = entry.tick(now);
      if (way !== undefined) {
        asked += 1;
        const sent = { ...question(entry, way, HOST_A), sourceMac: NEIGHBOUR_MAC };
        handle({ type: 'frame', bytes: icmpv6Frame(sent) });
        if (entry.state.kind !== 'reachable') t.fail(entry.state.kind);
      }
      const at = defender.wakeAt();
      if (at !== undefined && at <= now) handle({ type: 'tick' });
    }
    t.equal(entry.mac, mac);
    t.ok(asked > 7 * 24 * 60, `${asked} questions`);
    t.end();
  },
);
