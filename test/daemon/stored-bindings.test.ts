import t from 'tap';
import type { Logger } from '../../src/daemon/log.js';
import { MemoryStore } from '../../src/daemon/store/memory-store.js';
import { StoredBindings } from '../../src/daemon/stored-bindings.js';
import { Drops } from '../../src/drops.js';
import { KagemushaError } from '../../src/errors.js';
import type { Signal } from '../../src/signaling/index.js';
import { parseAddress } from '../../src/wire/address.js';

const homeAddress = parseAddress('2001:db8:2000::10');
const careOfAddress = parseAddress('2001:db8:3000::44');
const binding = {
  homeAddress,
  careOfAddress,
  sequence: 7,
  lifetime: 60,
  expiresAt: 60_000,
  linkLocal: false,
  protection: 'esp' as const,
};

/** To a node that is away, or to one at home. */
function acknowledgement(status: number, away = true): Signal {
  return {
    source: parseAddress('2001:db8:2000::1'),
    destination: away ? careOfAddress : homeAddress,
    ...(away ? { routingHeader: homeAddress } : {}),
    message: {
      kind: 'binding-acknowledgement',
      status,
      keyManagement: false,
      reserved: 0,
      sequence: 7,
      lifetime: 60,
      options: [],
    },
  };
}

/** A store whose device has room or not. */
class FullStore extends MemoryStore {
  full = true;

  override putBinding(stored: Parameters<MemoryStore['putBinding']>[0]): void {
    this.#write();
    super.putBinding(stored);
  }

  override endBinding(...ended: Parameters<MemoryStore['endBinding']>): void {
    this.#write();
    super.endBinding(...ended);
  }

  #write(): void {
    if (this.full) throw new KagemushaError('STORE_FAILED', 'no space left on the device');
  }
}

t.test('what could not be written down is not acknowledged', async (t) => {
  const store = new FullStore();
  const drops = new Drops();
  const lines: unknown[] = [];
  const log = { error: (...line: unknown[]) => lines.push(line) } as unknown as Logger;
  const bindings = new StoredBindings(store, drops, log);
  t.ok(bindings.allows(acknowledgement(0)));

  bindings.put(binding);
  t.notOk(bindings.allows(acknowledgement(0)));
  t.notOk(bindings.allows(acknowledgement(1)));
  t.notOk(bindings.allows(acknowledgement(0, false)), 'nor to a node at home');
  t.ok(bindings.allows(acknowledgement(129)), 'a refusal promises nothing');
  t.same(lines, [[{ homeAddress, code: 'STORE_FAILED' }, 'no space left on the device']]);
  t.equal(drops.get('store_failed'), 1);

  bindings.end(homeAddress, true);
  t.ok(bindings.allows(acknowledgement(0)), 'a de-registration is acknowledged all the same');
  t.equal(lines.length, 2);
  t.equal(drops.get('store_failed'), 2);

  bindings.put(binding);
  store.full = false;
  bindings.put(binding);
  t.ok(bindings.allows(acknowledgement(0)), 'the next update finds room');
  t.match(store.bindings(), [{ homeAddress, sequence: 7 }]);
  t.equal(drops.get('store_failed'), 3);
});

t.test('of a listed node the sequence number stays, of others nothing', async (t) => {
  const store = new MemoryStore();
  const bindings = new StoredBindings(store, new Drops(), { error: t.fail } as unknown as Logger);
  bindings.put(binding);
  bindings.end(homeAddress, true);
  t.match(store.bindings(), [{ homeAddress, sequence: 7 }]);
  t.ok((store.bindings()[0]?.expiresAt ?? Number.POSITIVE_INFINITY) <= Date.now());
  bindings.put(binding);
  bindings.end(homeAddress, false);
  t.same(store.bindings(), []);
});
