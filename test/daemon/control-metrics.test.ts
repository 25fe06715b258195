import t from 'tap';
import { parseCapabilities } from '../../src/daemon/capabilities.js';
import { createMetrics } from '../../src/daemon/metrics.js';
import { createNotifier } from '../../src/daemon/notify.js';
import type { DaemonStatus } from '../../src/daemon/status.js';
import { parseAddress } from '../../src/wire/address.js';
import { home, homeAgentStatus, hostStatus } from './fixtures.js';

/** The samples of our own metrics, sorted. */
async function samples(status: () => DaemonStatus): Promise<string[]> {
  const text = await createMetrics(status).scrape();
  return text.split('\n').filter((line) => line.startsWith('kagemusha_'));
}

t.test('a host: every scrape is the status of that moment', async (t) => {
  let now: DaemonStatus = hostStatus;
  const metrics = createMetrics(() => now);
  for (const _ of [1, 2]) {
    const text = await metrics.scrape();
    for (const line of [
      'kagemusha_guest_registered{guest="vm1"} 1',
      'kagemusha_guest_registered{guest="vm2"} 0',
      'kagemusha_guest_state{guest="vm2",home_address="2001:db8:2000::11",state="rejected"} 1',
      'kagemusha_tunnel_mtu_bytes{guest="vm1",home_address="2001:db8:2000::10"} 1360',
      'kagemusha_tunnel_path_mtu_bytes{guest="vm1",home_address="2001:db8:2000::10"} 1400',
      'kagemusha_binding_expires_seconds{guest="vm1"} 41.2',
      'kagemusha_packets_total{guest="vm1",direction="to_home"} 10',
      'kagemusha_bytes_total{guest="vm1",direction="to_home"} 12345',
      'kagemusha_packets_total{guest="vm1",direction="to_guest"} 20',
      'kagemusha_drops_total{guest="vm1",reason="spoofed_source"} 3',
      'kagemusha_drops_total{guest="",reason="unknown_tunnel"} 7',
      'kagemusha_uplink_info{kind="packet",device="eth0"} 1',
      'kagemusha_uplink_connected{device="eth0"} 0',
      'kagemusha_uplink_addresses{device="eth0",state="duplicate"} 1',
    ]) {
      t.ok(text.includes(`${line}\n`), line);
    }
    t.notMatch(text, /expires_seconds\{guest="vm2"\}/);
    t.notMatch(text, /mtu_bytes\{guest="vm2"/, 'whose tunnel is not open has none');
    t.match(text, /^process_cpu_seconds_total/m);
  }
  now = { ...hostStatus, guests: [] };
  t.notMatch(await metrics.scrape(), /vm1/, 'a guest that went leaves nothing behind');
});

t.test('registered is whose binding stands, whatever was answered last', async (t) => {
  const [guest] = hostStatus.guests;
  if (guest === undefined) return;
  const [first, second] = ['2001:db8:2000::10', '2001:db8:2000::20'];
  const scrape = async (...bindings: ReturnType<typeof home>[]) => {
    const [binding = guest.binding] = bindings;
    const correspondents = ['optimised', 'tunnel', 'optimised'].map((state, i) => ({
      correspondent: parseAddress(`2001:db8:4000::${i + 1}`),
      state: state as 'optimised' | 'tunnel',
    }));
    const now = { ...guest, binding, bindings, correspondents };
    return await samples(() => ({ ...hostStatus, guests: [now] }));
  };
  const [yes, no] = [1, 0].map((value) => `kagemusha_guest_registered{guest="vm1"} ${value}`);
  for (const state of ['registered', 'lost', 'rejected', 'deregistering'] as const) {
    const lines = await scrape(home(first, { state, expiresIn: 12 }));
    t.ok(lines.includes(yes ?? ''), state);
    t.ok(
      lines.includes(
        `kagemusha_guest_state{guest="vm1",home_address="${first}",state="${state}"} 1`,
      ),
    );
    t.equal(lines.filter((line) => line.startsWith('kagemusha_guest_state')).length, 1);
  }
  const two = await scrape(
    home(first, { state: 'registered', expiresIn: 12 }),
    home(second, { state: 'rejected', status: 129 }),
  );
  t.ok(two.includes(no ?? ''), 'every home address counts');
  t.ok(two.includes('kagemusha_correspondents{guest="vm1",state="optimised"} 2'));
  t.ok(two.includes('kagemusha_correspondents{guest="vm1",state="tunnel"} 1'));
});

t.test('a home agent: its bindings', async (t) => {
  const lines = await samples(() => homeAgentStatus);
  t.ok(lines.includes('kagemusha_guest_registered{guest="2001:db8:2000::10"} 1'));
  t.ok(lines.includes('kagemusha_bytes_total{guest="2001:db8:2000::10",direction="to_guest"} 4'));
  const at = 'guest="2001:db8:2000::10",home_address="2001:db8:2000::10"';
  t.ok(lines.includes(`kagemusha_guest_state{${at},state="bound"} 1`));
  t.ok(lines.includes(`kagemusha_tunnel_mtu_bytes{${at}} 1280`));
});

t.test('RFC 6040 4.2: alarms of congestion marks are metrics of their own', async (t) => {
  const guests = hostStatus.guests.slice(0, 1).map((guest) => ({
    ...guest,
    events: { ecnAlarms: 5, fragmentsSent: 6, mssClamped: 7 },
  }));
  const lines = await samples(() => ({ ...hostStatus, guests }));
  const line = (event: string, count: number) =>
    `kagemusha_tunnel_events_total{guest="vm1",event="${event}"} ${count}`;
  t.ok(lines.includes(line('ecnAlarms', 5)));
  t.ok(lines.includes(line('fragmentsSent', 6)));
  t.ok(lines.includes(line('mssClamped', 7)));
});

t.test('sd_notify(3)', async (t) => {
  const sent: [string, string][] = [];
  const notifier = createNotifier((path, message) => sent.push([path, message]), '/run/notify');
  notifier.ready();
  notifier.reloading();
  notifier.stopping();
  t.match(sent, [
    ['/run/notify', 'READY=1'],
    ['/run/notify', /^RELOADING=1\nMONOTONIC_USEC=\d+$/],
    ['/run/notify', 'STOPPING=1'],
  ]);
  for (const none of ['', 'relative']) createNotifier(() => t.fail('sent'), none).ready();
  const broken = () => {
    throw new Error('gone');
  };
  t.doesNotThrow(() => createNotifier(broken, '@abstract').ready());
});

t.test('capabilities(7) of /proc/self/status', async (t) => {
  const read = (mask: string) => parseCapabilities(`Name:\tnode\nCapEff:\t${mask}\nCapBnd:\t0\n`);
  t.same(read('0000000000000000'), { netAdmin: false, netRaw: false });
  t.same(read('0000000000001000'), { netAdmin: true, netRaw: false });
  t.same(read('0000000000002000'), { netAdmin: false, netRaw: true });
  t.same(read('000001ffffffffff'), { netAdmin: true, netRaw: true });
  t.same(parseCapabilities(''), { netAdmin: false, netRaw: false });
});
