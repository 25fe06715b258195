import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { cpuSeconds, hostStatus } from '../../src/cli/demo/processes.js';
import { ManyGuests, neighboursAnswer } from '../support/many-guests.js';

// One packet uplink with the care-of addresses of so many guests on it, each proven, registered and used.

const GUESTS = 100;
const IDLE_SECONDS = 10;
const UPLINK = '{ kind = "packet", device = "wan0", router = "2001:db8:3000::1" }';

t.test(`${GUESTS} guests over one packet uplink, each registered and pinging`, async (t) => {
  const bed = await ManyGuests.build(GUESTS, 'p', UPLINK);
  t.teardown(() => bed.remove());
  const { daemon, homeAgent } = bed;
  const began = performance.now();
  t.match(await bed.configure(GUESTS), { failures: [] });
  await bed.registered(GUESTS);
  t.comment(`all are registered ${Math.round(performance.now() - began)} ms later`);
  const { uplink, drops } = await hostStatus(daemon.socket);
  if (uplink.kind !== 'packet') throw new Error('no packet uplink');
  t.equal(
    uplink.addresses.filter(({ state }) => state === 'usable').length,
    GUESTS + 1,
    'all addresses are proven, and the link-local one',
  );
  t.same(drops, {}, 'nothing was dropped');

  const guests = await bed.plug(GUESTS);
  t.equal(await neighboursAnswer(guests), GUESTS, 'the echo requests of all guests are answered');

  const idleFrom = cpuSeconds(daemon.pid);
  await sleep(1000 * IDLE_SECONDS);
  const idle = (100 * (cpuSeconds(daemon.pid) - idleFrom)) / IDLE_SECONDS;
  t.ok(idle < 5, `${idle.toFixed(1)} % of a core while nothing moves`);

  await homeAgent.ip('link set wan0 down');
  await until('the loss of the carrier', async () => {
    const { uplink: now } = await hostStatus(daemon.socket);
    return now.kind === 'packet' && now.reason !== undefined ? true : undefined;
  });
  await homeAgent.ip('link set wan0 up');
  await homeAgent.ip('address replace 2001:db8:3000::1/64 dev wan0 nodad');
  t.equal(await neighboursAnswer(guests), GUESTS, 'after the cable was out for a moment, too');
});
