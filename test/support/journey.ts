import { PAPER } from '../../src/cli/demo/configuration.js';
import { answers, type PingResult, ping } from '../../src/cli/demo/measure.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import type { Daemon } from '../../src/cli/demo/processes.js';
import type { Testbed } from '../../src/cli/demo/testbed.js';
import type { HomeStatus } from '../../src/daemon/status.js';

export { answers };

/** Twenty echoes, 20 ms apart. */
export async function twenty(from: Netns, to: string): Promise<PingResult> {
  return await ping(from, to, 20, 20);
}

/** The guest's cable moves to Host B, whose daemon registers it; echoes pass. */
export async function moveAway(testbed: Testbed): Promise<void> {
  await testbed.moveGuestToHostB();
  await answers(testbed.guest, PAPER.hostA);
  await testbed.registered();
}

/** Sends SIGHUP and waits until the daemon has read its file again. */
export async function readAgain(daemon: Daemon): Promise<void> {
  const count = (): number => daemon.log.split('configuration read again').length;
  const before = count();
  daemon.process.kill('SIGHUP');
  await until('the changed configuration', () => (count() > before ? true : undefined));
}

/** Ends a daemon as a crash or an operator would, and waits until it is gone. */
export async function end(daemon: Daemon, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const closed = new Promise<void>((resolve) => daemon.process.once('close', () => resolve()));
  daemon.process.kill(signal);
  await closed;
}

/** The first home address of the testbed's guest, or another one. */
export async function home(testbed: Testbed, index = 0): Promise<HomeStatus | undefined> {
  return (await testbed.hostStatus()).guests[0]?.bindings[index];
}

/** Waits until a home address is as the caller wants it; a failure tells how it is. */
export async function homeIs(
  testbed: Testbed,
  what: string,
  wanted: (home: HomeStatus) => boolean,
  { index = 0, timeoutMs = 20_000 } = {},
): Promise<HomeStatus> {
  let seen: HomeStatus | undefined;
  const probe = async (): Promise<HomeStatus | undefined> => {
    seen = await home(testbed, index);
    return seen !== undefined && wanted(seen) ? seen : undefined;
  };
  return await until(what, probe, timeoutMs).catch((cause: Error) => {
    throw new Error(`${cause.message}; it is ${JSON.stringify(seen)}`, { cause });
  });
}

/**
 * Lets no signaling that comes by a device through a namespace, without a word, until the function it gives is called. The kernel looks for the
 * protocol behind the extension headers: what is inside a tunnel is not meant.
 */
export async function swallow(
  netns: Netns,
  device: string,
  protection: 'esp' | 'none' = 'esp',
): Promise<() => Promise<void>> {
  const rule = `pref 10 iif ${device} ipproto ${protection === 'esp' ? 50 : 135} blackhole`;
  await netns.ip(`-6 rule add ${rule}`);
  return async () => {
    await netns.ip(`-6 rule del ${rule}`);
  };
}
