import t from 'tap';
import { type GuestState, readGuestState } from '../../src/migration/index.js';
import { parseAddress, parseMac } from '../../src/wire/index.js';

const STATE: GuestState = {
  version: 1,
  homes: [
    {
      homeAddress: parseAddress('2001:db8:2000::10'),
      sequence: 4711,
      bound: {
        homeAgent: parseAddress('2001:db8:2000::1'),
        careOfAddress: parseAddress('2001:db8:3000::44'),
        lifetime: 60,
        expiresAt: 1_800_000_000_000.5,
      },
      esp: {
        spiOut: 1000,
        keyId: '0123456789abcdef',
        next: 4_294_967_296,
        replayTops: [{ homeAgent: parseAddress('2001:db8:2000::1'), top: 77 }],
      },
      pathMtu: 1400,
    },
  ],
  mac: parseMac('52:54:00:12:34:56'),
  linkLocals: [parseAddress('fe80::1')],
  neighbours: [parseAddress('2001:db8:2000::2')],
  stoppedAt: 1_800_000_000_000.25,
};

t.test('a state survives its journey as JSON', async (t) => {
  const travelled = (state: unknown): GuestState =>
    readGuestState(JSON.parse(JSON.stringify(state)));
  t.strictSame(travelled(STATE), STATE);
  t.strictSame(
    travelled({ version: 1, homes: [] }),
    { version: 1, homes: [] },
    'all may be missing',
  );
  t.strictSame(travelled({ ...STATE, novelty: 3 }), STATE, 'what is not known is left unread');
});

t.test('what is no state is refused with the place', async (t) => {
  const refused = (change: object, message: RegExp): void => {
    t.throws(() => readGuestState({ ...STATE, ...change }), { message });
  };
  refused({ version: 2 }, /version 2, and this kagemusha reads 1/);
  t.throws(() => readGuestState({ ...STATE, version: 2 }), { code: 'STATE_VERSION' });
  t.throws(() => readGuestState('hello'), { code: 'STATE_INVALID', message: /all of it/ });
  t.throws(() => readGuestState(undefined), { code: 'STATE_INVALID' });
  refused({ mac: 'x' }, /mac: is no link-layer address/);
  refused({ linkLocals: ['fe80::1', '1.2.3.4'] }, /linkLocals.1: is no IPv6 address/);
  refused({ homes: Array(65).fill({ homeAddress: '2001:db8::1' }) }, /homes: /);
  const [home] = STATE.homes;
  refused({ homes: [{ ...home, sequence: 65_536 }] }, /homes.0.sequence: /);
  refused({ homes: [{ ...home, pathMtu: 1279 }] }, /homes.0.pathMtu: /);
  refused({ homes: [{ ...home, esp: { ...home?.esp, next: 0 } }] }, /homes.0.esp.next: /);
  refused({ homes: [{ ...home, esp: { ...home?.esp, spiOut: 255 } }] }, /homes.0.esp.spiOut: /);
});
