import t from 'tap';
import type { HomeLinkDefenderEvent } from '../../src/homelink/index.js';
import { HomeLinkDefender } from '../../src/homelink/index.js';
import { drain, ofType } from '../support/drain.js';
import { complaints, tshark } from '../support/judges.js';
import { isMldReport, mldQuery } from '../support/mld.js';
import { HOME_ADDRESS, HOME_AGENT, HOME_PREFIX, ROUTER_MAC } from '../support/testbed-addresses.js';

const ETHERNET = 1;

t.test('tshark: reports of either version, and what leaves a group, are sound', (t) => {
  const defender = new HomeLinkDefender({
    mac: ROUTER_MAC,
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    random: () => 0.5,
  });
  const frames: Uint8Array[] = [];
  const at = (now: number, event: HomeLinkDefenderEvent) => {
    defender.handle(now, event);
    const sent = ofType(drain(defender), 'frame').map(({ bytes }) => bytes);
    frames.push(...sent.filter(isMldReport));
  };
  at(0, { type: 'probe', address: HOME_ADDRESS });
  at(10, { type: 'release', address: HOME_ADDRESS });
  at(20, { type: 'defend', address: HOME_ADDRESS });
  at(30, { type: 'frame', bytes: mldQuery({ version: 1 }) });
  at(20_000, { type: 'tick' });
  at(20_010, { type: 'release', address: HOME_ADDRESS });
  const seen = tshark(ETHERNET, frames);
  t.same(
    seen.map((packet) => packet.get('icmpv6.type')?.[0]),
    ['143', '143', '143', '131', '132'],
  );
  for (const packet of seen) t.same(complaints(packet), []);
  t.end();
});
