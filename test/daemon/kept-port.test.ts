import t from 'tap';
import { loadHostConfig } from '../../src/daemon/config/load.js';
import { eventually } from '../datapath/world.js';
import { DaemonPair } from '../support/daemon-pair.js';
import { GUEST_MAC } from '../support/testbed-addresses.js';

// The device of a guest may have been moved out of reach: by its name it could not be opened a second time.
t.test('a guest that cannot be made anew keeps its port, and has it when it can', async (t) => {
  const pair = new DaemonPair(t.testdir());
  t.teardown(() => pair.close());
  await pair.registered();
  const config = loadHostConfig(pair.hostFile);
  const attached = () => [...pair.host.attached(config)];
  t.same(attached(), ['kgtap0']);

  const homeLink = { device: 'kgnone0', mac: GUEST_MAC };
  const guests = config.guests.map((guest) => ({ ...guest, homeLink }));
  pair.host.reload({ ...config, guests }, new Map());
  t.match(pair.host.waiting, [{ config: { name: 'vm1' }, error: { code: 'DEVICE_MISSING' } }]);
  t.same(attached(), ['kgtap0'], 'still open');

  pair.host.reload(config, new Map());
  t.same(pair.host.waiting, []);
  t.equal(pair.portsOpened, 1, 'never opened again');
  await pair.registered();
  await eventually('it carries', () => (pair.guestStatus.tunnel === undefined ? undefined : true));

  pair.host.reload({ ...config, guests: [] }, new Map());
  t.same(attached(), []);
  pair.host.reload(config, new Map());
  t.equal(pair.portsOpened, 2, 'a guest that left has left its port');
});
