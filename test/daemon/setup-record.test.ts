import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { SetupPlan, Step } from '../../src/daemon/setup/plan.js';
import type { SystemState } from '../../src/daemon/setup/system.js';

const root = t.testdir({
  bin: {
    // Keeps what is on record at the moment of each change; the second one fails.
    sysctl: '#!/bin/sh\ncp "$RECORD" "$RECORD.$2"\n[ "$2" = kernel.first=1 ]\n',
  },
});
const stateDirectory = join(root, 'state');
const record = join(stateDirectory, 'setup.json');
chmodSync(join(root, 'bin', 'sysctl'), 0o755);
// Before the module that runs commands is loaded.
process.env.PATH = `${join(root, 'bin')}:${process.env.PATH}`;
process.env.RECORD = record;
const { applyMissing, makeStateDirectory } = await import('../../src/daemon/setup/apply.js');

const sysctl = (name: string): Step => ({
  describe: name,
  resource: { kind: 'sysctl', name: `kernel/${name}`, value: '1' },
});
const plan: SetupPlan = {
  configPath: 'x.toml',
  stateDirectory,
  steps: [
    sysctl('first'),
    sysctl('second'),
    { describe: 'state', resource: { kind: 'directory', path: stateDirectory } },
  ],
  obstacles: [],
  notes: [],
};
const system = {
  links: new Map(),
  tunTaps: new Map(),
  sysctl: () => '0',
} as unknown as SystemState;

const recorded = (path: string) => {
  const { changes } = JSON.parse(readFileSync(path, 'utf8'));
  return changes.map(
    ({ resource, previous }: { resource: { name?: string; path?: string }; previous?: string }) =>
      resource.path ?? `${resource.name} was ${previous}`,
  );
};

t.test('each change is on record before it is made', async (t) => {
  const told: string[] = [];
  await t.rejects(
    applyMissing(plan, system, (step) => told.push(step.describe)),
    { code: 'IP_COMMAND_FAILED' },
  );
  t.same(told, ['state', 'first']);
  t.same(recorded(`${record}.kernel.first=1`), [stateDirectory, 'kernel/first was 0']);
  const all = [stateDirectory, 'kernel/first was 0', 'kernel/second was 0'];
  t.same(recorded(`${record}.kernel.second=1`), all);
  t.same(recorded(record), all);
  t.notOk(existsSync(`${record}.new`));
});

t.test('a state directory that a daemon makes is on record too', (t) => {
  const path = join(root, 'deep', 'state');
  t.equal(makeStateDirectory(path), true);
  t.same(recorded(join(path, 'setup.json')), [path]);
  t.equal(makeStateDirectory(path), true);
  t.equal(makeStateDirectory(join(root, 'bin', 'sysctl', 'state')), false);
  t.end();
});
