import t, { type Test } from 'tap';
import { MemoryStore } from '../../src/daemon/store/index.js';
import { readGuestState } from '../../src/migration/index.js';
import { eventually } from '../datapath/world.js';
import { LoneAgent, LoneGuest, type LoneGuestOptions } from '../support/lone-guest.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

/** A store of a process before this one, where a binding was confirmed some time ago. */
function storeWithBinding(left = 40_000, careOfAddress = CARE_OF) {
  const store = new MemoryStore();
  const expiresAt = Date.now() + left;
  const binding = { homeAgent: HOME_AGENT, careOfAddress, lifetime: 60, expiresAt };
  store.putRegistration({ homeAddress: HOME_ADDRESS, ...binding });
  return { store, confirmedAt: expiresAt - 60_000 };
}

/** A guest that is here and registered. */
async function registered(t: Test, options: LoneGuestOptions = {}): Promise<LoneGuest> {
  const host = await LoneGuest.make(t, options);
  host.guest.adopt(1000);
  host.answer();
  return host;
}

t.test('awaited: what another process left open is let go of, once', async (t) => {
  const { store } = storeWithBinding();
  const host = await LoneGuest.make(t, { store, register: 'qmp' });
  host.guest.start();
  t.strictSame(host.tunnels, [HOME_AGENT]);
  host.guest.expect();
  t.strictSame(host.tunnels, []);
  t.equal(store.registration(HOME_ADDRESS), undefined);
  t.notOk(host.guest.isHeld);
  const numbers = host.guest.state.homes;
  host.guest.expect();
  t.strictSame(host.guest.state.homes, numbers, 'told again costs no numbers');
  t.strictSame(host.updates(), []);
});

t.test('registered early: the Home Agent is asked once, however far it has come', async (t) => {
  for (const answered of [true, false]) {
    const host = await LoneGuest.make(t);
    host.guest.expect();
    host.guest.registerEarly();
    host.guest.registerEarly();
    t.ok(host.guest.isHeld);
    t.equal(host.guest.since, undefined, 'but it is not here yet');
    if (answered) host.answer();
    else t.equal(host.updates().length, 1);
    host.guest.expect();
    t.ok(host.guest.isHeld, 'it is awaited all the same');
    host.guest.adopt(1000);
    t.strictSame(host.updates(), []);
    t.strictSame(host.here, [1000]);
    t.equal(host.binding, answered ? 'registered' : 'registering');
  }
});

t.test('registered early and refused: it is asked again when the guest is here', async (t) => {
  const host = await LoneGuest.make(t);
  host.guest.registerEarly();
  host.answer(134);
  t.equal(host.binding, 'rejected');
  host.guest.adopt(1000);
  await eventually('a Binding Update', () => (host.updates().length > 0 ? true : undefined));
});

t.test('registered early, and the guest goes elsewhere: nothing is left of it', async (t) => {
  const host = await LoneGuest.make(t);
  host.guest.registerEarly();
  const [sent] = host.updates();
  if (sent === undefined) return t.fail('nothing sent');
  host.guest.release();
  t.notOk(host.guest.isHeld);
  host.guest.onPacket(host.agent.acknowledge(sent));
  t.strictSame(host.tunnels, [], 'the answer that comes late opens no tunnel');
  t.equal(host.store.registration(HOME_ADDRESS), undefined);
  t.strictSame(host.updates(), []);
  host.guest.adopt(1000);
  t.equal(host.updates().length, 1, 'whoever was released is registered anew');
});

t.test('a state that goes along: its numbers go on where the first host ended', async (t) => {
  const first = await registered(t);
  const state = readGuestState(JSON.parse(JSON.stringify(first.guest.state)));
  t.match(state.homes, [{ bound: { homeAgent: HOME_AGENT, careOfAddress: CARE_OF } }]);
  const [home] = state.homes;
  if (home?.esp === undefined) return t.fail('no numbers');

  const { agent } = first;
  const second = await LoneGuest.make(t, { careOfAddress: OTHER_CARE_OF, agent });
  second.guest.take(state);
  t.strictSame(second.updates(), [], 'it is told, no more');
  t.notOk(second.guest.isHeld);
  second.guest.adopt(2000);
  const [sent] = second.updates();
  if (sent === undefined) return t.fail('nothing sent');
  t.match(sent.signal, { source: OTHER_CARE_OF, destination: HOME_AGENT });
  t.equal(sent.update.sequence, home.sequence);
  t.ok(sent.number >= home.esp.next, `${sent.number} after ${home.esp.next}`);
  t.ok(sent.number > first.last.number);
  second.guest.onPacket(agent.acknowledge(sent));
  t.strictSame(second.tunnels, [HOME_AGENT]);
  t.match(second.guest.state.homes, [{ bound: { careOfAddress: OTHER_CARE_OF } }]);
});

t.test(
  'RFC 4303 3.4.3: what the first host has heard is not heard again by the next',
  async (t) => {
    const first = await LoneGuest.make(t);
    first.guest.adopt(1000);
    const heard = first.answer();
    const second = await LoneGuest.make(t, { agent: first.agent });
    second.guest.take(first.guest.state);
    second.guest.adopt(2000);
    second.updates();
    second.guest.onPacket(heard);
    t.match(second.guest.status(0).drops, { esp_replayed: 1 });

    const fresh = await LoneGuest.make(t, { agent: new LoneAgent() });
    fresh.guest.adopt(2000);
    fresh.updates();
    fresh.guest.onPacket(heard);
    t.equal(fresh.guest.status(0).drops.esp_replayed ?? 0, 0, 'who was told nothing cannot know');
  },
);

t.test('told once it has asked itself: numbers count, the binding is its own', async (t) => {
  const first = await registered(t);
  const late = first.guest.state;
  const second = await registered(t, { careOfAddress: OTHER_CARE_OF });
  const [before] = second.guest.state.homes;
  second.guest.take(late);
  t.strictSame(second.updates(), []);
  const [after] = second.guest.state.homes;
  t.strictSame(after?.bound, before?.bound);
  t.ok((after?.esp?.next ?? 0) >= (before?.esp?.next ?? 1));
  t.equal(second.binding, 'registered');
});

t.test('a path that was narrow is narrow from the first packet on', async (t) => {
  const first = await registered(t);
  const [home] = first.guest.state.homes;
  if (home === undefined) return t.fail('no home address');
  t.equal(home.pathMtu, undefined, 'what the link takes is nothing to tell');
  const second = await LoneGuest.make(t, { agent: first.agent });
  second.guest.take({ version: 1, homes: [{ ...home, pathMtu: 1400 }] });
  second.guest.adopt(2000);
  second.answer();
  t.match(second.guest.table().tunnels, [{ remote: HOME_AGENT, pathMtu: 1400 }]);
  t.match(second.guest.state.homes, [{ pathMtu: 1400 }], 'and is told on');
});

t.test('after a restart it is here since its binding was confirmed', async (t) => {
  for (const register of ['command', 'traffic'] as const) {
    const { store, confirmedAt } = storeWithBinding();
    const host = await LoneGuest.make(t, { store, register });
    t.equal(host.guest.since, undefined);
    host.guest.start();
    t.equal(host.guest.since, confirmedAt, register);
    t.strictSame(host.here, [confirmedAt]);
    host.guest.bind();
    t.strictSame(host.here, [confirmedAt], 'it is said once');
    host.guest.release();
    t.equal(host.guest.since, undefined);
    const before = Date.now();
    host.guest.bind();
    t.ok((host.guest.since ?? 0) >= before, 'and later since then');
  }
});

t.test('with a monitor: what is restored waits for the machine to be seen', async (t) => {
  const { store, confirmedAt } = storeWithBinding();
  const host = await LoneGuest.make(t, { store, register: 'qmp' });
  host.guest.start();
  t.strictSame(host.tunnels, [HOME_AGENT], 'its packets pass meanwhile');
  t.equal(host.guest.since, undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.strictSame(host.updates(), [], 'it may be registered from elsewhere');
  host.guest.adopt(undefined);
  t.equal(host.updates().length, 1);
  t.equal(host.guest.since, confirmedAt);
});

t.test('with a monitor that says nothing: what is restored lapses, without a word', async (t) => {
  const { store } = storeWithBinding(150);
  const host = await LoneGuest.make(t, { store, register: 'qmp' });
  host.guest.start();
  t.strictSame(host.tunnels, [HOME_AGENT]);
  await eventually('the end of the binding', () => (host.tunnels.length === 0 ? true : undefined));
  t.equal(store.registration(HOME_ADDRESS), undefined);
  t.strictSame(host.updates(), []);
});
