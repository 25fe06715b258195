import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bed, buildBed, forget } from '../../bench/path/bed.js';
import { plot } from '../../bench/path/plot.js';
import { CORRESPONDENT, NotHere, ROWS, type Row } from '../../bench/path/rows.js';
import { runPath } from '../../bench/path/run-path.js';
import { describe } from '../../bench/path/table.js';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { captureOn, tshark } from '../support/judge.js';

/** An Ethernet header and the wire's MTU. */
const LARGEST_FRAME = 14 + 1500;
/** What of the wire's packets says which path they took; native has no tunnel at all. */
const ON_THE_WIRE: Readonly<Record<string, string>> = {
  native: `ipv6.dst == ${CORRESPONDENT} && !(ipv6.nxt == 41) && !vxlan && icmpv6.type == 128`,
  vxlan: `vxlan && ipv6.src == ${PAPER.guest} && ipv6.dst == ${CORRESPONDENT}`,
};
const IP6IP6 = `ipv6.nxt == 41 && ipv6.dst == ${PAPER.homeAgent} && ipv6.src == ${PAPER.guest} && icmpv6.type == 128`;

t.test('every row that is here takes the way that it says, both ways', async (t) => {
  const bed = await buildBed();
  t.teardown(() => bed.remove());
  for (const row of ROWS) await t.test(row.name, async (t) => await takesItsWay(t, bed, row));
});

async function takesItsWay(t: Test, bed: Bed, row: Row): Promise<void> {
  const turn = await row.begin(bed).catch((error: unknown) => {
    if (error instanceof NotHere) return error;
    throw error;
  });
  if (turn instanceof NotHere) {
    t.match(turn.message, /not built|unknown key/, turn.message);
    return;
  }
  try {
    await ping(turn.guest, turn.address, 3, 200);
    const capture = await captureOn(bed.router, 'wan0', join(await bed.folder(), 'wan.pcap'));
    const { received } = await ping(turn.guest, turn.address, 10, 50);
    await capture.stop();
    t.equal(received, 10, 'every echo request is answered');
    const lines = async (filter: string) => (await tshark(capture.file, filter)).length;
    const requests = await lines(`icmpv6.type == 128 && ipv6.dst == ${CORRESPONDENT}`);
    // The last ones may be on their way to tcpdump when it ends.
    t.ok(requests >= 5, 'they are on the wire');
    t.equal(await lines(ON_THE_WIRE[row.name] ?? IP6IP6), requests, 'as they should be');
    const replies = await lines(`icmpv6.type == 129 && ipv6.src == ${CORRESPONDENT}`);
    t.ok(replies >= 5, 'so are the replies');
    const tunnelled = 'icmpv6.type == 129 && (ipv6.nxt == 41 || vxlan)';
    t.equal(await lines(tunnelled), row.name === 'native' ? 0 : replies, 'by the same way');
  } finally {
    await turn.end();
    await forget(bed);
  }
}

t.test('a quick run measures the rows in turns and shows what it found', async (t) => {
  const told: string[] = [];
  const names = ['native', 'kernel', 'tun'];
  const result = await runPath({
    rows: ROWS.filter(({ name }) => names.includes(name)),
    profiles: ['wire'],
    rounds: 1,
    quick: true,
    command: 'test',
    progress: (line) => told.push(line),
  });
  t.same(
    result.profiles.map(({ name, rows }) => [name, rows.map((row) => row.name)]),
    [['wire', names]],
  );
  for (const { row, measure, figures } of result.runs) {
    const rate = figures.gbit_per_s ?? figures.delivered_pps ?? figures.received ?? 1;
    t.ok(rate > 0, `${row} ${measure}: something arrives`);
    if (measure.startsWith('tcp')) {
      const octets = figures.wire_octets_per_packet ?? Number.NaN;
      t.ok(octets > 64 && octets <= LARGEST_FRAME, `${row} ${measure}: packets of wire size`);
    }
  }
  const tun = result.profiles[0]?.rows.find(({ name }) => name === 'tun');
  t.ok(
    (tun?.measures['tcp-1-up']?.ratio_to_kernel?.gbit_per_s ?? 0) > 0,
    'the ratio to the kernel',
  );
  t.ok((tun?.measures.memory?.median.host_rss_bytes ?? 0) > 1e6, 'memory of the daemon');
  t.ok(told.length >= result.runs.length, 'it told of each');
  const table = describe(result);
  for (const name of names) t.match(table, new RegExp(`^${name} `, 'm'));
  t.match(plot(result), /^<svg [\s\S]*<\/svg>$/);
});
