import type { Logger } from 'pino';
import { KagemushaError } from '../errors.js';
import { readCapabilities } from './capabilities.js';
import type { HomeAgentConfig, HostConfig } from './config/schema.js';
import { planHomeAgent } from './home-agent-setup.js';
import { planHost } from './host-setup.js';
import { applyMissing, refuseObstacles } from './setup/apply.js';
import { missingSteps, type PlanOptions, type SetupPlan } from './setup/plan.js';
import { readSystem, type SystemState } from './setup/system.js';
import { requireTun } from './tun-device.js';

/** The plan of either role. */
export function planSetup(
  config: HostConfig | HomeAgentConfig,
  system: SystemState,
  options: PlanOptions = {},
): SetupPlan {
  return config.role === 'host'
    ? planHost(config, system, options)
    : planHomeAgent(config, system, options);
}

export interface EnsureOptions extends Pick<PlanOptions, 'attached'> {
  /** Further words of the command that makes what is missing. */
  readonly also?: string;
}

/**
 * Before a daemon opens its devices: makes what is missing when this process may (root, or root of a user namespace),
 * otherwise says what is missing.
 * @throws KagemushaError TUN_UNAVAILABLE, SETUP_MISSING naming the command to run, SETUP_OBSTACLE, IP_COMMAND_FAILED
 */
export async function ensureSetup(
  config: HostConfig | HomeAgentConfig,
  log: Logger,
  { also = '', attached = new Set() }: EnsureOptions = {},
): Promise<void> {
  const system = await readSystem();
  const privileged = readCapabilities().netAdmin;
  const owner = privileged ? undefined : process.getuid?.();
  const plan = planSetup(config, system, { owner, attached });
  const devices = plan.steps.some(({ resource }) => resource.kind === 'device');
  if (privileged) {
    if (devices) requireTun();
    await applyMissing(plan, system, (step, commands) => {
      log.info({ commands: commands.map((command) => command.join(' ')) }, step.describe);
    });
  } else {
    explainMissing(plan, system, log, also);
    if (devices) requireTun();
  }
  for (const note of plan.notes) log.info(note);
}

/** @throws KagemushaError SETUP_MISSING with the first missing thing and the command that mends all */
export function explainMissing(plan: SetupPlan, system: SystemState, log: Logger, also = ''): void {
  refuseObstacles(plan);
  const missing = missingSteps(plan, system);
  const mend = `sudo kagemusha setup --config ${plan.configPath}${also} --apply`;
  const needed = missing.filter(({ advice }) => advice !== true);
  const [first] = needed;
  if (first === undefined) {
    for (const { describe } of missing) log.warn(`missing: ${describe}; run once: ${mend}`);
    return;
  }
  const more = needed.length > 1 ? ` (and ${needed.length - 1} more)` : '';
  throw new KagemushaError('SETUP_MISSING', `missing: ${first.describe}${more}; run once: ${mend}`);
}
