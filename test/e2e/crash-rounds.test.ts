import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { crashRounds } from '../support/crash/crash-rounds.js';
import { judgeAssociations, judgeUpdates } from '../support/crash/sequence-judge.js';
import type { SeenMessage, Sighting } from '../support/crash/sightings.js';
import { record } from '../support/record.js';

/*
 * `npm run crash-rounds` runs this file with more rounds and has it write down what came of them.
 */
const rounds = Number(process.env.CRASH_ROUNDS ?? 30);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 0x1_0000_0000);
const seconds = Number(process.env.CRASH_SECONDS ?? 240);
const output = process.env.CRASH_RECORD;

function sighting(sequence: number, message?: SeenMessage): Sighting {
  const ends = { source: 'a', destination: 'b', homeAddress: 'h' };
  return { at: 0, ...ends, spi: 1000, sequence, message };
}

const update = (sequence: number): SeenMessage => ({ kind: 'update', sequence, seconds: 8 });
const refused = (status: number, sequence: number): SeenMessage => ({
  kind: 'acknowledgement',
  status,
  sequence,
  seconds: 0,
});

t.test('RFC 4303 3.3.3: the judge of these rounds sees a number that is used again', async (t) => {
  const verdict = (...numbers: number[]) =>
    judgeAssociations(numbers.map((number) => sighting(number)))[0]?.reused;
  t.same(verdict(1, 2, 65, 66), [], 'numbers may be skipped');
  t.same(verdict(1, 2, 3, 2), [2]);
  t.same(verdict(1, 5, 3), [3], 'a lower one was given out before');
  t.same(verdict(7, 7), [7]);
});

t.test('RFC 6275 11.7.1: the judge of these rounds follows Binding Updates', async (t) => {
  const verdict = (...messages: SeenMessage[]) =>
    judgeUpdates(messages.map((message, index) => sighting(index, message)))[0];
  t.match(verdict(update(65535), update(0), update(16)), { reused: [], wraps: 1 });
  t.match(verdict(update(9), update(8)), { reused: [8] });
  t.match(verdict(update(9), update(9)), { reused: [9] });
  t.match(verdict(update(9), refused(135, 5), update(6)), { reused: [], resynchronised: 1 });
  t.match(verdict(update(9), refused(128, 5), update(6)), { reused: [6] });
});

const title = `${rounds} rounds of kill -9 at random instants: no number reused, no binding lost`;
t.test(title, { timeout: 1000 * (seconds + 60) }, async (t) => {
  const report = await crashRounds({
    rounds,
    seed,
    seconds,
    progress: (round, failures) => {
      if (round % 50 === 0) process.stderr.write(`${round} rounds, ${failures.length} failures\n`);
    },
    inspect: async (capture, sightings) => {
      const read = sightings.map(({ spi, sequence }) => `${spi} ${sequence}`);
      t.same(await espNumbers(capture), read, 'tshark reads the same numbers');
    },
  });
  if (output !== undefined) {
    await record(output, `npm run crash-rounds -- --rounds ${rounds}`, report);
  }
  t.comment(JSON.stringify(report, null, 2));
  t.equal(report.rounds, rounds, 'all rounds were done');
  t.same(report.failures, [], `nothing failed (CRASH_SEED=${seed} chooses the same instants)`);
  t.equal(report.unseen, 0, 'the capture missed nothing');
  t.equal(report.associations.length, 2, 'both ends were seen to send');
  for (const { source, spi, seen, reused } of report.associations) {
    t.same(reused, [], `${source} SPI ${spi}: none of ${seen} numbers was reused`);
    t.ok(seen >= rounds / 2, 'and there was something to judge');
  }
  t.equal(report.updates.length, 1, 'one home address');
  for (const { seen, reused } of report.updates) {
    t.same(reused, [], `none of ${seen} Binding Updates had a number of another`);
  }
  t.equal(report.bindings.lost, 0, `no binding lost in ${report.bindings.checked} restarts`);
  t.equal(report.tunnels.closed, 0, `open at once in ${report.tunnels.checked} restarts`);
  t.ok(report.bindings.checked >= report.homeAgent.kills / 4);
  t.ok(report.tunnels.checked >= report.host.kills / 4);
});

/** SPI and sequence number of every ESP packet, in tshark's reading. */
async function espNumbers(capture: string): Promise<string[]> {
  const fields = ['-T', 'fields', '-E', 'separator= ', '-e', 'esp.spi', '-e', 'esp.sequence'];
  const argv = ['-n', '-r', capture, '-Y', 'esp', ...fields];
  const options = { maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await promisify(execFile)('tshark', argv, options);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => line.split(' ').map(Number).join(' '));
}
