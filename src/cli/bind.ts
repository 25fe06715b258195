import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { request, requestStatus } from '../daemon/control-client.js';
import type { BindingStatus, GuestStatus } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import { chooseSocket } from './socket.js';

export interface BindArguments {
  readonly socket?: string;
}

export interface StateArguments extends BindArguments {
  readonly state?: string;
}

const POLL_MS = 100;
/** Duplicate address detection takes the Home Agent a second; three more transmissions fit in. */
const PATIENCE_MS = 10_000;

/** `kagemusha bind GUEST`: registers now, or at home de-registers, and waits for the outcome. */
export async function bind(guest: string, options: BindArguments): Promise<number> {
  return await change(guest, 'bind', options, registration);
}

/** `kagemusha adopt GUEST`: the guest has come to this host; registers as `bind`, and tells the guest of its router. */
export async function adopt(guest: string, options: StateArguments): Promise<number> {
  const state = options.state === undefined ? undefined : await readState(options.state);
  return await change(guest, 'adopt', options, registration, state);
}

/** `kagemusha release GUEST`: the guest has left for another host; what was registered is that host's. */
export async function release(guest: string, options: StateArguments): Promise<number> {
  const socket = chooseSocket(options.socket);
  const state = await request(socket, 'POST', pathOf(guest, 'release'));
  if (options.state === undefined) {
    process.stdout.write(`${guest}: released; another host may register it\n`);
    return 0;
  }
  await writeState(options.state, state);
  const next = `kagemusha adopt ${guest} --state ${options.state}`;
  process.stdout.write(`${guest}: released; on the next host: ${next}\n`);
  return 0;
}

function registration({ binding, bindings }: GuestStatus): Outcome | undefined {
  if (binding.state === 'registered') return { exitCode: 0, text: `registered${granted(binding)}` };
  if (binding.state === 'at-home' && bindings.every(({ state }) => state === 'at-home'))
    return { exitCode: 0, text: why('at home', binding) };
  if (binding.state === 'rejected') return { exitCode: 1, text: why('rejected', binding) };
  return undefined;
}

/** `kagemusha unbind GUEST`: de-registers now and waits for the outcome. */
export async function unbind(guest: string, options: BindArguments): Promise<number> {
  return await change(guest, 'unbind', options, ({ binding, bindings }) => {
    if (![binding, ...bindings].every(({ state }) => state === 'idle' || state === 'at-home'))
      return undefined;
    const text =
      binding.state === 'at-home' ? 'is at home, has no binding' : 'not registered any more';
    return { exitCode: 0, text };
  });
}

interface Outcome {
  readonly exitCode: number;
  readonly text: string;
}

async function change(
  guest: string,
  verb: 'bind' | 'unbind' | 'adopt',
  options: BindArguments,
  outcomeOf: (guest: GuestStatus) => Outcome | undefined,
  body?: unknown,
): Promise<number> {
  const socket = chooseSocket(options.socket);
  await request(socket, 'POST', pathOf(guest, verb), body);
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const now = await guestOf(socket, guest);
    const outcome = outcomeOf(now);
    if (outcome !== undefined) {
      if (outcome.exitCode !== 0)
        throw new KagemushaError('BINDING_REJECTED', `${guest}: ${outcome.text}`);
      process.stdout.write(`${guest}: ${outcome.text}\n`);
      return 0;
    }
    if (Date.now() > end) {
      const message = `${guest}: ${why(now.binding.state, now.binding)}; it goes on trying, see kagemusha status`;
      throw new KagemushaError('BINDING_SLOW', message);
    }
    await sleep(POLL_MS);
  }
}

function pathOf(guest: string, verb: string): string {
  return `/v1/guests/${encodeURIComponent(guest)}/${verb}`;
}

/** @throws KagemushaError STATE_FILE */
async function readState(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const why = cause instanceof SyntaxError ? 'is no JSON' : `cannot be read (${codeOf(cause)})`;
    throw new KagemushaError('STATE_FILE', `${file} ${why}; write it with kagemusha release`, {
      cause,
    });
  }
}

/** The guest is released already: what cannot be written is printed. @throws KagemushaError STATE_FILE */
async function writeState(file: string, state: unknown): Promise<void> {
  const text = `${JSON.stringify(state)}\n`;
  try {
    await writeFile(file, text, { mode: 0o600 });
  } catch (cause) {
    process.stdout.write(text);
    const why = `cannot be written (${codeOf(cause)}); the guest is released, its state is above`;
    throw new KagemushaError('STATE_FILE', `${file} ${why}`, { cause });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

async function guestOf(socket: string, name: string): Promise<GuestStatus> {
  const status = await requestStatus(socket);
  const guest =
    status.role === 'host' ? status.guests.find((candidate) => candidate.name === name) : undefined;
  if (guest === undefined) {
    throw new KagemushaError('GUEST_UNKNOWN', `guest "${name}" is gone from the configuration`);
  }
  return guest;
}

const granted = ({ lifetime }: BindingStatus) =>
  lifetime === undefined ? '' : ` for ${lifetime} s`;
const why = (state: string, { reason }: BindingStatus) =>
  reason === undefined ? state : `${state}: ${reason}`;
