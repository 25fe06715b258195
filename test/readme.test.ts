import { readFileSync } from 'node:fs';
import t from 'tap';
import type { MovesResult, Spread } from '../bench/moves.js';
import type { ScaleResult } from '../bench/path/scale.js';
import type { Figures, PathResult, Profile, Summary } from '../bench/path/types.js';
import type { DemoResult } from '../src/cli/demo/result.js';
import type { VmResult } from '../src/cli/demo/vm/result.js';

const file = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

t.test('the figures of the README are those of the committed result', async (t) => {
  const readme = file('README.md');
  const result = JSON.parse(file('bench/results/demo.json')) as DemoResult;
  const { native, tunnel } = result.paper_wire;
  const figures = [
    `${(tunnel.tcp.bits_per_second / 1e6).toFixed(1)} Mbit/s`,
    `${(native.tcp.bits_per_second / 1e6).toFixed(1)} Mbit/s`,
    `${tunnel.tcp.cpu_percent.toFixed(1)} %`,
    `${tunnel.ping.avg_ms.toFixed(2)} ms (${tunnel.ping.stddev_ms.toFixed(3)})`,
    `${native.ping.avg_ms.toFixed(2)} ms (${native.ping.stddev_ms.toFixed(3)})`,
    `${(result.memory.host_daemon_rss_bytes / 1e6).toFixed(0)} MB`,
    `| guest to correspondent | ${(result.iperf.up_bps / 1e9).toFixed(2)} Gbit/s |`,
    `| correspondent to guest | ${(result.iperf.down_bps / 1e9).toFixed(2)} Gbit/s |`,
    `| echo requests lost while registered | ${result.ping.lost} |`,
    `${result.binding.move_to_registered_ms} ms, of which`,
    `${result.tcp.longest_gap_ms} ms |`,
  ];
  for (const figure of figures) t.ok(readme.includes(figure), figure);
});

t.test('the figures of live migration are those of their result files', async (t) => {
  const readme = file('README.md');
  const { blackout } = JSON.parse(file('bench/results/demo-vm.json')) as VmResult;
  const { trigger, added, early, rtt, echoes, tcp } = JSON.parse(
    file('bench/results/moves.json'),
  ) as MovesResult;
  const spread = ({ median, least, most }: Spread): string =>
    `${median.toFixed(1)} ms (${least.toFixed(1)} to ${most.toFixed(1)})`;
  const figures = [
    `| hypervisor: STOP to RESUME | about 1 s | ${blackout.hypervisor_ms.toFixed(0)} ms |`,
    `| several hundred ms | ${(-blackout.trigger_ms).toFixed(0)} ms early |`,
    `| about 1 s | ${blackout.home_agent_ms.toFixed(0)} ms |`,
    `each 100 ms | - | ${blackout.total_ms.toFixed(0)} ms |`,
    `| RESUME to Binding Update | ${spread(trigger)} |`,
    `hypervisor's own | ${spread(added)}; the RTT to the Home Agent is ${rtt.toFixed(1)} ms |`,
    `| the same from home, standing still | ${spread(early.added)} |`,
    `| ${echoes.duplicates}, ${tcp.alive ? 0 : 1} |`,
  ];
  for (const figure of figures) t.ok(readme.includes(figure), figure);
});

t.test('the figures of the path and of many guests are those of their result files', (t) => {
  const readme = file('README.md');
  const path = JSON.parse(file('bench/results/path.json')) as PathResult;
  const rows = (name: Profile) =>
    path.profiles.find((profile) => profile.name === name)?.rows ?? [];
  const bare = rows('wire');
  t.ok(bare.length >= 6);
  for (const { name, measures } of bare) {
    const tcp = (measure: string): string => {
      const { median, ratio_to_kernel }: Partial<Summary> & { median: Figures } = measures[
        measure
      ] ?? { median: {} };
      const ratio = ratio_to_kernel?.gbit_per_s;
      return `${median.gbit_per_s?.toFixed(2)}${ratio === undefined ? '' : ` (${ratio.toFixed(2)})`}`;
    };
    const ping = measures.ping;
    const added = ping?.added_to_kernel?.avg_ms;
    const micro = (ms: number | undefined): string => (1000 * (ms ?? Number.NaN)).toFixed(0);
    const delay = `${micro(ping?.median.avg_ms)} µs${added === undefined ? '' : ` (${micro(added)})`}`;
    const shaped = rows('shaped').find((row) => row.name === name)?.measures;
    const share = (measure: string): string =>
      shaped?.[measure]?.ratio_to_native_less_headers?.toFixed(3) ?? '-';
    const cells = [
      `\`${name}\``,
      tcp('tcp-1-up'),
      tcp('tcp-1-down'),
      tcp('tcp-8-up'),
      tcp('tcp-8-down'),
      delay,
      `${share('tcp-1-up')}, ${share('tcp-1-down')}`,
    ];
    const line = `| ${cells.join(' | ')} |`;
    t.ok(readme.includes(line), line);
  }

  const scale = JSON.parse(file('bench/results/scale.json')) as ScaleResult;
  const idle = scale.standing.find(({ guests }) => guests === 100)?.figures;
  const tun = bare.find(({ name }) => name === 'tun')?.measures.memory?.median;
  const figures = [
    `TCP up, down | ${scale.many_to_one.up.gbit_per_s?.toFixed(2)}, ${scale.many_to_one.down.gbit_per_s?.toFixed(2)} |`,
    `| ${idle?.host_cpu_percent?.toFixed(1)} %, ${idle?.home_agent_cpu_percent?.toFixed(1)} % |`,
    `| ${scale.kib_per_guest.host_beyond_100?.toFixed(0)} KiB |`,
    `| ${((tun?.host_mapped ?? Number.NaN) / 1e6).toFixed(1)} MB, ${((tun?.host_rss_bytes ?? Number.NaN) / 1e6).toFixed(0)} MB |`,
  ];
  for (const figure of figures) t.ok(readme.includes(figure), figure);
  t.end();
});
