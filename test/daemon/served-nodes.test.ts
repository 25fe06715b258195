import t from 'tap';
import type { HomeAgentConfig } from '../../src/daemon/config/schema.js';
import { ServedNodes } from '../../src/daemon/served-nodes.js';
import { MemoryStore } from '../../src/daemon/store/memory-store.js';
import { parseAddress } from '../../src/wire/address.js';
import { keysFor } from '../support/esp-keys.js';

const algorithms = { encryption: 'aes-128-cbc', authentication: 'hmac-sha2-256-128' } as const;

function node(last: string, spi: number) {
  return {
    homeAddress: parseAddress(`2001:db8:2000::${last}`),
    security: {
      kind: 'esp' as const,
      ...algorithms,
      spiOut: spi,
      spiIn: spi + 1,
      replayWindow: 64,
      keyFile: '/nowhere',
      keys: keysFor(algorithms, spi),
      keyId: `${spi}`,
    },
  };
}

t.test('a node beyond the room of policing is followed once it has a place', (t) => {
  const told: [index: number, base: number | undefined][] = [];
  const engine = {
    expectSequence: (index: number, base: number | undefined) => told.push([index, base]),
  };
  const first = node('10', 1000);
  const second = node('11', 2000);
  const address = parseAddress('2001:db8:2000::1');
  const nodes = new ServedNodes(address, engine, new MemoryStore(), 1);
  const follow = (...mobileNodes: ReturnType<typeof node>[]) =>
    nodes.follow({ mobileNodes } as unknown as HomeAgentConfig);

  const [, beyond] = follow(first, second);
  t.match(nodes.signalers(), [{ index: 0, homeAddress: first.homeAddress }]);
  t.same(told.splice(0), [
    [0, undefined],
    [0, 0],
  ]);

  const [placed] = follow(second);
  t.match(nodes.signalers(), [{ index: 0, homeAddress: second.homeAddress, spi: 2001 }]);
  t.same(told.splice(0), [
    [0, undefined],
    [0, 0],
  ]);
  t.not(placed?.protection, beyond?.protection);

  const [kept] = follow(second);
  t.equal(kept?.protection, placed?.protection, 'what did not change goes on');
  t.same(told, []);
  t.end();
});
