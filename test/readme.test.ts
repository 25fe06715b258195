import { readFileSync } from 'node:fs';
import t from 'tap';
import type { DemoResult } from '../src/cli/demo/result.js';

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
