import t from 'tap';
import { split } from '../../src/cli/demo/vm/blackout.js';
import { countRecords, diskRecord } from '../../src/cli/demo/vm/disk.js';
import { gapAround, readEchoes, statistics } from '../../src/cli/demo/vm/echoes.js';
import { figure4 } from '../../src/cli/demo/vm/figure.js';
import { decades, rowsOf, tickStep } from '../../src/cli/demo/vm/panel.js';
import { type Observed, report } from '../../src/cli/demo/vm/report.js';
import { held } from '../../src/cli/demo/vm/result.js';
import { describeVm } from '../../src/cli/demo/vm/table.js';
import { hostStatus } from '../daemon/fixtures.js';
import { kagemusha } from './kagemusha.js';

t.test('options that belong to --vm are refused without it, before anything is made', async (t) => {
  const cases: [words: string[], line: RegExp][] = [
    [['--disk'], /USAGE: --disk belongs to --vm: kagemusha demo --vm --disk\n$/],
    [['--figure', 'x.svg'], /USAGE: --figure belongs to --vm: /],
    [
      ['--vm', '--figure', '/nowhere/x.svg'],
      /USAGE: --figure \/nowhere\/x.svg: cannot write into /,
    ],
    [['--capture', '/nowhere/x'], /USAGE: --capture \/nowhere\/x: cannot write into /],
    [['--vm', '--figure'], /USAGE: option '--figure <file>' argument missing/],
  ];
  for (const [words, err] of cases) {
    t.match(await kagemusha(['demo', ...words]), { code: 2, out: '', err }, words.join(' '));
  }
  const help = await kagemusha(['demo', '--help']);
  t.match(help, { code: 0, err: '', out: /--vm .*--disk .*--figure <file>/s });
});

const SAID = `PING 2001:db8:2000::10(2001:db8:2000::10) 56 data bytes
[1000.100500] 64 bytes from 2001:db8:2000::10: icmp_seq=1 ttl=64 time=0.500 ms
[1000.300000] no answer yet for icmp_seq=2
[1000.400000] no answer yet for icmp_seq=3
[1000.450000] 64 bytes from 2001:db8:2000::10: icmp_seq=3 ttl=64 time=150 ms
[1000.500000] From 2001:db8:2000::1 icmp_seq=4 Destination unreachable: Address unreachable
[1000.500000] no answer yet for icmp_seq=4
[1000.502000] 64 bytes from 2001:db8:2000::10: icmp_seq=5 ttl=64 time=2.00 ms
[1000.503000] 64 bytes from 2001:db8:2000::10: icmp_seq=5 ttl=64 time=3.00 ms (DUP!)

--- 2001:db8:2000::10 ping statistics ---
6 packets transmitted, 3 received`;

t.test('what ping -D -O says', async (t) => {
  const echoes = readEchoes(SAID, 100);
  t.same(
    echoes.map(({ sequence, rtt }) => [sequence, rtt]),
    [
      [1, 0.5],
      [2, undefined],
      [3, 150],
      [4, undefined],
      [5, 2],
    ],
    'late answers count, of doubles the first; the sixth was never judged',
  );
  const sent = echoes.map(({ sentAt }) => Math.round(sentAt) - 1_000_000);
  t.same(sent, [100, 200, 300, 400, 500]);
  t.same(statistics(echoes), {
    sent: 5,
    lost: 2,
    min_ms: 0.5,
    median_ms: 2,
    p95_ms: 150,
    max_ms: 150,
  });
  t.same(statistics([]), { sent: 0, lost: 0 });
  t.equal(Math.round(gapAround(echoes, 1_000_150) ?? 0), 200);
  t.equal(gapAround(echoes, 1_000_600), undefined, 'never answered again');
});

const MARKS = { copy: 0, stop: 10_000, resume: 10_300, update: 10_305, acknowledgement: 11_305 };

t.test('the blackout and its parts', async (t) => {
  t.same(split({ ...MARKS, first: 11_345 }), {
    hypervisor_ms: 300,
    trigger_ms: 5,
    early: false,
    home_agent_ms: 1000,
    delivery_ms: 40,
    total_ms: 1345,
  });
  const early = split({ ...MARKS, update: 10_010, acknowledgement: 10_110, first: 10_120 });
  t.same(
    early,
    {
      hypervisor_ms: 300,
      trigger_ms: -290,
      early: true,
      home_agent_ms: 100,
      delivery_ms: 0,
      total_ms: 300,
    },
    'what came before the guest ran reaches it when it runs',
  );
});

t.test('records of the disk are compared one by one', async (t) => {
  const image = Buffer.from([0, 1, 2].map(diskRecord).join(''), 'latin1');
  t.equal(image.length, 3 * 512);
  t.equal(countRecords(image, 3), 3);
  t.equal(countRecords(image, 4), 3, 'one was lost');
  image[512 + 100] = 0;
  t.equal(countRecords(image, 3), 2, 'one was damaged');
});

/** A move that went well: an echo request every 100 ms, lost from STOP to the first packet. */
function observed(times: Partial<typeof MARKS> & { readonly first?: number } = {}): Observed {
  const origin = 1_700_000_000_000;
  const { first = 11_345, ...rest } = times;
  const marks = { ...MARKS, ...rest };
  const [guest] = hostStatus.guests;
  if (guest === undefined) throw new Error('the fixture has no guest');
  const echoes = Array.from({ length: 240 }, (_, i) => {
    const at = -5000 + i * 100;
    const echo = { sequence: i + 1, sentAt: origin + at };
    return at >= marks.stop && at < first ? echo : { ...echo, rtt: at < 0 ? 0.5 : 1.5 };
  });
  return {
    stage: { machine: { accelerator: 'tcg', memoryMib: 128 }, kernel: 'Linux <6.1> & more' },
    migration: {
      copy: origin,
      stop: origin + marks.stop,
      resume: origin + marks.resume,
      uri: 'tcp:[::1]:1',
      wanBps: 100_000_000,
      hypervisor: 'QEMU <7>',
      octets: 120_000_000,
      totalMs: 10_300,
      downtimeMs: 200,
    },
    seen: {
      update: origin + marks.update,
      acknowledgement: origin + marks.acknowledgement,
      first: origin + first,
      packets: {
        protected_binding_update: 'BU',
        protected_binding_acknowledgement: 'BA',
        first_packet: 'first',
      },
    },
    guest: { ...guest, binding: { ...guest.binding, state: 'registered', status: 0 } },
    ping: { command: 'ping <guest>', interval: 100, echoes },
    stream: { before: 100, report: { bytes: 200, longestGapMs: 1500 } },
    capture: { command: 'tcpdump -n -tt -r wan.pcap' },
  };
}

t.test('the result, its exit code and its words', async (t) => {
  const result = { ...report(observed()), figure: '/tmp/f.svg' };
  t.ok(held(result));
  t.match(result.ping, {
    reachable_after: true,
    before: { sent: 50, lost: 0, max_ms: 0.5 },
    copy: { sent: 100, lost: 0 },
    after: { lost: 0, median_ms: 1.5 },
  });
  t.equal(result.ping.gap_ms, 1500);
  t.match(result.marks, { stop_ms: 10_000, binding_update_ms: 10_305 });
  const said = describeVm(result);
  t.match(said, /hypervisor +STOP to RESUME +about 1 s +300 ms/);
  t.match(said, /trigger +RESUME to BU +several hundred ms +5\.0 ms/);
  t.match(said, /total +STOP to first packet +- +1345 ms/);
  t.match(said, /Figure 4 is in \/tmp\/f.svg/);

  t.notOk(held({ ...result, tcp: { ...result.tcp, alive: false } }));
  t.notOk(held({ ...result, ping: { ...result.ping, reachable_after: false } }));
  t.notOk(held({ ...result, binding: { ...result.binding, state: 'registering' } }));
  const disk = { export: 'nbd', octets: 1, records_written: 5, records_intact: 5 };
  t.ok(held({ ...result, disk: { ...disk, records_after_move: 2 } }));
  t.notOk(held({ ...result, disk: { ...disk, records_after_move: 0 } }));
  t.notOk(held({ ...result, disk: { ...disk, records_intact: 4, records_after_move: 2 } }));
});

/** The numbers of an attribute, in order. */
const attributes = (svg: string, name: string): number[] =>
  [...svg.matchAll(new RegExp(` ${name}="(-?[\\d.]+)"`, 'g'))].map(([, value]) => Number(value));

t.test('the figure: an echo a dot, marks with names, everything inside the picture', async (t) => {
  const svg = figure4(report(observed()));
  const names = svg.match(/class="name">([^<]+)</g)?.map((text) => text.slice(13, -1));
  const marks = ['STOP', 'RESUME', 'BU', 'BA', 'first packet'];
  t.same(names, ['migration begins', ...marks, ...marks]);
  const whole = svg.slice(0, svg.indexOf('The blackout and its parts'));
  t.equal(whole.match(/<circle class="dot"/g)?.length, 240 - 14);
  t.equal(whole.match(/<path class="lost"/g)?.length, 14);
  t.match(svg, /hypervisor 300 ms.*trigger 5\.0 ms.*Home Agent 1000 ms.*total 1345 ms/s);
  t.match(svg, /prefers-color-scheme: dark/);
  t.match(svg, /QEMU &#60;7&#62;/, 'what others say is escaped');
  for (const [name, limit] of Object.entries({ x: 960, cx: 960, y: 890, cy: 890 })) {
    const outside = attributes(svg, name).filter((at) => !(at >= 0 && at <= limit));
    t.same(outside, [], name);
  }
  t.notMatch(svg, /NaN|Infinity|undefined/);
});

t.test('a Binding Update before RESUME is early, in the table and in the figure', async (t) => {
  const times = { update: 10_010, acknowledgement: 10_110, first: 10_120 };
  const result = { ...report(observed(times)), figure: 'f' };
  t.ok(held(result));
  t.match(describeVm(result), /trigger +RESUME to BU +several hundred ms +290 ms early/);
  const svg = figure4(result);
  t.match(svg, /class="early"/);
  t.match(svg, /trigger 290 ms early/);
  t.ok(attributes(svg, 'width').every((width) => width > 0));
});

t.test('scales', async (t) => {
  const dot = (rtt_ms: number | null) => ({ at_ms: 0, rtt_ms });
  t.same(decades([dot(0.4), dot(23), dot(null)]), { low: -1, high: 2 });
  t.same(decades([dot(1), dot(1)]), { low: 0, high: 2 });
  t.same(decades([dot(null)]), { low: -1, high: 2 });
  t.same([tickStep(25_000, 12), tickStep(2400, 12), tickStep(1000, 12)], [5000, 200, 100]);
  const rows = rowsOf([
    { from: 0, to: 10 },
    { from: 5, to: 15 },
    { from: 10, to: 20 },
    { from: 11, to: 30 },
  ]);
  t.same(rows, [0, 1, 0, 2]);
});
