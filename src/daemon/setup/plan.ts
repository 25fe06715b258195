import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { type Address, contains } from '../../wire/address.js';
import type { Resource } from './resource.js';
import { isThere } from './resource.js';
import type { SystemState } from './system.js';

export interface Step {
  readonly resource: Resource;
  /** What it is and what it is for, one line. */
  readonly describe: string;
  /** The tunnel works without it, if not as well. */
  readonly advice?: boolean;
}

/** What a configuration needs of the system, in the order in which it is made. */
export interface SetupPlan {
  readonly configPath: string;
  /** Where the record of changes is kept. */
  readonly stateDirectory: string;
  readonly steps: readonly Step[];
  /** What stands in the way and no command of ours may mend. */
  readonly obstacles: readonly string[];
  /** What somebody else has to do, as far as it can be told. */
  readonly notes: readonly string[];
}

export interface PlanOptions {
  /** User id that devices and directories are for; undefined: root. */
  readonly owner?: number | undefined;
  /** Devices that the daemon has open, wherever they were moved or bridged to: they are there. */
  readonly attached?: ReadonlySet<string>;
}

/**
 * Packets. The kernel's 500 are 5 ms of a flood of 100 000 a second: whenever the engine has to share its processor for longer,
 * the guests' packets are lost with the flood's.
 */
const TUN_QUEUE = 5000;

/** Collects the steps of a plan; the two roles share its parts. */
export class PlanBuilder {
  readonly steps: Step[] = [];
  readonly obstacles: string[] = [];
  readonly notes: string[] = [];
  readonly #known = new Set<string>();
  readonly #system: SystemState;
  readonly #owner: { owner?: number };

  constructor(system: SystemState, options: PlanOptions) {
    this.#system = system;
    this.#owner =
      options.owner === undefined || options.owner === 0 ? {} : { owner: options.owner };
  }

  add(describe: string, resource: Resource, advice = false): void {
    const name = JSON.stringify(resource);
    if (this.#known.has(name)) return;
    this.#known.add(name);
    this.steps.push(advice ? { resource, describe, advice } : { resource, describe });
  }

  addStep({ describe, resource, advice }: Step): void {
    this.add(describe, resource, advice);
  }

  /** A directory of ours; one that is there must let its owner in and is not changed. */
  directory(path: string, what: string): void {
    if (existsSync(path) && !this.#mayWrite(path)) {
      const who = this.#owner.owner === undefined ? 'this user' : `user ${this.#owner.owner}`;
      this.obstacles.push(
        `${path} (${what}) is not writable for ${who}; give it to that user or name another directory`,
      );
      return;
    }
    this.add(`directory for ${what}`, { kind: 'directory', path, ...this.#owner });
  }

  /** Where QEMU makes the socket of a guest. It may come later, with QEMU. */
  socketDirectory(path: string, guest: string): void {
    const what = `directory for the socket of guest ${guest} (where QEMU is of another user, give it to that one)`;
    this.add(what, { kind: 'directory', path, ...this.#owner }, true);
  }

  #mayWrite(path: string): boolean {
    const owner = this.#owner.owner ?? process.getuid?.();
    if (owner === process.getuid?.()) return mayWrite(path);
    const stat = statSync(path);
    return stat.uid === owner || (stat.mode & 0o002) !== 0;
  }

  /** A persistent TUN or tap that the owner may attach to. */
  device(device: string, mode: 'tun' | 'tap', what: string): void {
    const link = this.#system.links.get(device);
    const found = this.#system.tunTaps.get(device);
    if (link !== undefined && found === undefined) {
      const kind = link.kind ?? 'network card';
      this.obstacles.push(
        `${device} (${what}) is there and is a ${kind}, no ${mode}; name another device`,
      );
    } else if (found !== undefined && found.mode !== mode) {
      this.obstacles.push(
        `${device} (${what}) is there and is a ${found.mode}, no ${mode}; name another device`,
      );
    } else if (found !== undefined && (!found.persistent || found.multiQueue)) {
      const why = found.persistent ? 'has several queues' : 'belongs to a program that runs';
      this.obstacles.push(`${device} (${what}) is there and ${why}; name another device`);
    }
    const who = this.#owner.owner === undefined ? '' : `, for user ${this.#owner.owner}`;
    const name = mode === 'tun' ? 'TUN' : 'tap';
    this.add(`${name} ${device}: ${what}${who}`, { kind: 'device', device, mode, ...this.#owner });
  }

  /** A TUN that packets enter and leave by forwarding alone. */
  tun(device: string, mtu: number, what: string): void {
    this.device(device, 'tun', what);
    const disabled = `net/ipv6/conf/${device}/disable_ipv6`;
    const inherited = this.#system.sysctl('net/ipv6/conf/default/disable_ipv6');
    if ((this.#system.sysctl(disabled) ?? inherited) === '1') {
      const resource: Resource = { kind: 'sysctl', name: disabled, value: '0', device };
      this.add(`${device} carries IPv6`, resource);
    }
    const describe = `${device} up with MTU ${mtu} and no address of its own`;
    this.add(describe, { kind: 'link', device, mtu });
    const length = TUN_QUEUE;
    const why = `${device} keeps ${length} packets while the daemon waits for a processor`;
    this.add(why, { kind: 'queue', device, length }, true);
  }

  /** A kernel that has the address answers for it, with Parameter Problem and Destination Unreachable. */
  notOfKernel(address: Address, key: string): void {
    for (const own of this.#system.addresses.filter((entry) => entry.address === address)) {
      const mend = `ip -6 address del ${address}/${own.prefixLength} dev ${own.device}`;
      const why = 'which would answer tunnel packets with errors';
      this.obstacles.push(
        `${key} ${address} is an address of this kernel (${own.device}), ${why}; take it away: ${mend}`,
      );
    }
  }

  /**
   * Forwarding for the whole namespace. An interface that takes its default route from router advertisements stops
   * doing so on a router unless accept_ra is 2, so that comes first.
   */
  forwarding(interfaces: readonly string[]): void {
    const forwards = (device: string) =>
      this.#system.sysctl(`net/ipv6/conf/${device}/forwarding`) === '1';
    const all = forwards('all');
    const advertised = this.#system.routes.filter((route) => route.protocol === 'ra');
    const listening = new Set([...interfaces, ...advertised.map((route) => route.device)]);
    for (const device of listening) {
      const name = `net/ipv6/conf/${device}/accept_ra`;
      const guarded = this.steps.some(
        (step) => step.resource.kind === 'sysctl' && step.resource.name === name,
      );
      if ((all && forwards(device)) || guarded || this.#system.sysctl(name) !== '1') continue;
      const describe = `${device} keeps taking its routes from router advertisements when the host forwards`;
      this.add(describe, { kind: 'sysctl', name, value: '2' });
    }
    const name = 'net/ipv6/conf/all/forwarding';
    this.add('the kernel forwards between the network and the tunnel device', {
      kind: 'sysctl',
      name,
      value: '1',
    });
    for (const device of interfaces) {
      if (!all || forwards(device)) continue;
      const own = `net/ipv6/conf/${device}/forwarding`;
      this.add(`${device} forwards too`, { kind: 'sysctl', name: own, value: '1' });
    }
  }

  finish(configPath: string, stateDirectory: string): SetupPlan {
    const { steps, obstacles, notes } = this;
    return { configPath, stateDirectory, steps, obstacles, notes };
  }
}

/** The interface on whose link the address lies, so that its neighbours must be answered there. */
export function linkOf(system: SystemState, address: Address, except: string): string | undefined {
  return system.routes
    .filter(({ prefix, device, onLink }) => {
      const network = prefix.length > 0 && prefix.length < 128;
      return network && onLink && device !== except && device !== 'lo' && contains(prefix, address);
    })
    .toSorted((a, b) => b.prefix.length - a.prefix.length)[0]?.device;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The steps that are still to be made. What is on a device that has to be made (anew) has to be made with it. */
export function missingSteps(plan: SetupPlan, system: SystemState): Step[] {
  const missing = new Set(plan.steps.filter((step) => !isThere(step.resource, system)));
  const remade = new Set(
    [...missing].flatMap(({ resource }) => (resource.kind === 'device' ? [resource.device] : [])),
  );
  return plan.steps.filter((step) => {
    const device = 'device' in step.resource ? step.resource.device : undefined;
    return missing.has(step) || (device !== undefined && remade.has(device));
  });
}
