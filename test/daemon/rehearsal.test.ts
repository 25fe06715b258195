import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Rehearsals, rehearseArrival } from '../../src/daemon/rehearsal.js';
import { PROTOCOL, parseAddress, parsePacket } from '../../src/wire/index.js';
import { loadGuest, NO_MONITOR } from '../support/guest-file.js';

const CARE_OF = parseAddress('2001:db8:3000::44');
const HOME_AGENT = parseAddress('2001:db8:2000::1');

/** A host with one guest under ESP, and with its keys. */
function host(directory: string) {
  const keys = join(directory, 'keys');
  const hex = (octets: number): string => '5a'.repeat(octets);
  const key = `encryption_key = "${hex(16)}"\nauthentication_key = "${hex(20)}"\n`;
  writeFileSync(keys, key, { mode: 0o600 });
  const security = (home: string, lines: string): string =>
    `[[guest.security]]\nhome_address = "${home}"\n${lines}\n`;
  const esp = `kind = "esp"
encryption = "aes-128-cbc"
authentication = "hmac-sha1-96"
spi_out = 1000
spi_in = 1001
replay_window = 1024
key_file = "${keys}"`;
  return loadGuest(
    directory,
    `home_addresses = ["2001:db8:2000::10", "2001:db8:2000::11"]
care_of_address = "${CARE_OF}"
register = "qmp"
${NO_MONITOR}
${security('2001:db8:2000::10', esp)}${security('2001:db8:2000::11', 'kind = "none"')}`,
  );
}

t.test('a rehearsal seals the Binding Updates of every home address, all the way', (t) => {
  const { config, guest } = host(t.testdir());
  const packets = rehearseArrival(config, guest, CARE_OF).map((bytes) => parsePacket(bytes));
  t.ok(packets.length >= 2 && packets.length % 2 === 0, `${packets.length} of them`);
  for (const [index, packet] of packets.entries()) {
    t.match(packet, { source: CARE_OF, destination: HOME_AGENT });
    t.equal(packet.protocol, index % 2 === 0 ? PROTOCOL.esp : PROTOCOL.mobility);
  }
  t.end();
});

t.test('once for each time that a guest is awaited, and not many times at once', (t) => {
  const { config, guest } = host(t.testdir());
  const rehearsed: string[] = [];
  let now = 0;
  const rehearsals = new Rehearsals(
    config,
    () => now,
    (_, { name }) => {
      rehearsed.push(name);
      return [];
    },
  );
  const guests = ['vm1', 'vm2', 'vm3'].map((name) => ({
    config: { ...guest, name },
    careOfAddress: CARE_OF,
  }));
  const [vm1, vm2, vm3] = guests;
  if (vm1 === undefined || vm2 === undefined || vm3 === undefined) throw new Error('no guests');
  rehearsals.before(vm1);
  rehearsals.before(vm2);
  t.strictSame(rehearsed, ['vm1'], 'what is compiled is compiled for all');
  now = 60_000;
  rehearsals.before(vm1);
  rehearsals.before(vm2);
  t.strictSame(rehearsed, ['vm1'], 'their machines may run at any moment');
  rehearsals.over(vm1);
  rehearsals.before(vm1);
  t.strictSame(rehearsed, ['vm1', 'vm1'], 'it went and is to come again');
  now = 120_000;
  rehearsals.before({ ...vm3, careOfAddress: undefined });
  t.equal(rehearsed.length, 2, 'a guest at home has no Binding Update to send from abroad');
  t.end();
});
