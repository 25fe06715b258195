import t from 'tap';
import { Secret } from '../../src/crypto/index.js';
import type { EspConfig } from '../../src/daemon/config/schema.js';
import { keepReplayTops, numbersFrom, storedHomeState } from '../../src/daemon/home-state.js';
import { espFloor } from '../../src/daemon/numbers.js';
import {
  espReplayTop,
  espSequence,
  MemoryStore,
  mobilitySequence,
} from '../../src/daemon/store/index.js';
import type { EspState } from '../../src/migration/index.js';
import { keysFor } from '../support/esp-keys.js';
import { SECOND_AGENT } from '../support/registration-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const ALGORITHMS = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;
const ESP: EspConfig = {
  kind: 'esp',
  ...ALGORITHMS,
  spiOut: 1000,
  spiIn: 1001,
  replayWindow: 64,
  keyFile: '/nowhere',
  keyId: 'these',
  keys: keysFor(ALGORITHMS),
};
const OTHER_KEYS: EspConfig = {
  ...ESP,
  keyId: 'others',
  keys: { ...ESP.keys, authentication: new Secret(new Uint8Array(20)) },
};
const NONE = { kind: 'none' } as const;
const SEQUENCE = mobilitySequence(HOME_ADDRESS);
const NUMBERS = espSequence(HOME_ADDRESS, ESP.spiOut, ESP.keyId);
const top = (homeAgent: typeof HOME_AGENT) =>
  espReplayTop(HOME_ADDRESS, ESP.spiIn, ESP.keyId, homeAgent);

/** The store of a host that had the guest. */
function busy(expiresAt = Date.now() + 60_000): MemoryStore {
  const store = new MemoryStore();
  store.reserve(SEQUENCE, 4711);
  store.reserve(NUMBERS, 900);
  store.putReplayTop(top(HOME_AGENT), 70);
  const binding = { careOfAddress: CARE_OF, lifetime: 60, expiresAt };
  store.putRegistration({ homeAddress: HOME_ADDRESS, homeAgent: HOME_AGENT, ...binding });
  return store;
}

const esp = (more: Partial<EspState> = {}): EspState => ({
  spiOut: ESP.spiOut,
  keyId: ESP.keyId,
  next: 900,
  replayTops: [{ homeAgent: HOME_AGENT, top: 70 }],
  ...more,
});
const stateOf = (
  store: MemoryStore,
  security: EspConfig | typeof NONE = ESP,
  agents = [HOME_AGENT],
) => storedHomeState(store, HOME_ADDRESS, security, agents);

t.test('a store with nothing in it tells no more than where to begin', async (t) => {
  t.strictSame(stateOf(new MemoryStore(), NONE), { homeAddress: HOME_ADDRESS });
  t.strictSame(stateOf(new MemoryStore()), {
    homeAddress: HOME_ADDRESS,
    esp: esp({ next: 1, replayTops: [] }),
  });
});

t.test('what a store tells, another one keeps, and tells on', async (t) => {
  const expiresAt = Date.now() + 60_000;
  const state = stateOf(busy(expiresAt));
  t.strictSame(state, {
    homeAddress: HOME_ADDRESS,
    sequence: 4711,
    bound: { homeAgent: HOME_AGENT, careOfAddress: CARE_OF, lifetime: 60, expiresAt },
    esp: esp(),
  });
  const next = new MemoryStore();
  keepReplayTops(next, state, ESP, [HOME_AGENT]);
  t.strictSame(stateOf(next).esp?.replayTops, state.esp?.replayTops);
  t.equal(stateOf(next).bound, undefined, 'the binding is not its own');
  t.equal(numbersFrom(state, ESP, 1), 900);
});

t.test('the home agent of the binding counts, whether it is configured or not', async (t) => {
  t.strictSame(stateOf(busy(), ESP, []).esp, esp());
  const store = busy();
  store.putReplayTop(top(SECOND_AGENT), 5);
  t.strictSame(stateOf(store, ESP, [SECOND_AGENT, HOME_AGENT]).esp?.replayTops, [
    { homeAgent: SECOND_AGENT, top: 5 },
    { homeAgent: HOME_AGENT, top: 70 },
  ]);
});

t.test('what has run out is not bound any more', async (t) => {
  t.equal(stateOf(busy(Date.now() - 1)).bound, undefined);
  t.equal(stateOf(busy(Date.now() - 1)).sequence, 4711, 'its number was used all the same');
});

t.test('numbers under other keys, or another SPI, mean nothing here', async (t) => {
  for (const other of [esp({ keyId: 'others' }), esp({ spiOut: 1002 })]) {
    const store = new MemoryStore();
    const state = { homeAddress: HOME_ADDRESS, sequence: 7, esp: other };
    keepReplayTops(store, state, ESP, [HOME_AGENT]);
    t.strictSame(stateOf(store).esp, esp({ next: 1, replayTops: [] }));
    t.equal(numbersFrom(state, ESP, 1), undefined);
  }
  t.strictSame(stateOf(busy(), OTHER_KEYS).esp, esp({ keyId: 'others', next: 1, replayTops: [] }));
  const state = { homeAddress: HOME_ADDRESS, esp: esp() };
  t.equal(numbersFrom(state, NONE, 1), undefined, 'without ESP there are none');
  t.equal(numbersFrom({ homeAddress: HOME_ADDRESS }, ESP, 1), undefined);
});

t.test('RFC 4303 3.4.3: tops of windows never go back', async (t) => {
  const store = busy();
  const keep = (top: number, homeAgent = HOME_AGENT): void => {
    const told = esp({ replayTops: [{ homeAgent, top }] });
    keepReplayTops(store, { homeAddress: HOME_ADDRESS, esp: told }, ESP, [HOME_AGENT]);
  };
  keep(69);
  t.equal(store.replayTop(top(HOME_AGENT)), 70);
  keep(71);
  t.equal(store.replayTop(top(HOME_AGENT)), 71);
  keep(2 ** 32 - 1);
  t.equal(store.replayTop(top(HOME_AGENT)), 71, 'its answers would all be replays');
  keep(72, SECOND_AGENT);
  t.equal(store.replayTop(top(SECOND_AGENT)), undefined, 'no home agent of its');
});

t.test('numbers that no host can have reached are not believed', async (t) => {
  const floor = espFloor(ESP, Date.now());
  const from = (next: number, ours = 900): number | undefined =>
    numbersFrom({ homeAddress: HOME_ADDRESS, esp: esp({ next }) }, ESP, ours);
  t.equal(from(2 ** 32), undefined, 'an association without a number left is dead');
  t.equal(from(floor + 5000), undefined);
  t.equal(from(floor + 100), floor + 100);
  t.equal(from(floor + 5000, floor + 4000), floor + 5000, 'from where ours are');
});
