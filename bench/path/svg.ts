import { escapeXml, text } from '../../src/cli/demo/svg.js';

/** One bar. */
export interface Bar {
  readonly label: string;
  /** undefined: nothing was measured */
  readonly value: number | undefined;
}

/** Groups of bars beside each other, of one unit, on one scale. */
export interface Chart {
  readonly title: string;
  /** Behind each number. */
  readonly unit: string;
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[];
  /** A line across that is one measured value for comparison. */
  readonly digits: number;
}

const WIDTH = 960;
const CHART = { height: 220, top: 44, bottom: 24, left: 16, right: 16 } as const;
const HEAD = 64;
const GAP = 24;
/** Told apart by those who see no red and green (Okabe and Ito). */
const COLOURS = ['#999999', '#0072b2', '#56b4e9', '#d55e00', '#e69f00', '#009e73', '#cc79a7'];

/** A picture of bar charts, one below the other, with the labels' colours said once. */
export function barCharts(head: readonly string[], charts: readonly Chart[]): string {
  const labels = [
    ...new Set(charts.flatMap(({ groups }) => groups).flatMap(({ bars }) => bars.map(labelOf))),
  ];
  const top = HEAD + 16 * Math.max(0, head.length - 1);
  const height = top + charts.length * (CHART.height + GAP);
  const drawn = charts.map((chart, i) => {
    const y = top + i * (CHART.height + GAP);
    return `<g transform="translate(0 ${y})">${drawChart(chart, labels)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...head.map((line, i) =>
      text(CHART.left, 22 + 16 * i, line, i === 0 ? 'font-size="15" font-weight="bold"' : ''),
    ),
    drawLegend(labels, top - 8),
    ...drawn,
    '</svg>',
  ].join('\n');
}

function labelOf({ label }: Bar): string {
  return label;
}

function colourOf(label: string, labels: readonly string[]): string {
  return COLOURS[labels.indexOf(label) % COLOURS.length] ?? 'black';
}

function drawLegend(labels: readonly string[], y: number): string {
  const step = (WIDTH - CHART.left - CHART.right) / Math.max(1, labels.length);
  return labels
    .map((label, i) => {
      const x = CHART.left + i * step;
      const square = `<rect x="${x.toFixed(1)}" y="${y - 10}" width="10" height="10" fill="${colourOf(label, labels)}"/>`;
      return square + text(x + 14, y, label);
    })
    .join('\n');
}

function drawChart({ title, unit, groups, digits }: Chart, labels: readonly string[]): string {
  const values = groups.flatMap(({ bars }) => bars.flatMap(({ value }) => value ?? []));
  const highest = Math.max(0, ...values);
  const base = CHART.height - CHART.bottom;
  const scale = highest > 0 ? (base - CHART.top - 14) / highest : 0;
  const groupWidth = (WIDTH - CHART.left - CHART.right) / Math.max(1, groups.length);
  const parts = [
    text(CHART.left, 20, `${title}, ${unit}`, 'font-weight="bold"'),
    `<line x1="${CHART.left}" x2="${WIDTH - CHART.right}" y1="${base}" y2="${base}" stroke="black"/>`,
  ];
  for (const [i, group] of groups.entries()) {
    const left = CHART.left + i * groupWidth;
    const width = (groupWidth - 16) / Math.max(1, group.bars.length);
    parts.push(text(left + groupWidth / 2, base + 18, group.name, 'text-anchor="middle"'));
    for (const [j, { label, value }] of group.bars.entries()) {
      if (value === undefined) continue;
      const x = left + 8 + j * width;
      const high = Math.max(0, value * scale);
      parts.push(
        `<rect x="${x.toFixed(1)}" y="${(base - high).toFixed(1)}" width="${(width - 2).toFixed(1)}" height="${high.toFixed(1)}" fill="${colourOf(label, labels)}"><title>${escapeXml(`${label}: ${value} ${unit}`)}</title></rect>`,
        text(
          x + (width - 2) / 2,
          base - high - 4,
          value.toFixed(digits),
          'text-anchor="middle" font-size="9"',
        ),
      );
    }
  }
  return parts.join('\n');
}
