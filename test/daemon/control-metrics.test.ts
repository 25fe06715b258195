import t from 'tap';
import { parseCapabilities } from '../../src/daemon/capabilities.js';
import { createMetrics } from '../../src/daemon/metrics.js';
import { createNotifier } from '../../src/daemon/notify.js';
import type { DaemonStatus } from '../../src/daemon/status.js';
import { homeAgentStatus, hostStatus } from './fixtures.js';

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
      'kagemusha_binding_expires_seconds{guest="vm1"} 41.2',
      'kagemusha_packets_total{guest="vm1",direction="to_home"} 10',
      'kagemusha_bytes_total{guest="vm1",direction="to_home"} 12345',
      'kagemusha_packets_total{guest="vm1",direction="to_guest"} 20',
      'kagemusha_drops_total{guest="vm1",reason="spoofed_source"} 3',
      'kagemusha_drops_total{guest="",reason="unknown_tunnel"} 7',
    ]) {
      t.ok(text.includes(`${line}\n`), line);
    }
    t.notMatch(text, /expires_seconds\{guest="vm2"\}/);
    t.match(text, /^process_cpu_seconds_total/m);
  }
  now = { ...hostStatus, guests: [] };
  t.notMatch(await metrics.scrape(), /vm1/, 'a guest that went leaves nothing behind');
});

t.test('a home agent: its bindings', async (t) => {
  const lines = await samples(() => homeAgentStatus);
  t.ok(lines.includes('kagemusha_guest_registered{guest="2001:db8:2000::10"} 1'));
  t.ok(lines.includes('kagemusha_bytes_total{guest="2001:db8:2000::10",direction="to_guest"} 4'));
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
