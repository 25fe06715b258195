import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startCapture } from './captures.js';
import { PAPER } from './configuration.js';
import { type ListedKind, listing, readingCommand } from './listing.js';
import { iperf, Pinging, ping, shapeWire } from './measure.js';
import { endProcess, until } from './netns.js';
import { type Daemon, KAGEMUSHA, nodeCommand, residentBytes } from './processes.js';
import type { DemoResult } from './result.js';
import { TcpStream } from './tcp-stream.js';
import { buildTestbed, type Testbed } from './testbed.js';
import { thisMachine } from './this-machine.js';

export interface DemoOptions {
  /** Keep the capture of the WAN here. */
  capture?: string;
  /** Told what happens, a line at a time. */
  progress(line: string): void;
}

/** The paper's WAN and how long each throughput run on it and on the bare wire lasts. */
const PAPER_RATE = '100mbit';
const IPERF_SECONDS = 4;
const PAPER_SECONDS = 5;

/** What the capture of the protected run must show; Listing 1 is the same registration in the clear. */
const LISTING_2 = [
  'protected_binding_update',
  'protected_binding_acknowledgement',
  'guest_to_correspondent',
  'correspondent_to_guest',
] as const satisfies readonly ListedKind[];
const LISTING_1 = [
  'binding_update',
  'binding_acknowledgement',
] as const satisfies readonly ListedKind[];

/** Runs the paper's experiment from end to end and takes everything away again. */
export async function runStory(options: DemoOptions): Promise<DemoResult> {
  options.progress('building Host A, Home Agent, Host B and the guest, each in its namespace');
  const testbed = await buildTestbed({ register: 'traffic' });
  try {
    return await act(testbed, options);
  } finally {
    await testbed.remove();
  }
}

async function act(testbed: Testbed, { capture, progress }: DemoOptions): Promise<DemoResult> {
  const { hostA, homeAgent, hostB, guest } = testbed;
  const ends = [homeAgent, hostB];

  progress('starting kagemusha home-agent and kagemusha host');
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();

  progress(`the guest is at home: ${PAPER.guest} pings Host A`);
  // New links do duplicate address detection for themselves first.
  for (const [link, neighbour] of [
    ['the home link', PAPER.hostA],
    ['the WAN', PAPER.hostB],
  ] as const) {
    await until(link, async () =>
      (await ping(guest, neighbour, 1, 1000)).received === 1 ? true : undefined,
    );
  }
  const atHome = await ping(guest, PAPER.hostA, 20, 50);

  progress(`the guest on its native network, WAN at ${PAPER_RATE}: ping6 and iperf3 to Host B`);
  await shapeWire(ends, PAPER_RATE);
  const nativePing = await ping(guest, PAPER.hostB, 40, 50);
  const nativeTcp = await iperf(guest, hostB, PAPER.hostB, {
    seconds: PAPER_SECONDS,
    omit: 1,
    down: false,
  });
  await shapeWire(ends, undefined);

  progress('a TCP stream starts between the guest and Host A');
  const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
  try {
    await until('TCP octets at home', () => (stream.report.bytes > 200_000 ? true : undefined));

    const file = join(testbed.directory, 'wan.pcapng');
    const capturing = await startCapture(testbed.hostB, 'wan0=WAN', file);

    progress('the cable moves from Host A to Host B; the TCP stream and a ping6 go on');
    const pinging = new Pinging(hostA, PAPER.guest, 100);
    const bytesBefore = stream.report.bytes;
    const moved = performance.now();
    await testbed.moveGuestToHostB();
    const status = await testbed.registered();
    const moveToRegistered = Math.round(performance.now() - moved);
    const binding = status.guests[0]?.binding;
    progress(
      `registered with the Home Agent, status ${binding?.status}, ${moveToRegistered} ms after the cable moved`,
    );

    await until('the TCP stream', () =>
      stream.report.bytes > bytesBefore + 200_000 || stream.report.error ? true : undefined,
    );
    const acrossMove = await pinging.stop();
    const registered = await ping(guest, PAPER.hostA, 100, 20);
    progress(`ping6 through the tunnel: ${registered.received} of ${registered.sent} answered`);
    await endProcess(capturing);
    if (capture !== undefined) await copyFile(file, capture);
    const listing2 = await listing(file, LISTING_2);

    const { bytes, longestGapMs, error } = stream.report;
    await stream.close();

    progress('iperf3 through the tunnel, up and down, on the bare wire');
    const watch = host.pid;
    const up = await iperf(guest, hostA, PAPER.hostA, {
      seconds: IPERF_SECONDS,
      down: false,
      watch,
    });
    const down = await iperf(guest, hostA, PAPER.hostA, {
      seconds: IPERF_SECONDS,
      down: true,
      watch,
    });

    progress(`the same on the paper's wire, ${PAPER_RATE}`);
    await shapeWire(ends, PAPER_RATE);
    const tunnelPing = await ping(guest, PAPER.hostA, 40, 50);
    const tunnelTcp = await iperf(guest, hostA, PAPER.hostA, {
      seconds: PAPER_SECONDS,
      omit: 1,
      down: false,
      watch,
    });
    await shapeWire(ends, undefined);

    progress('the same registration without ESP, for Listing 1');
    const memory = residentBytes(host.pid);
    const listing1 = await registerInTheClear(testbed, [agent, host]);

    return {
      schemaVersion: 1,
      date: new Date().toISOString(),
      command: 'kagemusha demo --json',
      binding: {
        status: binding?.status,
        state: binding?.state ?? 'unknown',
        homeAddress: PAPER.guest,
        careOfAddress: PAPER.careOf,
        homeAgent: PAPER.homeAgent,
        protection: status.guests[0]?.protection ?? 'unknown',
        lifetime: binding?.lifetime,
        move_to_registered_ms: moveToRegistered,
      },
      ping: {
        lost: registered.lost + tunnelPing.lost,
        at_home: atHome,
        across_move: acrossMove,
        registered,
      },
      tcp: {
        survived: error === undefined && bytes > bytesBefore,
        bytes_before_move: bytesBefore,
        bytes_after_move: bytes - bytesBefore,
        longest_gap_ms: longestGapMs,
        ...(error === undefined ? {} : { error }),
      },
      iperf: { up_bps: up.bits_per_second, down_bps: down.bits_per_second, up, down },
      paper_wire: {
        native: { tcp: nativeTcp, ping: nativePing },
        tunnel: { tcp: tunnelTcp, ping: tunnelPing },
      },
      memory: { host_daemon_rss_bytes: memory },
      capture: {
        ...listing2,
        ...listing1,
        command: readingCommand(file),
        ...(capture === undefined ? {} : { file: capture }),
      },
      machine: thisMachine(),
    };
  } finally {
    await stream.close();
  }
}

/** Both daemons take their security associations away (SIGHUP); the registration that follows is captured. */
async function registerInTheClear(
  testbed: Testbed,
  daemons: readonly Daemon[],
): Promise<Record<(typeof LISTING_1)[number], string>> {
  const file = join(testbed.directory, 'wan-in-the-clear.pcapng');
  const capturing = await startCapture(testbed.hostB, 'wan0=WAN', file);
  await testbed.configure({ register: 'command', protection: 'none' });
  for (const daemon of daemons) {
    daemon.process.kill('SIGHUP');
    await until('the changed configuration', () =>
      daemon.log.includes('configuration read again') ? true : undefined,
    );
  }
  await testbed.hostB.run(
    nodeCommand(KAGEMUSHA, 'bind', 'vm1', '--socket', testbed.files.hostSocket),
  );
  const lines = await until(
    'Listing 1',
    async () => await listing(file, LISTING_1).catch(() => undefined),
  );
  await endProcess(capturing);
  return lines;
}
