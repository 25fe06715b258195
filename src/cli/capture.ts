import { closeSync, openSync, writeSync } from 'node:fs';
import type { Cap } from 'cap';
import { requestDevices, requestStatus } from '../daemon/control-client.js';
import type { CaptureDevice, DaemonStatus, GuestStatus } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import type { Address } from '../wire/address.js';
import {
  enhancedPacket,
  interfaceDescription,
  LINK_TYPE,
  nameResolution,
  sectionHeader,
} from './pcapng.js';
import { chooseSocket } from './socket.js';
import { PASSED } from './status.js';

export interface CaptureArguments {
  readonly socket?: string;
  readonly write?: string;
  readonly guest?: string;
  readonly interface: readonly string[];
  readonly count?: number;
  readonly seconds?: number;
  readonly filter?: string;
}

/** What is captured where. */
interface Target extends CaptureDevice {
  readonly filter: string;
}

/** Longest packet that libpcap hands over here; a train of the guest's segmentation offload fits. */
const SNAP_LENGTH = 65_535;
/** libpcap's buffer between two turns of our loop. */
const KERNEL_BUFFER = 16 * 1024 * 1024;
/** Addresses in a filter. */
const MAX_FILTERED = 100;
/** How long a packet may wait to be written: short enough for a live view. */
const FLUSH_MS = 100;
const FLUSH_BYTES = 256 * 1024;

/** `kagemusha capture`: packets of the guests' taps and the uplink in one pcapng, until interrupted. */
export async function capture(options: CaptureArguments): Promise<number> {
  if (options.write === undefined && process.stdout.isTTY === true) {
    const message =
      'capture writes binary data: name a file with --write, or pipe it into tshark -r -';
    throw new KagemushaError('USAGE', message);
  }
  const explicit = options.interface.map((text) => parseInterface(text, options.filter));
  const known = await askDaemon(options, explicit.length > 0);
  const targets = explicit.length > 0 ? explicit : targetsOf(known, options);
  if (explicit.length === 0) {
    tellOfStreams(known, options.guest);
    tellOfBypass(known);
  }
  const Session = await loadCap();
  const output = new Output(options.write);
  try {
    await record(Session, targets, known?.names ?? new Map(), options, output);
  } finally {
    output.close();
  }
  return 0;
}

/** `DEV=NAME`, or `DEV` alone. */
function parseInterface(text: string, filter = ''): Target {
  const [device = '', ...rest] = text.split('=');
  if (device === '')
    throw new KagemushaError('USAGE', `--interface takes DEVICE=NAME, not '${text}'`);
  return { device, name: rest.join('=') || device, filter };
}

interface Known {
  readonly status: DaemonStatus;
  readonly devices: readonly CaptureDevice[];
  readonly names: ReadonlyMap<Address, string>;
}

/** What the daemon knows of devices and names. @param optional without a daemon there are only no names */
async function askDaemon(options: CaptureArguments, optional: boolean): Promise<Known | undefined> {
  const socket = chooseSocket(options.socket);
  try {
    const [status, devices] = await Promise.all([requestStatus(socket), requestDevices(socket)]);
    return { status, devices, names: namesOf(status) };
  } catch (error) {
    const tolerated = optional && options.socket === undefined && options.guest === undefined;
    if (tolerated && error instanceof KagemushaError) return undefined;
    throw error;
  }
}

/** Names for the addresses of the tunnels, as a reader shows them in place of the addresses. */
export function namesOf(status: DaemonStatus): Map<Address, string> {
  const names = new Map<Address, string>();
  if (status.role === 'home-agent') {
    names.set(status.address, 'home-agent');
    return names;
  }
  for (const guest of status.guests) {
    const many = guest.homeAddresses.length > 1;
    for (const [i, address] of guest.homeAddresses.entries()) {
      names.set(address, `${guest.name}-home${many ? `-${i + 1}` : ''}`);
    }
    if (guest.careOfAddress !== undefined) names.set(guest.careOfAddress, `${guest.name}-care-of`);
  }
  const homeAgents = [...new Set(status.guests.flatMap(({ homeAgent }) => homeAgent ?? []))];
  for (const [i, address] of homeAgents.entries()) {
    names.set(address, `home-agent${homeAgents.length > 1 ? `-${i + 1}` : ''}`);
  }
  return names;
}

function targetsOf(known: Known | undefined, options: CaptureArguments): Target[] {
  const devices = known?.devices ?? [];
  const filter = options.filter ?? '';
  const uplink = known === undefined ? undefined : uplinkFilter(known.status);
  if (options.guest === undefined) {
    return devices.map((device) =>
      device.name === 'uplink'
        ? { ...device, filter: both(filter, uplink) }
        : { ...device, filter },
    );
  }
  const guests = known?.status.role === 'host' ? known.status.guests : [];
  const guest = guests.find((candidate) => candidate.name === options.guest);
  if (guest === undefined) {
    const names = guests.map((candidate) => candidate.name).join(', ') || 'none';
    throw new KagemushaError('GUEST_UNKNOWN', `no guest "${options.guest}"; there are: ${names}`);
  }
  const tunnel = tunnelFilter(guest);
  return devices.flatMap((device) => {
    if (device.name === guest.name) return [{ ...device, filter }];
    if (tunnel === undefined || guests.some(({ name }) => name === device.name)) return [];
    return [{ ...device, filter: both(filter, tunnel) }];
  });
}

/** A stream of QEMU's is no device: the guest's own packets are seen there only where QEMU writes them. */
function tellOfStreams(known: Known | undefined, only: string | undefined): void {
  const guests = known?.status.role === 'host' ? known.status.guests : [];
  for (const { name, port } of guests) {
    if (port.kind !== 'qemu-stream' || (only !== undefined && only !== name)) continue;
    const how = `-object filter-dump,id=dump,netdev=NETDEV,file=${name}.pcap`;
    process.stderr.write(`${name}: only its tunnel is captured; inside of it: QEMU's ${how}\n`);
  }
}

/** With `bypass_qdisc` only one direction is there to be seen. */
function tellOfBypass(known: Known | undefined): void {
  const status = known?.status;
  if (status?.role !== 'host' || status.uplink.kind === 'tun') return;
  const { device, sending } = status.uplink;
  if (sending === 'queued') return;
  const how = 'capture at the next hop, or start the daemon without bypass_qdisc';
  process.stderr.write(`uplink ${device}: what leaves passes by ${PASSED[sending]}; ${how}\n`);
}

/** Of a network card, only what is ours; what the link says to all its nodes, too. */
function uplinkFilter(status: DaemonStatus): string | undefined {
  if (status.role !== 'host' || status.uplink.kind === 'tun') return undefined;
  const { mac, addresses } = status.uplink;
  const hosts = addresses.map(({ address }) => `ip6 host ${address}`);
  // A filter has 4096 instructions at most (bpf(2)).
  const ours = hosts.length > MAX_FILTERED ? [`ether host ${mac}`] : hosts;
  return ['(icmp6 and ip6 multicast)', ...ours].join(' or ');
}

function both(filter: string, other: string | undefined): string {
  if (other === undefined) return filter;
  return filter === '' ? other : `(${filter}) and (${other})`;
}

/** Of what all guests share, only this guest's tunnel; undefined while it has no care-of address. */
function tunnelFilter({ careOfAddress, bindings }: GuestStatus): string | undefined {
  if (careOfAddress === undefined) return undefined;
  // A tunnel stays with its care-of address until the next one is confirmed.
  const ends = new Set([careOfAddress, ...bindings.map((home) => home.careOfAddress)]);
  return [...ends].map((end) => `ip6 host ${end}`).join(' or ');
}

/**
 * Every session there ever was. The addon's destructor stops a poll handle even where `open` failed before there was one,
 * and frees one that the event loop still lists: no session may be collected.
 */
const immortal: Cap[] = [];

async function loadCap(): Promise<typeof Cap> {
  try {
    return (await import('cap')).default.Cap;
  } catch (cause) {
    const message = 'package cap is not built; install libpcap-dev and run: npm run setup';
    throw new KagemushaError('CAPTURE_UNAVAILABLE', message, { cause });
  }
}

/** Captures until a signal, the count or the time ends it. */
async function record(
  Session: typeof Cap,
  targets: readonly Target[],
  names: ReadonlyMap<Address, string>,
  options: CaptureArguments,
  output: Output,
): Promise<void> {
  const end = new Ending(options.seconds);
  const sessions: Cap[] = [];
  let left = options.count ?? Number.POSITIVE_INFINITY;
  output.add(sectionHeader('kagemusha'));
  output.onClosed(() => end.now());
  try {
    for (const [id, target] of targets.entries()) {
      const session = new Session();
      immortal.push(session);
      const buffer = Buffer.alloc(SNAP_LENGTH);
      // Every interface is described before the first packet: packets come in later turns of the loop.
      output.add(
        describe(
          target,
          withoutWarnings(() => open(session, target, buffer)),
        ),
      );
      sessions.push(session);
      session.on('packet', (length) => {
        if (left === 0) return;
        left -= 1;
        output.add(enhancedPacket(id, nowNanoseconds(), buffer.subarray(0, length), length));
        if (left === 0) end.now();
      });
    }
    const block = nameResolution(names);
    if (block !== undefined) output.add(block);
    output.flush();
    await end.reached;
  } finally {
    for (const session of sessions) session.close();
    end.dispose();
  }
}

/**
 * The addon warns on the process's stderr of every interface without an IPv4 address, as ours always are. Stderr is
 * /dev/null while it opens one; where the real one could not be opened again (a socket), the warning stays.
 */
function withoutWarnings<T>(call: () => T): T {
  let stderr: number;
  try {
    stderr = openSync('/proc/self/fd/2', 'a');
  } catch {
    return call();
  }
  // A new descriptor is the lowest that is free.
  closeSync(2);
  openSync('/dev/null', 'w');
  try {
    return call();
  } finally {
    closeSync(2);
    openSync(`/proc/self/fd/${stderr}`, 'a');
    closeSync(stderr);
  }
}

function open(session: Cap, target: Target, buffer: Buffer): string {
  try {
    return session.open(target.device, target.filter, KERNEL_BUFFER, buffer);
  } catch (cause) {
    const said = (cause instanceof Error ? cause.message : String(cause)).trim();
    const where = `cannot capture on ${target.device} (${target.name})`;
    const denied = /permission|not permitted/i.test(said);
    const why = denied || said === '' ? 'it needs root (CAP_NET_RAW); run this with sudo' : said;
    throw new KagemushaError(
      denied || said === '' ? 'CAPTURE_RIGHTS' : 'CAPTURE_FAILED',
      `${where}: ${why}`,
      { cause },
    );
  }
}

function describe(target: Target, linkType: string): Uint8Array {
  const types: Readonly<Record<string, number>> = {
    ETHERNET: LINK_TYPE.ethernet,
    RAW: LINK_TYPE.raw,
    LINKTYPE_LINUX_SLL: LINK_TYPE.linuxCooked,
  };
  const number = types[linkType];
  if (number === undefined) {
    const message = `cannot capture on ${target.device}: its link type ${linkType} is not known here`;
    throw new KagemushaError('CAPTURE_FAILED', message);
  }
  const { device, name } = target;
  const interfaceOf = {
    linkType: number,
    snapLength: SNAP_LENGTH,
    name: device,
    description: name,
  };
  return interfaceDescription(interfaceOf);
}

/** `cap` gives no timestamps: the moment in which the packet reaches us, in immediate mode. */
function nowNanoseconds(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

/** The end of a capture: a signal, a time, or what `now` is called for. */
class Ending {
  readonly reached: Promise<void>;
  #reach: () => void = () => {};
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onSignal = (): void => this.now();

  constructor(seconds: number | undefined) {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#onSignal);
    if (seconds !== undefined) this.#timer = setTimeout(this.#onSignal, seconds * 1000);
  }

  now(): void {
    this.#reach();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#onSignal);
  }
}

/** The file or standard output, written in pieces; whole blocks are there after each flush. */
class Output {
  readonly #file: number | undefined;
  #pending: Uint8Array[] = [];
  #length = 0;
  readonly #timer = setInterval(() => this.flush(), FLUSH_MS);

  constructor(path: string | undefined) {
    try {
      this.#file = path === undefined ? undefined : openSync(path, 'w');
    } catch (cause) {
      clearInterval(this.#timer);
      const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
      throw new KagemushaError('CAPTURE_FAILED', `cannot write ${path}: ${why}`, { cause });
    }
  }

  /** Calls back when nobody reads standard output any more. */
  onClosed(callback: () => void): void {
    if (this.#file === undefined) process.stdout.once('error', callback);
  }

  add(block: Uint8Array): void {
    this.#pending.push(block);
    this.#length += block.length;
    if (this.#length >= FLUSH_BYTES) this.flush();
  }

  flush(): void {
    if (this.#length === 0) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#length = 0;
    if (this.#file === undefined) {
      process.stdout.write(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
    if (this.#file !== undefined) closeSync(this.#file);
  }
}
