import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import t from 'tap';
import {
  addedGuestFile,
  forgetAddedGuest,
  keepAddedGuest,
  readAddedGuests,
} from '../../src/daemon/config/added-guests.js';
import {
  ConfigError,
  type LoadedHost,
  loadHost,
  withGuest,
  withoutGuest,
} from '../../src/daemon/config/load.js';
import { HostChanges } from '../../src/daemon/host-changes.js';
import type { Waiting } from '../../src/daemon/host-daemon.js';
import { KagemushaError } from '../../src/errors.js';

const directory = t.testdir();
let folders = 0;

/** The keys of a guest, with its number in whatever it must have for itself. */
function guest(n: number, more = ''): string {
  return `name = "vm${n}"
home_addresses = ["2001:db8:2000::${n}0"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::${n}4"
port = { kind = "tap", device = "kgtap${n}" }
${more}`;
}
const withoutName = (text: string) => text.replace(/^name = .*\n/, '');

/** A host with guest 1 in its file, and a state directory of its own. */
function host(): { readonly file: string; readonly state: string } {
  folders += 1;
  const state = join(directory, `state${folders}`);
  const file = join(directory, `${folders}.toml`);
  mkdirSync(state);
  writeFileSync(file, `[host]\nstate_directory = "${state}"\n\n[[guest]]\n${guest(1)}`);
  return { file, state };
}

/** What the document of a guest is refused for. */
function refusal(loaded: LoadedHost, name: string, text: string): { code: string; said: string[] } {
  try {
    withGuest(loaded, { name, file: 'request', text });
    return { code: '', said: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { code: error.code, said: error.problems.map(({ message }) => message) };
  }
}

t.test('the document of a guest: the keys of one [[guest]] table', async (t) => {
  const loaded = loadHost(host().file);
  const names = ({ config }: LoadedHost) => config.guests.map(({ name }) => name);
  const added = withGuest(loaded, { name: 'vm2', file: 'request', text: guest(2) });
  t.same(names(added), ['vm1', 'vm2']);
  for (const text of [
    withoutName(guest(2)),
    `[[guest]]\n${guest(2)}`,
    `[guest]\n${withoutName(guest(2))}[guest.security]\nkind = "none"\n`,
  ]) {
    const other = withGuest(loaded, { name: 'vm2', file: 'request', text });
    t.same(other.config, added.config, 'the same with a header, and without a name');
  }
  const changed = withGuest(added, {
    name: 'vm2',
    file: 'request',
    text: guest(2, 'lifetime = 120'),
  });
  t.same(names(changed), ['vm1', 'vm2'], 'a guest of that name is changed');
  t.equal(changed.config.guests[1]?.lifetime, 120);
  t.same(withoutGuest(changed, 'vm2'), loaded);
  t.equal(withoutGuest(loaded, 'vm7'), loaded);
});

t.test('complaints are those of a file, and say where in the request', async (t) => {
  const loaded = loadHost(host().file);
  const invalid = (name: string, text: string, ...said: RegExp[]) => {
    const refused = refusal(loaded, name, text);
    t.equal(refused.code, 'GUEST_INVALID');
    t.match(refused.said, said);
    t.equal(refused.said.length, said.length);
  };
  invalid('vm2', 'name = \n', /^request:1: not TOML at column \d+: /);
  invalid(
    'vm2',
    guest(2, 'lifetme = 60\nliveness_interval = 1'),
    /^request:7: guest\.lifetme: unknown key; did you mean lifetime\?$/,
    /^request:8: guest\.liveness_interval: 1 is not /,
  );
  invalid(
    'vm2',
    guest(2).replace(/^care_of.*\n/m, ''),
    /^request:1: guest\.care_of_address: is missing; write care_of_address = /,
  );
  invalid('vm3', guest(2), /^request:1: guest\.name: "vm2" is not "vm3"; write "vm3", or take it/);
  invalid('../vm2', withoutName(guest(2)), /^request:1: guest\.name: "\.\.\/vm2" is not a name/);
  const two = `[[guest]]\n${guest(2)}[[guest]]\n${guest(3)}`;
  invalid('vm2', two, /^request:1: is more than one guest; write the keys of one \[\[guest\]\]/);
  invalid('vm2', `[[guest]]\n${guest(2)}[host]\n`, /^request:8: is more than one guest/);
  invalid('vm2', '', /home_addresses: is missing/, /home_prefix/, /home_agent/, /port/);
  const keys = join(directory, 'open.keys');
  writeFileSync(keys, 'authentication_key = "00"\n');
  chmodSync(keys, 0o644);
  const security = (more: string) =>
    guest(2, `[security]\nkind = "auth-option"\nspi = 1000\n${more}\n`);
  invalid(
    'vm2',
    security(`key_file = "${keys}"`),
    /^request:10: guest\.security\.key_file: .* open/,
  );
  invalid(
    'vm2',
    security('authentication_key = "0123"'),
    /guest\.security\.key_file: is missing/,
    /^request:10: guest\.security\.authentication_key: a key never stands here/,
  );
});

t.test('what another guest has is refused with the words of a file', async (t) => {
  const { file } = host();
  const alone = loadHost(file);
  const loaded = withGuest(alone, { name: 'vm2', file: 'request', text: guest(2) });
  const one = readFileSync(file, 'utf8');
  const clashes = [
    guest(3).replace('3000::34', '3000::24'),
    guest(3).replace('2000::30', '2000::20'),
    guest(3).replace('kgtap3', 'kgtap1'),
    guest(3).replaceAll('db8:2000', 'db8:2001').replace('3000::34', '2000::20'),
    guest(3).replace('kgtap3', 'kg0'),
  ];
  for (const text of clashes) {
    writeFileSync(file, `${one}\n[[guest]]\n${guest(2)}\n[[guest]]\n${text}`);
    const wrong = await Promise.resolve()
      .then(() => loadHost(file))
      .catch((error: ConfigError) => error.problems.map(({ message }) => message));
    writeFileSync(file, one);
    const { code, said } = refusal(loaded, 'vm3', text);
    t.equal(code, /kg0/.test(text) ? 'GUEST_INVALID' : 'GUEST_CONFLICT');
    const places = /^(\S+?):(\d+): /;
    t.same(
      said.map((message) => message.replace(places, '')),
      Array.isArray(wrong) && wrong.map((message) => message.replace(places, '')),
    );
    t.match(said[0], /^request:\d+: guest\./);
  }
  t.same(refusal(loaded, 'vm2', guest(2, 'lifetime = 8')).said, [], 'but not with itself');
});

t.test('added guests are kept whole, for their owner alone', async (t) => {
  const { file, state } = host();
  t.same(readAddedGuests(state), []);
  keepAddedGuest(state, 'vm2', guest(2));
  const folder = join(state, 'guests');
  writeFileSync(join(folder, '.vm2.new'), 'half of');
  writeFileSync(join(folder, 'notes'), 'of somebody');
  keepAddedGuest(state, 'vm3', withoutName(guest(3)));
  t.same(readdirSync(folder).sort(), ['notes', 'vm2.toml', 'vm3.toml']);
  t.equal(statSync(addedGuestFile(state, 'vm3')).mode & 0o777, 0o600);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.same(
    loadHost(file).config.guests.map(({ name }) => name),
    ['vm1', 'vm2', 'vm3'],
    'and are there when the file is read again',
  );
  forgetAddedGuest(state, 'vm2');
  forgetAddedGuest(state, 'vm2');
  t.same(
    readAddedGuests(state).map(({ name }) => name),
    ['vm3'],
  );

  keepAddedGuest(state, 'vm4', guest(4, 'lifetime = "sixty"'));
  const kept = addedGuestFile(state, 'vm4');
  t.throws(() => loadHost(file), {
    code: 'CONFIG_INVALID',
    message: new RegExp(`^${kept}:7: guest\\.lifetime: "sixty" is not `),
  });
  forgetAddedGuest(state, 'vm4');
  writeFileSync(file, `${readFileSync(file, 'utf8')}\n[[guest]]\n${guest(3)}`);
  t.throws(() => loadHost(file), {
    message: `${addedGuestFile(state, 'vm3')}:1: guest.name: "vm3" is in ${file}:12 too; take it out of one of the two (kagemusha guest remove vm3, or delete this file)`,
  });
});

/** A host in name only: it has the guests that it was last told of, and may fail to open one. */
function stand(more: { readonly slow?: boolean } = {}) {
  const { file, state } = host();
  const loaded = loadHost(file);
  const seen: string[] = [];
  const failing = new Map<string, string>();
  let waiting: Waiting[] = [];
  let busy = 0;
  const changes = new HostChanges(
    loaded,
    {
      reload: (config) => {
        waiting = config.guests.flatMap((one): Waiting[] => {
          const why = failing.get(one.name);
          if (why === undefined) return [];
          const error = new KagemushaError('DEVICE_BUSY', why);
          return [{ config: one, reason: why, error }];
        });
        seen.push(config.guests.map(({ name, lifetime }) => `${name}/${lifetime}`).join(' '));
        return [];
      },
      attached: () => new Set(),
      get waiting() {
        return waiting;
      },
    },
    { choose: async () => new Map(), alone: async (change) => await change() },
    pino({ level: 'silent' }),
    async () => {
      busy += 1;
      t.equal(busy, 1, 'one change at a time');
      if (more.slow) await new Promise((resolve) => setTimeout(resolve, 20));
      busy -= 1;
    },
  );
  return { changes, seen, failing, file, state };
}

t.test('guests come and go over the socket', async (t) => {
  const { changes, seen, file, state } = stand();
  t.same(await changes.put('vm2', guest(2)), { change: 'added' });
  t.same(await changes.put('vm2', guest(2)), { change: 'unchanged' });
  t.same(await changes.put('vm2', guest(2, 'lifetime = 120')), { change: 'changed' });
  t.same(seen, ['vm1/60 vm2/60', 'vm1/60 vm2/120']);
  t.same(await changes.reload(), { notes: [], failures: [] });
  t.equal(seen.at(-1), 'vm1/60 vm2/120', 'SIGHUP leaves it');

  await t.rejects(changes.put('vm1', guest(1)), {
    code: 'GUEST_CONFIGURED',
    message: `guest "vm1" is in ${file}:4; change it there and run kagemusha reload`,
  });
  await t.rejects(changes.remove('vm1'), { code: 'GUEST_CONFIGURED' });
  await t.rejects(changes.remove('vm3'), {
    code: 'GUEST_UNKNOWN',
    message: 'no guest "vm3"; added to this host: vm2',
  });
  await t.rejects(changes.put('vm3', guest(3).replace('3000::34', '3000::24')), {
    code: 'GUEST_CONFLICT',
    message: /^request:5: guest\.care_of_address: "2001:db8:3000::24" is already the care-of/,
  });
  await changes.remove('vm2');
  t.equal(seen.at(-1), 'vm1/60');
  t.same(readAddedGuests(state), []);
});

t.test('what is not read again does not stand in the way', async (t) => {
  const { changes, seen, file } = stand();
  writeFileSync(file, 'half a fi');
  t.same(await changes.put('vm2', guest(2)), { change: 'added' });
  await t.rejects(changes.reload(), { code: 'CONFIG_INVALID', message: /not TOML/ });
  await changes.remove('vm2');
  t.same(seen, ['vm1/60 vm2/60', 'vm1/60']);
});

t.test('a change that fails half-way leaves what was there', async (t) => {
  const { changes, seen, failing, state } = stand();
  failing.set('vm2', 'kgtap2 is busy');
  await t.rejects(changes.put('vm2', guest(2)), { code: 'DEVICE_BUSY', message: 'kgtap2 is busy' });
  t.same(readAddedGuests(state), []);
  t.equal(seen.at(-1), 'vm1/60');

  failing.clear();
  await changes.put('vm2', guest(2));
  failing.set('vm2', 'kgtap2 is busy');
  await t.rejects(changes.put('vm2', guest(2, 'lifetime = 120')), { code: 'DEVICE_BUSY' });
  t.match(readAddedGuests(state), [{ name: 'vm2', text: guest(2) }]);
  t.equal(seen.at(-1), 'vm1/60 vm2/60');
  t.match(await changes.reload(), { failures: ['vm2: kgtap2 is busy'] }, 'which a reload tells');

  failing.clear();
  // The directory cannot be written: it is none.
  const { changes: others, state: elsewhere, seen: told } = stand();
  writeFileSync(join(elsewhere, 'guests'), '');
  await t.rejects(others.put('vm2', guest(2)), { code: 'GUEST_UNWRITABLE' });
  t.same(told, ['vm1/60'], 'nothing but what was there');
});

t.test('requests at once are dealt with one after the other', async (t) => {
  const { changes, seen } = stand({ slow: true });
  const many = [2, 3, 4, 5];
  const wanted = many.map((n) => changes.put(`vm${n}`, guest(n)));
  const twins = [changes.put('vm6', guest(6)), changes.put('vm7', guest(6).replace('vm6', 'vm7'))];
  const gone = changes.remove('vm3');
  t.same(await Promise.all(wanted), Array(4).fill({ change: 'added' }));
  const [first, second] = await Promise.allSettled(twins);
  t.match([first, second], [{ status: 'fulfilled' }, { reason: { code: 'GUEST_CONFLICT' } }]);
  await gone;
  t.equal(seen.at(-1), 'vm1/60 vm2/60 vm4/60 vm5/60 vm6/60');
  const last = changes.put('vm7', guest(7));
  const closed = changes.close();
  await t.rejects(last, { code: 'STOPPING' });
  await closed;
  await t.rejects(changes.remove('vm2'), { code: 'STOPPING' });
});
