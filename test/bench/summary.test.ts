import { spawnSync } from 'node:child_process';
import t from 'tap';
import { plot } from '../../bench/path/plot.js';
import { shareLeftByHeaders, summarise } from '../../bench/path/summary.js';
import { barCharts } from '../../bench/path/svg.js';
import { describe } from '../../bench/path/table.js';
import type { PathResult, Run } from '../../bench/path/types.js';
import { escapeXml } from '../../src/cli/demo/svg.js';

const ROWS = [
  { name: 'native', path: 'no tunnel', overhead: 0 },
  { name: 'kernel', path: 'the kernel', overhead: 40 },
  { name: 'tun', path: 'ours', overhead: 40 },
  { name: 'packet', path: 'not here', overhead: 40 },
];

function run(row: string, round: number, measure: string, figures: Run['figures']): Run {
  return { profile: 'wire', row, round, measure, figures, command: 'test' };
}

/** A machine that gets slower and slower: only figures of the same round can be compared. */
const RUNS = [1, 2, 3].flatMap((round) => [
  run('native', round, 'tcp-1-up', { gbit_per_s: 16 / round, retransmits: 0 }),
  run('kernel', round, 'tcp-1-up', { gbit_per_s: 8 / round, retransmits: 0 }),
  run('tun', round, 'tcp-1-up', { gbit_per_s: [4, 1, 2][round - 1] ?? 0, retransmits: 3 }),
  run('kernel', round, 'ping', { avg_ms: 0.1 * round, received: 10 }),
  run('tun', round, 'ping', { avg_ms: 0.1 * round + 0.05, received: 10 }),
]);

t.test('ratios are of the same round, and their median counts', async (t) => {
  const summary = summarise('wire', ROWS, RUNS);
  t.same(
    summary.map(({ name }) => name),
    ['native', 'kernel', 'tun'],
    'a row that did not run is left out',
  );
  const tun = summary[2]?.measures;
  t.equal(tun?.['tcp-1-up']?.median.gbit_per_s, 2);
  // 4/8, 1/4, 2/2.667
  t.equal(tun?.['tcp-1-up']?.ratio_to_kernel?.gbit_per_s, 0.5);
  t.equal(tun?.['tcp-1-up']?.ratio_to_kernel?.retransmits, undefined, 'nothing ÷ 0');
  t.equal(tun?.ping?.added_to_kernel?.avg_ms, 0.05);
  t.equal(tun?.ping?.added_to_kernel?.received, undefined, 'a difference is of times only');
  t.equal(summary[1]?.measures['tcp-1-up']?.ratio_to_kernel, undefined);
  t.same(summarise('shaped', ROWS, RUNS), [], 'each profile by itself');
});

t.test('native less the headers that a packet carries for the tunnel', async (t) => {
  t.equal(shareLeftByHeaders(0), 1);
  t.equal(shareLeftByHeaders(40), 1388 / 1428);
  const full = [1, 2].flatMap((round) => [
    run('native', round, 'tcp-1-up', { gbit_per_s: 0.1428 }),
    run('tun', round, 'tcp-1-up', { gbit_per_s: 0.1388 }),
  ]);
  const [native, tun] = summarise('wire', ROWS, full);
  t.equal(tun?.measures['tcp-1-up']?.ratio_to_native_less_headers, 1);
  t.equal(native?.measures['tcp-1-up']?.ratio_to_native_less_headers, undefined);
  t.equal(tun?.measures['tcp-1-up']?.ratio_to_kernel, undefined, 'no kernel, no ratio');
});

const RESULT: PathResult = {
  schemaVersion: 1,
  date: '2026-11-22T00:00:00.000Z',
  machine: {
    cpu: 'A <CPU> & more',
    cores: 2,
    kernel: 'Linux 6',
    architecture: 'x64',
    node: 'v20',
    compiler: 'g++',
    load: 0,
  },
  versions: {},
  command: 'test',
  kernel_tunnel: 'srv6',
  background_busy_cores: 0.01,
  rounds: 3,
  seconds: 1,
  profiles: [
    { name: 'wire', rows: summarise('wire', ROWS, RUNS) },
    {
      name: 'shaped',
      rows: summarise(
        'shaped',
        ROWS,
        RUNS.map((one): Run => ({ ...one, profile: 'shaped' })),
      ),
    },
  ],
  skipped: [{ name: 'packet', reason: 'not built' }],
  runs: RUNS,
};

t.test('the table has the ratio beside the figure, what was skipped, and the paper', async (t) => {
  const table = describe(RESULT);
  t.match(table, /^tun +2\.00 \(0\.50\) +- /m);
  t.match(table, /^kernel +4\.00 +- /m);
  t.match(table, /^tun +250 +50 +- /m, 'microseconds, and those added');
  t.match(table, /^not run: packet: not built$/m);
  t.match(table, /^iperf TCP, 100 Mbit\/s +84\.4 Mbit\/s +87\.8 Mbit\/s +87\.9 Mbit\/s /m);
  t.match(table, /^ping6 RTT \(std dev\) +0\.44 ms/m);
  t.match(table, /^memory \(RSS\) +about 1\.5 MB/m);
  t.notMatch(table, /NaN|undefined/);
});

t.test('the picture is XML, with a bar for each value and no other', async (t) => {
  const picture = plot(RESULT);
  t.match(picture, 'A &#60;CPU&#62; &#38; more');
  t.notMatch(picture, /NaN|undefined|Infinity/);
  const values = [...picture.matchAll(/<title>/g)].length;
  // 1 flow up and ping's average on the wire; 1 flow up on the shaped one.
  t.equal(values, 3 + 2 + 3);
  const script = 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.stdin)';
  const { status, stderr } = spawnSync('python3', ['-c', script], { input: picture });
  t.equal(status, 0, `${stderr}`);
});

t.test('bars are as high as their values, on one scale', async (t) => {
  const bars = [
    { label: 'one', value: 1 },
    { label: 'four', value: 4 },
    { label: 'none', value: undefined },
  ];
  const picture = barCharts(
    ['head'],
    [{ title: 't', unit: 'u', digits: 0, groups: [{ name: 'g', bars }] }],
  );
  const heights = [...picture.matchAll(/height="([\d.]+)" fill="[^"]+"><title>/g)].map(([, h]) =>
    Number(h),
  );
  t.equal(heights.length, 2);
  t.ok(Math.abs((heights[1] ?? 0) / (heights[0] ?? 1) - 4) < 0.01);
  t.equal(escapeXml(`<&">'`), '&#60;&#38;&#34;&#62;&#39;');
});
