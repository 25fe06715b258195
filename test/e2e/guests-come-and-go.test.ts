import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Pinging } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { startDaemon } from '../../src/cli/demo/processes.js';
import { putToml, request } from '../../src/daemon/control-client.js';
import type { GuestStatus } from '../../src/daemon/status.js';
import { keysFor, writeKeys } from '../support/esp-keys.js';
import { ALGORITHMS, FLEET, Fleet } from '../support/fleet.js';
import { answers } from '../support/journey.js';
import { Stream } from '../support/stream.js';

// While two guests come, change and go, over the control socket and by SIGHUP, the first one talks and notices nothing.

const ROUNDS = 5;
/** Longer than the test: nobody registers again of its own accord. */
const LIFETIME = 3600;

/** The tables of a configuration file from its `header`s on, without what stands before the first one. */
function tables(text: string, header: string): [string, ...string[]] {
  const [head = '', ...rest] = text.split(`${header}\n`);
  return [head, ...rest.map((table) => `${header}\n${table}`)];
}

t.test('guests come, change and go, and the others do not notice', async (t) => {
  const fleet = await Fleet.start(3, LIFETIME);
  t.teardown(() => fleet.remove());
  const { host, homeAgent } = fleet.daemons;
  const hostFile = join(fleet.directory, 'host.toml');
  const agentFile = join(fleet.directory, 'ha.toml');
  const [head, one = '', two = '', three = ''] = tables(
    await readFile(hostFile, 'utf8'),
    '[[guest]]',
  );
  const [agentHead, ...nodes] = tables(await readFile(agentFile, 'utf8'), '[[mobile_node]]');
  const [first] = fleet.guests;
  const netns = first?.netns ?? fleet.outsider;

  const put = async (name: string, text: string): Promise<unknown> =>
    await putToml(host.socket, `/v1/guests/${name}`, text);
  const remove = async (name: string): Promise<unknown> =>
    await request(host.socket, 'DELETE', `/v1/guests/${name}`);
  const reload = async ({ socket }: { readonly socket: string }): Promise<void> => {
    t.same(await request(socket, 'POST', '/v1/reload'), { notes: [], failures: [] });
  };
  const hostHas = async (...guests: string[]): Promise<void> => {
    await writeFile(hostFile, [head, ...guests].join('\n'));
    await reload(host);
  };
  const names = async (): Promise<string[]> =>
    (await fleet.hostStatus()).guests.map(({ name }) => name);
  const guestIs = async (name: string, wanted: (guest: GuestStatus) => boolean): Promise<void> => {
    let seen: GuestStatus | undefined;
    await until(`${name} as it is wanted`, async () => {
      seen = (await fleet.hostStatus()).guests.find((guest) => guest.name === name);
      return seen !== undefined && wanted(seen) ? true : undefined;
    }).catch((cause: Error) => {
      throw new Error(`${cause.message}; it is ${JSON.stringify(seen)}`, { cause });
    });
  };
  const registered = ({ binding }: GuestStatus): boolean => binding.state === 'registered';
  const bound = async (name: string) => {
    const guest = fleet.guests.find((each) => each.name === name);
    const { bindings } = await fleet.homeAgentStatus();
    return bindings.find(({ homeAddress }) => homeAddress === guest?.homeAddress);
  };
  const boundAt = async (name: string, careOf: string): Promise<void> => {
    await until(`${name} at ${careOf}`, async () =>
      (await bound(name))?.careOfAddress === careOf ? true : undefined,
    );
  };

  const before = { status: (await fleet.hostStatus()).guests[0], bound: await bound('vm1') };
  const pinging = new Pinging(netns, FLEET.correspondent, 20);
  const stream = await Stream.start(netns, fleet.homeAgent, FLEET.correspondent);
  // Its tap was moved to where the guest is: it could not be opened by its name again.
  const second = fleet.guests[1]?.netns ?? fleet.outsider;
  await writeKeys(join(fleet.directory, 'vm2.keys'), keysFor(ALGORITHMS, 100));
  await reload(homeAgent);
  await reload(host);
  await guestIs('vm2', registered);
  await answers(second, FLEET.correspondent);
  t.pass('a guest whose keys change keeps its cable');
  await hostHas(one);
  t.same(await names(), ['vm1'], 'taken out of the file');

  for (let round = 1; round <= ROUNDS; round++) {
    const came = await Promise.all([put('vm2', two), put('vm3', three)]);
    t.same(came, [{ change: 'added' }, { change: 'added' }], `round ${round}: both at once`);
    await guestIs('vm2', registered);
    await guestIs('vm3', registered);
    await boundAt('vm2', '2001:db8:3000::1:2');

    const moved = two.replace('3000::1:2"', '3000::2:2"');
    t.same(await put('vm2', moved), { change: 'changed' });
    await boundAt('vm2', '2001:db8:3000::2:2');
    t.same(await put('vm3', three.replace(/^lifetime = .*$/m, 'lifetime = 400')), {
      change: 'changed',
    });
    await guestIs('vm3', ({ binding }) => binding.lifetime === 400);

    // The file of its keys is that of the Home Agent too.
    await writeKeys(join(fleet.directory, 'vm2.keys'), keysFor(ALGORITHMS, 100 + round));
    await reload(homeAgent);
    const sequence = (await bound('vm2'))?.sequence;
    t.same(await put('vm2', moved), { change: 'changed' }, 'the keys have changed');
    await guestIs('vm2', registered);
    await until('an answer under the new keys', async () =>
      (await bound('vm2'))?.sequence === sequence ? undefined : true,
    );

    const plain = nodes.map((node, i) =>
      i === 2 ? node.replace(/\[mobile_node\.s[\s\S]*/, '') : node,
    );
    await writeFile(agentFile, [agentHead, ...plain].join('\n'));
    await reload(homeAgent);
    await put('vm3', three.replace(/\[guest\.security\][\s\S]*/, ''));
    await guestIs('vm3', (guest) => registered(guest) && guest.protection === 'none');
    await writeFile(agentFile, [agentHead, ...nodes].join('\n'));
    await reload(homeAgent);
    await put('vm3', three);
    await guestIs('vm3', (guest) => registered(guest) && guest.protection === 'esp');

    for (const [code, guest, text] of [
      ['GUEST_CONFIGURED', 'vm1', one],
      ['GUEST_CONFLICT', 'vm4', three.replace('vm3', 'vm4')],
      ['GUEST_INVALID', 'vm2', moved.replace('lifetime', 'life')],
    ] as const) {
      await t.rejects(put(guest, text), { code });
    }
    await reload(host);
    t.same((await names()).sort(), ['vm1', 'vm2', 'vm3'], 'SIGHUP leaves them');
    await Promise.all([remove('vm2'), remove('vm3')]);
    t.same(await names(), ['vm1']);

    await hostHas(one, two, three);
    await guestIs('vm2', registered);
    await hostHas(one, two.replace('3000::1:2"', '3000::3:2"'));
    await boundAt('vm2', '2001:db8:3000::3:2');
    await hostHas(one);
    t.same(await names(), ['vm1'], 'and the same by the file');
  }

  const { lost, sent } = await pinging.stopAnswered();
  t.equal(lost, 0, `none of ${sent} echo requests of the first guest was lost`);
  const { seconds, stalled, megabytes } = await stream.stop();
  t.same(stalled, [], `its stream carried ${megabytes} MB in ${seconds} s and never stood still`);
  const now = { status: (await fleet.hostStatus()).guests[0], bound: await bound('vm1') };
  t.equal(now.bound?.sequence, before.bound?.sequence, 'it did not register again');
  const counted =
    (now.status?.traffic.toHome.packets ?? 0) - (before.status?.traffic.toHome.packets ?? 0);
  t.ok(counted >= sent, `its counters went on: ${counted}`);

  await put('vm2', two);
  await host.stop();
  const again = await startDaemon(fleet.host, 'host', hostFile, host.socket);
  t.teardown(() => again.stop());
  t.same(await names(), ['vm1', 'vm2'], 'who was added is there after a restart');
  await guestIs('vm2', registered);
});
