import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KagemushaError } from '../../errors.js';
import { run, runAll } from '../ip-route.js';
import { missingSteps, type SetupPlan, type Step } from './plan.js';
import { isRemovable, makeCommands, type Resource, removeCommands } from './resource.js';
import { readSystem, type SystemState } from './system.js';

/** A change that was made, and for a sysctl the value before it. */
interface Change {
  readonly resource: Resource;
  readonly previous?: string;
}

interface SetupRecord {
  readonly version: 1;
  readonly changes: readonly Change[];
}

const recordPath = (stateDirectory: string) => join(stateDirectory, 'setup.json');

function readRecord({ stateDirectory }: Pick<SetupPlan, 'stateDirectory'>): readonly Change[] {
  const path = recordPath(stateDirectory);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  try {
    const record = JSON.parse(text) as Partial<SetupRecord>;
    if (record.version === 1 && Array.isArray(record.changes)) return record.changes;
  } catch {
    // Falls through: it is not ours.
  }
  const message = `${path} is not a record of kagemusha setup; move it away`;
  throw new KagemushaError('SETUP_RECORD', message);
}

/** Whole or not at all, whenever the process is killed. */
function writeRecord(stateDirectory: string, changes: readonly Change[]): void {
  mkdirSync(stateDirectory, { recursive: true });
  const record: SetupRecord = { version: 1, changes };
  const path = recordPath(stateDirectory);
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/**
 * Makes the state directory, and records it, unless it is there: for a daemon that must have it before it changes anything else.
 * @returns false when this user may not make it
 */
export function makeStateDirectory(path: string): boolean {
  if (existsSync(path)) return true;
  try {
    writeRecord(path, [{ resource: { kind: 'directory', path } }]);
    return true;
  } catch {
    return false;
  }
}

/** The same for resources that are the same thing. */
const nameOf = (resource: Resource): string =>
  resource.kind === 'sysctl'
    ? `sysctl ${resource.name}`
    : JSON.stringify({ ...resource, owner: 0 });

/** State of a device of ours: nothing to take away that the device does not take along. */
function goesWithDevice(resource: Resource): boolean {
  if (resource.kind === 'link' || resource.kind === 'queue') return true;
  return resource.kind === 'sysctl' && resource.device !== undefined;
}

/** @throws KagemushaError SETUP_OBSTACLE with the first thing that stands in the way */
export function refuseObstacles(plan: SetupPlan): void {
  const [first] = plan.obstacles;
  if (first === undefined) return;
  const more = plan.obstacles.length > 1 ? ` (and ${plan.obstacles.length - 1} more)` : '';
  throw new KagemushaError('SETUP_OBSTACLE', `${first}${more}`);
}

/**
 * Makes what is missing, telling of each step. Each change is recorded in the state directory before it is made, so that taking
 * back knows of it however the process ends; what was made before a failure stays. Devices, routes and proxy entries, of which there may
 * be hundreds, are recorded and made many at a time.
 * @returns the steps that were made
 * @throws KagemushaError SETUP_OBSTACLE, IP_COMMAND_FAILED
 */
export async function applyMissing(
  plan: SetupPlan,
  system: SystemState,
  tell: (step: Step, commands: readonly (readonly string[])[]) => void,
): Promise<Step[]> {
  refuseObstacles(plan);
  const steps = stateDirectoryFirst(plan, missingSteps(plan, system));
  if (steps.length === 0) return [];
  const changes = [...readRecord(plan)];
  const known = new Set(changes.map(({ resource }) => nameOf(resource)));
  for (const run of runsOf(steps)) {
    let recorded = false;
    for (const { resource } of run) {
      // Of several changes of one sysctl the first knows the value before kagemusha.
      if (known.has(nameOf(resource)) || goesWithDevice(resource)) continue;
      const previous = resource.kind === 'sysctl' ? system.sysctl(resource.name) : undefined;
      changes.push(previous === undefined ? { resource } : { resource, previous });
      known.add(nameOf(resource));
      recorded = true;
    }
    if (recorded) writeRecord(plan.stateDirectory, changes);
    const commands = run.map((step) => makeCommands(step.resource, system));
    await runAll(commands.flat());
    for (const [i, step] of run.entries()) tell(step, commands[i] ?? []);
  }
  return steps;
}

/** Kinds of which hundreds may be needed, one for each guest; they are made a run of them at a time. */
function isOneOfMany(resource: Resource): boolean {
  return (
    goesWithDevice(resource) || ['device', 'route', 'blackhole', 'proxy'].includes(resource.kind)
  );
}

/** Neighbouring steps of one kind that are made at once; others stand alone. */
function runsOf(steps: readonly Step[]): Step[][] {
  const runs: Step[][] = [];
  for (const step of steps) {
    const run = runs.at(-1);
    const { resource } = step;
    const first = run?.[0]?.resource;
    if (first?.kind === resource.kind && isOneOfMany(first) && isOneOfMany(resource)) {
      run?.push(step);
    } else {
      runs.push([step]);
    }
  }
  return runs;
}

/** The record is in it: writing the first change makes it. */
function stateDirectoryFirst({ stateDirectory }: SetupPlan, steps: readonly Step[]): Step[] {
  const isIt = ({ resource }: Step) =>
    resource.kind === 'directory' && resource.path === stateDirectory;
  return [...steps.filter(isIt), ...steps.filter((step) => !isIt(step))];
}

/** A daemon that runs must not lose its routes one by one and then keep its devices. */
function refuseInUse(changes: readonly Change[], system: SystemState): void {
  for (const { resource } of changes) {
    if (resource.kind !== 'device' || system.links.get(resource.device)?.carrier !== true) continue;
    throw new KagemushaError('DEVICE_BUSY', `${resource.device} is in use; stop the daemon first`);
  }
}

/** What taking away did. */
export interface Undone {
  readonly commands: readonly (readonly string[])[];
  /** What was left as it is, and why. */
  readonly left: readonly string[];
}

/** Takes away what is there of the plan and of the record, newest first. @throws KagemushaError DEVICE_BUSY, IP_COMMAND_FAILED */
export async function undo(plan: SetupPlan): Promise<Undone> {
  const recorded = readRecord(plan);
  const planned = plan.steps.map((step): Change => ({ resource: step.resource }));
  const known = new Set(recorded.map(({ resource }) => nameOf(resource)));
  const others = planned.filter(({ resource }) => !known.has(nameOf(resource)));
  const commands: string[][] = [];
  const left: string[] = [];
  const newestFirst = [...recorded, ...others].toReversed();
  const isDevice = ({ resource }: Change) => resource.kind === 'device';
  // A device would take its routes along: it goes after them, recorded or not.
  const changes = [
    ...newestFirst.filter((change) => !isDevice(change)),
    ...newestFirst.filter(isDevice),
  ];
  const system = await readSystem();
  refuseInUse(changes, system);
  for (const change of changes) {
    const { resource, previous } = change;
    // Directories go last, when the record is out of them; made by us only when recorded.
    if (resource.kind === 'directory' || goesWithDevice(resource)) continue;
    if (!isRemovable(resource, system)) continue;
    const remove = removeCommands(resource, previous);
    if (resource.kind === 'sysctl' && remove.length === 0) {
      const name = resource.name.replaceAll('/', '.');
      left.push(`${name} = ${resource.value}: no record that setup set it, so it stays`);
    }
    for (const command of remove) {
      await run(command);
      commands.push(command);
    }
  }
  rmSync(recordPath(plan.stateDirectory), { force: true });
  for (const { resource } of recorded.toReversed()) {
    if (resource.kind !== 'directory' || !isRemovable(resource, system)) continue;
    for (const command of removeCommands(resource)) {
      await run(command);
      commands.push(command);
    }
  }
  return { commands, left };
}

/**
 * Takes away what was made (by us, as the record says) and is not needed any more.
 * @throws KagemushaError IP_COMMAND_FAILED, SETUP_RECORD
 */
export async function takeBack(
  where: Pick<SetupPlan, 'stateDirectory'>,
  superfluous: (resource: Resource) => boolean,
): Promise<void> {
  const recorded = readRecord(where);
  const gone = recorded.filter(({ resource }) => superfluous(resource));
  if (gone.length === 0) return;
  const system = await readSystem();
  for (const { resource, previous } of gone.toReversed()) {
    if (!isRemovable(resource, system)) continue;
    for (const command of removeCommands(resource, previous)) await run(command);
  }
  writeRecord(
    where.stateDirectory,
    recorded.filter((change) => !gone.includes(change)),
  );
}
