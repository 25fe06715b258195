import { text } from '../svg.js';
import { type Box, decades, drawPanel, type Mark, type Panel, type Phase } from './panel.js';
import type { VmResult } from './result.js';
import { milliseconds, partsOf } from './table.js';

const WIDTH = 960;
const LEFT = 72;
const PLOT = WIDTH - LEFT - 24;
const WHOLE: Box = { left: LEFT, top: 142, width: PLOT, height: 290 };
const CLOSE: Box = { left: LEFT, top: 560, width: PLOT, height: 190 };
const PARTS = { top: CLOSE.top + CLOSE.height + 34, row: 18 };
/** Shown of the time before and after the blackout. */
const AROUND_MS = 500;

/** Follows the reader's choice of light or dark; colours that those tell apart who see no red and green (Okabe and Ito). */
const STYLE = `
text { font: 12px sans-serif; fill: #222 }
.head { font-size: 15px; font-weight: bold } .title, .name { font-weight: bold } .name { paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round } .small { font-size: 11px }
.ground { fill: #fff } .frame { fill: none; stroke: #888 } .grid { stroke: #888; stroke-opacity: .3 } .axis { stroke: #888 }
.mark { stroke: #222; stroke-dasharray: 3 2 } .dot { fill: #0072b2 } .lost { fill: none; stroke: #d55e00; stroke-width: 1.5 }
.copy { fill: #e69f00; fill-opacity: .18 } .blackout { fill: #d55e00; fill-opacity: .2 } .tunnel { fill: #009e73; fill-opacity: .14 }
.part { fill: #d55e00 } .early { fill: #009e73 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .name { stroke: #16181d } .ground { fill: #16181d } .mark { stroke: #ddd } .dot { fill: #56b4e9 } .lost { stroke: #ff8c42 }
  .copy, .blackout, .tunnel { fill-opacity: .3 }
}`;

/** The paper's Figure 4 from a result: round trips over the whole run, and the blackout with its parts, as an SVG. */
export function figure4(result: Omit<VmResult, 'figure'>): string {
  const { ping, marks, blackout, virtual_machine: vm, migration } = result;
  const last = ping.echoes.at(-1)?.at_ms ?? marks.first_packet_ms;
  const back = marks.stop_ms + blackout.total_ms;
  const phases: Phase[] = [
    { name: 'QEMU copies', kind: 'copy', from_ms: 0, to_ms: marks.stop_ms },
    { name: 'blackout', kind: 'blackout', from_ms: marks.stop_ms, to_ms: back },
    { name: 'through the tunnel', kind: 'tunnel', from_ms: back, to_ms: last },
  ];
  const named: Mark[] = [
    { name: 'STOP', at_ms: marks.stop_ms },
    { name: 'RESUME', at_ms: marks.resume_ms },
    { name: 'BU', at_ms: marks.binding_update_ms },
    { name: 'BA', at_ms: marks.binding_acknowledgement_ms },
    { name: 'first packet', at_ms: marks.first_packet_ms },
  ];
  const panel = { dots: ping.echoes, phases };
  const whole: Panel = {
    ...panel,
    title: 'Round trips over the migration, log scale',
    marks: [{ name: 'migration begins', at_ms: 0 }, ...named],
    from_ms: Math.min(0, ping.echoes[0]?.at_ms ?? 0),
    to_ms: Math.max(last, back),
  };
  const close: Panel = {
    ...panel,
    title: 'The blackout and its parts',
    marks: named,
    from_ms: Math.min(marks.stop_ms, marks.binding_update_ms) - AROUND_MS,
    to_ms: back + AROUND_MS,
  };
  const range = decades(ping.echoes);
  const height = PARTS.top + 5 * PARTS.row + 12;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(
      16,
      24,
      'kagemusha: live migration of a virtual machine (the paper’s Figure 4)',
      'class="head"',
    ),
    text(
      16,
      43,
      `${vm.hypervisor} (${vm.accelerator}), ${vm.memory_mib} MB over a WAN of ${migration.wan_bps / 1e6} Mbit/s; ${ping.command}, one dot an echo`,
      'class="small"',
    ),
    drawPanel(whole, WHOLE, range),
    drawPanel(close, CLOSE, range),
    ...drawParts(result, close),
    '</svg>',
    '',
  ].join('\n');
}

/** Each part of the blackout as a bar below the panel, on its scale, with its name and duration. */
function drawParts(
  result: Pick<VmResult, 'marks' | 'blackout'>,
  { from_ms, to_ms }: Panel,
): string[] {
  const x = (ms: number): number => CLOSE.left + ((ms - from_ms) / (to_ms - from_ms)) * CLOSE.width;
  return partsOf(result).map(({ name, from_ms, duration_ms, early }, i) => {
    const y = PARTS.top + i * PARTS.row;
    const begin = x(Math.min(from_ms, from_ms + duration_ms));
    const width = Math.max(2, Math.abs(x(from_ms + duration_ms) - x(from_ms)));
    const label = `${name} ${milliseconds(duration_ms)}`;
    const right = begin + width + 6;
    const fits = right + label.length * 6.6 < CLOSE.left + CLOSE.width;
    const bar = `<rect class="${early ? 'early' : 'part'}" x="${begin.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="10"/>`;
    return (
      bar + (fits ? text(right, y + 9, label) : text(begin - 6, y + 9, label, 'text-anchor="end"'))
    );
  });
}
