import { setTimeout as sleep } from 'node:timers/promises';
import { request, requestStatus } from '../daemon/control-client.js';
import { runJson } from '../daemon/ip-route.js';
import type { GuestStatus, PingAnswer } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import { type Address, isAddress, parseAddress } from '../wire/address.js';
import { EchoSocket } from './echo-socket.js';
import { chooseSocket } from './socket.js';

export interface PingArguments {
  readonly socket?: string;
  readonly count: number;
  readonly size: number;
  readonly json?: boolean;
}

const INTERVAL_MS = 1000;

/** One way of the two: how many came back and how long they took. */
interface Way {
  readonly sent: number;
  readonly received: number;
  readonly rtts_ms: readonly number[];
  /** Why this way could not be tried. */
  readonly error?: string;
}

/** `kagemusha ping GUEST`: echo to the guest's Home Agent from this host (outside) and through the tunnel (inside). */
export async function ping(name: string, options: PingArguments): Promise<number> {
  const socket = chooseSocket(options.socket);
  const guest = await guestOf(socket, name);
  const say = (line: string): void => {
    if (options.json !== true) process.stdout.write(`${line}\n`);
  };
  const { homeAgent } = guest;
  if (homeAgent === undefined) {
    throw new KagemushaError(
      'HOME_AGENT_UNKNOWN',
      `no home agent of ${name} is known yet; see \`kagemusha status\``,
    );
  }
  const outside = await pingOutside(homeAgent, options, say);
  const inside = await pingInside(socket, { ...guest, homeAgent }, options, say);
  if (options.json === true) {
    const result = { guest: name, homeAgent, outside, inside };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  }
  const silent = (way: Way) => way.error === undefined && way.received === 0;
  return inside.error !== undefined || silent(inside) || silent(outside) ? 1 : 0;
}

async function guestOf(socket: string, name: string): Promise<GuestStatus> {
  const status = await requestStatus(socket);
  if (status.role !== 'host') {
    throw new KagemushaError(
      'GUEST_UNKNOWN',
      `${socket} is a home agent's; name the host's with --socket`,
    );
  }
  const guest = status.guests.find((candidate) => candidate.name === name);
  if (guest !== undefined) return guest;
  const known = status.guests.map((candidate) => candidate.name).join(', ') || 'none';
  throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"; this host has: ${known}`);
}

/** Sends one request a second and tells of each as it comes back. */
async function series(
  title: string,
  target: Address,
  options: PingArguments,
  say: (line: string) => void,
  once: (sequence: number) => Promise<number | undefined>,
): Promise<Way> {
  say(`${title}, ${options.size} octets of data`);
  const rtts: number[] = [];
  for (let sequence = 1; sequence <= options.count; sequence++) {
    const begun = performance.now();
    const rtt = await once(sequence);
    if (rtt === undefined) {
      say(`  no answer to icmp_seq=${sequence}`);
    } else {
      rtts.push(rtt);
      say(
        `  ${options.size + 8} bytes from ${target}: icmp_seq=${sequence} time=${rtt.toFixed(3)} ms`,
      );
    }
    if (sequence < options.count)
      await sleep(Math.max(0, INTERVAL_MS - (performance.now() - begun)));
  }
  const way = { sent: options.count, received: rtts.length, rtts_ms: rtts };
  say(`  ${summary(way)}`);
  return way;
}

function summary({ sent, received, rtts_ms }: Way): string {
  const lost = Math.round(((sent - received) / sent) * 100);
  const head = `${sent} sent, ${received} received, ${lost}% lost`;
  if (received === 0) return head;
  const mean = rtts_ms.reduce((sum, rtt) => sum + rtt, 0) / received;
  const figures = [Math.min(...rtts_ms), mean, Math.max(...rtts_ms)];
  return `${head}, min/avg/max = ${figures.map((figure) => figure.toFixed(3)).join('/')} ms`;
}

function failedWay(error: unknown, title: string, say: (line: string) => void): Way {
  if (!(error instanceof KagemushaError)) throw error;
  say(`${title}: ${error.code}: ${error.message}`);
  return { sent: 0, received: 0, rtts_ms: [], error: `${error.code}: ${error.message}` };
}

async function pingOutside(
  homeAgent: Address,
  options: PingArguments,
  say: (line: string) => void,
): Promise<Way> {
  const title = `outside the tunnel: this host to ${homeAgent}`;
  let socket: EchoSocket | undefined;
  try {
    socket = await EchoSocket.open(await sourceFor(homeAgent), homeAgent);
    const open = socket;
    return await series(title, homeAgent, options, say, (sequence) =>
      open.once(sequence, options.size),
    );
  } catch (error) {
    return failedWay(error, title, say);
  } finally {
    socket?.close();
  }
}

/** The address that the kernel takes for packets to `target`. @throws KagemushaError UNREACHABLE */
async function sourceFor(target: Address): Promise<Address> {
  const [route] = await runJson(['ip', '-j', '-6', 'route', 'get', target]).catch(
    (cause: unknown) => {
      const message = `this host has no route to ${target}`;
      throw new KagemushaError('UNREACHABLE', message, { cause });
    },
  );
  const { prefsrc } = (route ?? {}) as { prefsrc?: unknown };
  if (typeof prefsrc === 'string' && isAddress(prefsrc)) return parseAddress(prefsrc);
  throw new KagemushaError('UNREACHABLE', `this host has no address to reach ${target} from`);
}

async function pingInside(
  socket: string,
  guest: GuestStatus & { readonly homeAgent: Address },
  options: PingArguments,
  say: (line: string) => void,
): Promise<Way> {
  const title = `inside the tunnel: ${guest.homeAddresses[0]} to ${guest.homeAgent}`;
  const path = `/v1/guests/${encodeURIComponent(guest.name)}/ping`;
  try {
    return await series(title, guest.homeAgent, options, say, async () => {
      const body = { count: 1, size: options.size };
      const answer = (await request(socket, 'POST', path, body)) as PingAnswer;
      return answer.rtts_ms[0];
    });
  } catch (error) {
    return failedWay(error, title, say);
  }
}
