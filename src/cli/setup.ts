import { readCapabilities } from '../daemon/capabilities.js';
import { applyMissing, undo } from '../daemon/setup/apply.js';
import { missingSteps, type SetupPlan } from '../daemon/setup/plan.js';
import { makeCommands } from '../daemon/setup/resource.js';
import { readSystem, type SystemState } from '../daemon/setup/system.js';
import { planSetup } from '../daemon/setup.js';
import { KagemushaError } from '../errors.js';
import { loadWithGuests } from './guest-file.js';
import { ownerOf } from './owner.js';
import { shellLine } from './shell.js';

export interface SetupArguments {
  readonly config: string;
  readonly guest?: readonly string[];
  readonly apply?: boolean;
  readonly undo?: boolean;
  readonly user?: string;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

/** `kagemusha setup`: prints, makes or takes away what a configuration needs of the system. */
export async function setup(options: SetupArguments): Promise<number> {
  if (options.apply === true && options.undo === true) {
    throw new KagemushaError('USAGE', 'use either --apply or --undo');
  }
  const config = loadWithGuests(options.config, options.guest ?? [], { keys: 'leave' });
  const owner = await ownerOf(options.user);
  const system = await readSystem();
  const plan = planSetup(config, system, { owner });
  if (options.undo === true) return await takeAway(plan);
  if (options.apply === true) return await make(plan, system);
  print(plan, system);
  return 0;
}

function requireRoot(plan: SetupPlan, flag: string): void {
  if (readCapabilities().netAdmin) return;
  const again = `sudo kagemusha setup --config ${plan.configPath} ${flag}`;
  throw new KagemushaError('SETUP_RIGHTS', `changing the system needs root; run: ${again}`);
}

function print(plan: SetupPlan, system: SystemState): void {
  const missing = new Set(missingSteps(plan, system));
  say(`# What ${plan.configPath} needs of this system.`);
  say(`# kagemusha setup --config ${plan.configPath} --apply (as root) runs what is missing.`);
  for (const step of plan.steps) {
    say('');
    say(`# ${step.describe}${missing.has(step) ? '' : ' (already so)'}`);
    for (const command of makeCommands(step.resource, system)) {
      say(missing.has(step) ? shellLine(command) : `# ${shellLine(command)}`);
    }
  }
  for (const note of plan.notes) say(`\n# Note: ${note}`);
  for (const obstacle of plan.obstacles) say(`\n# In the way: ${obstacle}`);
}

async function make(plan: SetupPlan, system: SystemState): Promise<number> {
  requireRoot(plan, '--apply');
  const made = await applyMissing(plan, system, (step, commands) => {
    say(`${step.describe}:`);
    for (const command of commands) say(`  ${shellLine(command)}`);
  });
  for (const note of plan.notes) say(`note: ${note}`);
  say(made.length === 0 ? 'nothing to do: everything is there' : `done: ${made.length} steps`);
  return 0;
}

async function takeAway(plan: SetupPlan): Promise<number> {
  requireRoot(plan, '--undo');
  const { commands, left } = await undo(plan);
  for (const command of commands) say(shellLine(command));
  for (const line of left) say(`left: ${line}`);
  if (commands.length === 0) say('nothing to take away');
  return 0;
}
