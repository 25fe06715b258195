import t from 'tap';
import { runMoves } from '../../bench/moves.js';
import { noVirtualMachine } from '../../src/cli/demo/vm/machine.js';

const MOVES = 50;

t.test(
  'fifty moves between two foreign hosts: nothing dies, nothing is answered twice, nothing leaks',
  { skip: noVirtualMachine, timeout: 600_000 },
  async (t) => {
    const result = await runMoves({
      moves: MOVES,
      departures: 1,
      command: 'test/e2e/moves.test.ts',
      progress: (line) => t.comment(line),
    });
    t.equal(result.moves.length, MOVES + 3);
    t.equal(result.tcp.alive, true);
    t.equal(result.echoes.duplicates, 0);
    t.equal(result.early.added.most, 0, 'registered while it stood still');
    // Emulated processors and other tests share the cores here: the figures are bench/results/moves.json.
    t.ok(result.trigger.median < 100, `RESUME to Binding Update: ${result.trigger.median} ms`);
    t.ok(result.added.median < 500, `added: ${result.added.median} ms`);
    for (const [name, { early, late }] of Object.entries(result.daemons)) {
      t.ok(late.descriptors <= early.descriptors + 3, `${name}: no descriptor stays open`);
      const grown = (late.resident - early.resident) / 2 ** 20;
      t.ok(grown < 40, `${name}: ${grown.toFixed(1)} MiB more`);
    }
  },
);
