import { setTimeout as sleep } from 'node:timers/promises';
import { request, requestStatus } from '../daemon/control-client.js';
import type { BindingStatus, GuestStatus } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import { chooseSocket } from './socket.js';

export interface BindArguments {
  readonly socket?: string;
}

const POLL_MS = 100;
/** Duplicate address detection takes the Home Agent a second; three more transmissions fit in. */
const PATIENCE_MS = 10_000;

/** `kagemusha bind GUEST`: registers now, or at home de-registers, and waits for the outcome. */
export async function bind(guest: string, options: BindArguments): Promise<number> {
  return await change(guest, 'bind', options, registration);
}

/** `kagemusha adopt GUEST`: the guest has come to this host; registers as `bind`, and tells the guest of its router. */
export async function adopt(guest: string, options: BindArguments): Promise<number> {
  return await change(guest, 'adopt', options, registration);
}

/** `kagemusha release GUEST`: the guest has left for another host; what was registered is that host's. */
export async function release(guest: string, options: BindArguments): Promise<number> {
  return await change(guest, 'release', options, ({ binding, bindings }) =>
    [binding, ...bindings].every(({ state }) => state === 'idle' || state === 'at-home')
      ? { exitCode: 0, text: 'released; another host may register it' }
      : undefined,
  );
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
  verb: 'bind' | 'unbind' | 'adopt' | 'release',
  options: BindArguments,
  outcomeOf: (guest: GuestStatus) => Outcome | undefined,
): Promise<number> {
  const socket = chooseSocket(options.socket);
  await request(socket, 'POST', `/v1/guests/${encodeURIComponent(guest)}/${verb}`);
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
