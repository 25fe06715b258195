/**
 * The correspondent's end of the guest's TCP stream, a process in its namespace: `counted-stream-peer.js ADDRESS PORT` takes one connection on
 * which lines with the numbers 0, 1, 2 … come, and prints a report line every 50 ms.
 */
import { createServer } from 'node:net';
import type { StreamReport } from '../tcp-stream.js';

const [address = '::', port = '0'] = process.argv.slice(2);
const report: StreamReport = { bytes: 0, longestGapMs: 0 };
let last: number | undefined;
let next = 0;
let rest = '';

const server = createServer((socket) => {
  server.close();
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    const now = performance.now();
    report.longestGapMs = Math.max(report.longestGapMs, now - (last ?? now));
    last = now;
    report.bytes += text.length;
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== `${next}`) fail(`${next} was to come, ${line} came`);
      next += 1;
    }
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('end', () => fail('closed by the other end'));
});
server.listen(Number(port), address);
setInterval(print, 50);

function print(): void {
  const gap = Math.max(report.longestGapMs, last === undefined ? 0 : performance.now() - last);
  process.stdout.write(`${JSON.stringify({ ...report, longestGapMs: Math.round(gap) })}\n`);
}

function fail(message: string): void {
  report.error ??= message;
  print();
}
