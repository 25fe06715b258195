import { closeSync, openSync } from 'node:fs';
import type { Netns } from '../netns.js';
import { type Accelerator, VirtualMachine } from './machine.js';

/** How long a machine may take to boot with KVM; emulated ones take about four seconds. */
const DEADLINE_MS = 8000;

/** KVM where a machine boots with it: inside other virtual machines there are some that open and do not work. */
export async function chooseAccelerator(netns: Netns): Promise<Accelerator> {
  try {
    closeSync(openSync('/dev/kvm', 'r+'));
  } catch {
    return 'tcg';
  }
  try {
    const machine = await VirtualMachine.boot(netns, {
      netdev: 'hubport,hubid=0',
      accelerator: 'kvm',
      quiet: true,
      bootTimeoutMs: DEADLINE_MS,
    });
    await machine.kill();
    return 'kvm';
  } catch {
    return 'tcg';
  }
}
