import { escapeXml, text } from '../svg.js';

/** An echo request: when it left and its round trip, milliseconds; null: lost. */
export interface Dot {
  readonly at_ms: number;
  readonly rtt_ms: number | null;
}

/** A moment with a name. */
export interface Mark {
  readonly name: string;
  readonly at_ms: number;
}

/** A stretch of time with a class of the style sheet. */
export interface Phase {
  readonly name: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly kind: 'copy' | 'blackout' | 'tunnel';
}

/** Round trips over time, on a log scale. Times in milliseconds from an origin that they share. */
export interface Panel {
  readonly title: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly dots: readonly Dot[];
  readonly marks: readonly Mark[];
  readonly phases: readonly Phase[];
}

/** Where a panel is drawn: the box of its axes, in pixels; names of marks are above it. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const ROW = 14;
const LETTER = 6.6;
/** Of the strip below the upper edge, where lost echo requests are. */
const LOST = 22;

/** The pixel of a time. */
export function timeScale({ from_ms, to_ms }: Panel, { left, width }: Box): (ms: number) => number {
  return (ms) => left + ((ms - from_ms) / (to_ms - from_ms)) * width;
}

/** The decades that hold every round trip, at least two: powers of ten. */
export function decades(dots: readonly Dot[]): { readonly low: number; readonly high: number } {
  const logs = dots.flatMap(({ rtt_ms }) =>
    rtt_ms === null || rtt_ms <= 0 ? [] : Math.log10(rtt_ms),
  );
  const low = logs.length === 0 ? -1 : Math.floor(Math.min(...logs));
  const high = logs.length === 0 ? 2 : Math.ceil(Math.max(...logs));
  return { low, high: Math.max(high, low + 2) };
}

/** A step of 1, 2 or 5 times a power of ten that makes about so many. */
export function tickStep(span: number, about: number): number {
  const power = 10 ** Math.floor(Math.log10(span / about));
  return (
    [1, 2, 5, 10].map((times) => times * power).find((step) => span / step <= about) ?? 10 * power
  );
}

/** Rows for names beside each other, so that none covers another: the first row that is free at its place. */
export function rowsOf(spans: readonly { readonly from: number; readonly to: number }[]): number[] {
  const ends: number[] = [];
  return spans.map(({ from, to }) => {
    const free = ends.findIndex((end) => end <= from);
    const row = free === -1 ? ends.length : free;
    ends[row] = to;
    return row;
  });
}

/** Draws a panel: phases, grid, marks, dots. @param range of the log scale, so that two panels may share it */
export function drawPanel(panel: Panel, box: Box, range: ReturnType<typeof decades>): string {
  const x = timeScale(panel, box);
  const bottom = box.top + box.height;
  const scale = (box.height - LOST) / (range.high - range.low);
  const y = (rtt: number): number => bottom - (Math.log10(rtt) - range.low) * scale;
  const inside = ({ at_ms }: { readonly at_ms: number }): boolean =>
    at_ms >= panel.from_ms && at_ms <= panel.to_ms;
  return [
    text(box.left, box.top - 4.5 * ROW, panel.title, 'class="title"'),
    ...panel.phases.map((phase) => drawPhase(phase, panel, box)),
    ...drawDecades(range, box, y),
    ...drawTimes(panel, box),
    `<rect class="frame" x="${box.left}" y="${box.top}" width="${box.width}" height="${box.height}"/>`,
    text(box.left - 8, box.top + 10, 'lost', 'text-anchor="end"'),
    ...drawMarks(panel.marks.filter(inside), box, x),
    ...panel.dots.filter(inside).map((dot) => drawDot(dot, x(dot.at_ms), y, box.top + 8)),
  ].join('\n');
}

function drawPhase({ name, from_ms, to_ms, kind }: Phase, panel: Panel, box: Box): string {
  const x = timeScale(panel, box);
  const from = x(Math.max(from_ms, panel.from_ms));
  const to = x(Math.min(to_ms, panel.to_ms));
  if (to <= from) return '';
  const shade = `<rect class="${kind}" x="${from.toFixed(1)}" y="${box.top}" width="${(to - from).toFixed(1)}" height="${box.height}"><title>${escapeXml(name)}</title></rect>`;
  const fits = name.length * LETTER < to - from;
  const label = text((from + to) / 2, box.top + box.height - 6, name, 'text-anchor="middle"');
  return fits ? shade + label : shade;
}

function drawDecades(
  { low, high }: ReturnType<typeof decades>,
  { left, width }: Box,
  y: (rtt: number) => number,
): string[] {
  return Array.from({ length: high - low + 1 }, (_, i) => {
    const value = 10 ** (low + i);
    const at = y(value);
    const line = `<line class="grid" x1="${left}" x2="${left + width}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/>`;
    const digits = Math.max(0, -(low + i));
    return line + text(left - 8, at + 4, `${value.toFixed(digits)} ms`, 'text-anchor="end"');
  });
}

function drawTimes(panel: Panel, box: Box): string[] {
  const x = timeScale(panel, box);
  const step = tickStep(panel.to_ms - panel.from_ms, 12);
  const first = Math.ceil(panel.from_ms / step);
  const last = Math.floor(panel.to_ms / step);
  const bottom = box.top + box.height;
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const ms = (first + i) * step;
    const at = x(ms).toFixed(1);
    const seconds = (ms / 1000).toFixed(step < 100 ? 2 : step < 1000 ? 1 : 0);
    const tick = `<line class="axis" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 4}"/>`;
    return tick + text(x(ms), bottom + 17, `${seconds} s`, 'text-anchor="middle"');
  });
}

function drawMarks(marks: readonly Mark[], box: Box, x: (ms: number) => number): string[] {
  const sorted = marks.toSorted((a, b) => a.at_ms - b.at_ms);
  const width = (name: string): number => name.length * LETTER + 10;
  const right = box.left + box.width;
  const spans = sorted.map(({ name, at_ms }) => {
    const from = Math.min(x(at_ms), right - width(name));
    return { from, to: from + width(name) };
  });
  const rows = rowsOf(spans);
  const top = (i: number): number => box.top - 6 - (rows[i] ?? 0) * ROW;
  const bottom = box.top + box.height;
  // Names after all lines: what stands behind a name is covered by its outline.
  return [
    ...sorted.map(({ at_ms }, i) => {
      const at = x(at_ms).toFixed(1);
      return `<line class="mark" x1="${at}" x2="${at}" y1="${top(i) - 10}" y2="${bottom}"/>`;
    }),
    ...sorted.map(({ name }, i) => text((spans[i]?.from ?? 0) + 4, top(i), name, 'class="name"')),
  ];
}

function drawDot(
  { at_ms, rtt_ms }: Dot,
  x: number,
  y: (rtt: number) => number,
  lost: number,
): string {
  const when = `${(at_ms / 1000).toFixed(2)} s`;
  if (rtt_ms === null || rtt_ms <= 0) {
    const path = `M${(x - 3).toFixed(1)} ${lost - 3}l6 6m-6 0l6 -6`;
    return `<path class="lost" d="${path}"><title>${when}: lost</title></path>`;
  }
  return `<circle class="dot" cx="${x.toFixed(1)}" cy="${y(rtt_ms).toFixed(1)}" r="2"><title>${when}: ${rtt_ms} ms</title></circle>`;
}
