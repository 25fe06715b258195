/**
 * The two ends of the demo's TCP stream, each a process in its own namespace:
 * `tcp-stream-peer.js server|client ADDRESS PORT`. The client sends a numbered pattern, checks what comes back and
 * prints a report line every 50 ms.
 */
import { connect, createServer } from 'node:net';
import type { StreamReport } from './tcp-stream.js';

const [role, address = '::', port = '0'] = process.argv.slice(2);
/** Octets every 10 ms: about 3 Mbit/s, enough to keep a window open and little beside a 100 Mbit/s wire. */
const CHUNK = 4096;

if (role === 'server') {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(Number(port), address);
} else {
  runClient();
}

function runClient(): void {
  const socket = connect(Number(port), address);
  const report: StreamReport = { bytes: 0, longestGapMs: 0 };
  let sent = 0;
  let last = performance.now();
  const print = (): void => {
    const gap = Math.max(report.longestGapMs, performance.now() - last);
    process.stdout.write(`${JSON.stringify({ ...report, longestGapMs: Math.round(gap) })}\n`);
  };
  const fail = (message: string): void => {
    report.error = message;
    print();
    process.exitCode = 1;
    socket.destroy();
    clearInterval(writing);
    clearInterval(printing);
  };
  socket.setNoDelay(true);
  socket.on('connect', () => {
    last = performance.now();
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('end', () => fail('closed by the other end'));
  socket.on('data', (data) => {
    const now = performance.now();
    report.longestGapMs = Math.max(report.longestGapMs, now - last);
    last = now;
    for (let i = 0; i < data.length; i++) {
      if (data[i] !== patternAt(report.bytes + i)) return fail('the stream came back changed');
    }
    report.bytes += data.length;
  });
  const writing = setInterval(() => {
    if (!socket.writable || socket.writableNeedDrain) return;
    socket.write(Uint8Array.from({ length: CHUNK }, (_, i) => patternAt(sent + i)));
    sent += CHUNK;
  }, 10);
  const printing = setInterval(print, 50);
  process.on('SIGTERM', () => process.exit(0));
}

/** The octet at position `index` of the stream: no two places 64 KiB apart look alike. */
function patternAt(index: number): number {
  return (index ^ (index >>> 8) ^ ((index >>> 16) * 31)) & 0xff;
}
