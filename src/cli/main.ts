import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { nearest } from '../daemon/config/nearest.js';
import { KagemushaError } from '../errors.js';

/*
 * The command line. Each command lives in a file of its own that is loaded when it is called: `status` must not wait for what
 * a daemon needs.
 */

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Runs the words of a command line. Gives the exit code: 0 done, 1 failed, 2 usage; errors are one line on stderr. */
export async function main(words: readonly string[]): Promise<number> {
  endQuietlyOnClosedPipe();
  let exitCode = 0;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    refuseUnknownCommand(program, words);
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are answers, not errors; commander has printed them.
      if (error.exitCode === 0) return 0;
      complain('USAGE', error.message.replace(/^error: /, '').replaceAll('\n', ' '));
      return EXIT_USAGE;
    }
    if (error instanceof KagemushaError) {
      complain(error.code, error.message);
      return error.code === 'USAGE' ? EXIT_USAGE : EXIT_FAILED;
    }
    complain('INTERNAL', String(error instanceof Error ? (error.stack ?? error) : error));
    return EXIT_FAILED;
  }
}

function complain(code: string, message: string): void {
  process.stderr.write(`kagemusha: ${code}: ${message}\n`);
}

/** `kagemusha status | head -1` is no error. */
function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

/** With a default command, commander would take a misspelt one for an argument of that. */
function refuseUnknownCommand(program: Command, words: readonly string[]): void {
  const withValue = words[0] === '--socket' ? 2 : 0;
  const first = words.slice(withValue).find((word) => !word.startsWith('--socket='));
  if (first === undefined || first.startsWith('-')) return;
  const known = [...program.commands.map((command) => command.name()), 'help'];
  if (known.includes(first)) return;
  const near = nearest(first, known);
  const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`;
  throw new KagemushaError('USAGE', `unknown command '${first}'; ${hint}`);
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version?: unknown };
  return String(version);
}

/** A whole number on the command line. */
function whole(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It takes a whole number from ${min} to ${max}.`);
  };
}

const collect = (value: string, before: readonly string[]) => [...before, value];

function createProgram(finish: (exitCode: number) => void): Command {
  const program = new Command('kagemusha');
  // Commands inherit these, so they come first.
  program
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(true);
  program
    .description(
      'Keeps the IPv6 address of a VM alive when it moves: a userspace Mobile IPv6 tunnel endpoint.',
    )
    .version(packageVersion())
    .option(
      '--socket <path>',
      'control socket of the daemon to ask (default: the host, else the home agent)',
    )
    .helpCommand(true)
    .addHelpText(
      'after',
      `
Examples:
  kagemusha demo                                 see it work, in network namespaces
  kagemusha setup --config host.toml             print the commands this host needs once
  sudo kagemusha setup --config host.toml --apply --user $USER
  kagemusha check --config host.toml             what is missing, and what mends it
  kagemusha host --config host.toml              the daemon on a VM host
  kagemusha status --json                        bindings, traffic and drops

Exit codes: 0 done, 1 failed, 2 usage.`,
    );

  program
    .command('host')
    .description('run the daemon on a VM host')
    .requiredOption('--config <file>', 'configuration (TOML)')
    .action(async (_, command: Command) => {
      const { host } = await import('./host.js');
      finish(await host(command.optsWithGlobals()));
    });

  program
    .command('home-agent')
    .description('run a Home Agent (RFC 6275)')
    .requiredOption('--config <file>', 'configuration (TOML)')
    .action(async (_, command: Command) => {
      const { homeAgent } = await import('./home-agent.js');
      finish(await homeAgent(command.optsWithGlobals()));
    });

  program
    .command('status', { isDefault: true })
    .description('bindings, tunnels, traffic, drops (default command)')
    .option('--json', 'one JSON object, and nothing else, on standard output')
    .action(async (_, command: Command) => {
      const { status } = await import('./status.js');
      finish(await status(command.optsWithGlobals()));
    });

  for (const [name, description] of [
    ['bind', 'register a guest with its Home Agent now'],
    ['unbind', 'de-register a guest now'],
  ] as const) {
    program
      .command(name)
      .description(description)
      .argument('<guest>', 'name of the guest')
      .action(async (guest: string, _, command: Command) => {
        const commands = await import('./bind.js');
        finish(await commands[name](guest, command.optsWithGlobals()));
      });
  }
  for (const [name, description, state] of [
    [
      'adopt',
      'a guest has come from another host: it is told so, and registered here',
      'what release wrote on the host before: where there are no peers, or they cannot talk',
    ],
    [
      'release',
      'a guest has left for another host: forget it, de-register nothing',
      'write there what the next host needs to know of the guest',
    ],
  ] as const) {
    program
      .command(name)
      .description(description)
      .argument('<guest>', 'name of the guest')
      .option('--state <file>', state)
      .action(async (guest: string, _, command: Command) => {
        const commands = await import('./bind.js');
        finish(await commands[name](guest, command.optsWithGlobals()));
      });
  }

  const guest = program
    .command('guest')
    .description('add, change and remove guests of the running host')
    .addHelpText(
      'after',
      `
They are kept in the state directory and are there after a restart. Guests of the configuration file are changed there.

Examples:
  kagemusha guest add vm9.toml                   the keys of one [[guest]] table; keys stay in their key_file
  kagemusha guest remove vm9`,
    );

  guest
    .command('add')
    .description('add a guest to the running host, or change one that was added so')
    .argument('<file>', 'the keys of one [[guest]] table (TOML)')
    .option('--name <name>', 'name of the guest (default: what the file says)')
    .action(async (file: string, _, command: Command) => {
      const { addGuest } = await import('./guest.js');
      finish(await addGuest(file, command.optsWithGlobals()));
    });

  guest
    .command('remove')
    .description('remove a guest that was added so; its binding ends with its lifetime')
    .argument('<guest>', 'name of the guest')
    .action(async (name: string, _, command: Command) => {
      const { removeGuest } = await import('./guest.js');
      finish(await removeGuest(name, command.optsWithGlobals()));
    });

  program
    .command('reload')
    .description(
      'have the daemon read its configuration again (as SIGHUP), and tell what came of it',
    )
    .action(async (_, command: Command) => {
      const { reload } = await import('./reload.js');
      finish(await reload(command.optsWithGlobals()));
    });

  program
    .command('demo')
    .description("the paper's testbed in network namespaces, end to end")
    .option('--json', 'the result as one JSON object on standard output')
    .option('--capture <file>', 'keep the capture of the wire in this file')
    .option('--vm', 'live migration of a virtual machine over a WAN of 100 Mbit/s (QEMU)')
    .option('--disk', 'with --vm: the machine has a disk on the network (NBD) and writes to it')
    .option(
      '--figure <file>',
      "with --vm: where the paper's Figure 4 goes (default: kagemusha-figure4.svg)",
    )
    .addHelpText(
      'after',
      `
Without --vm the guest is a namespace, and its cable moves. Everything the demo makes ends with it, also by Ctrl-C.

Examples:
  npm run demo                                   sets up what is missing first
  npm run demo -- --vm                           the blackout and its parts; about a minute
  npm run demo -- --vm --disk --figure disk.svg`,
    )
    .action(async (_, command: Command) => {
      const { demo } = await import('./demo.js');
      finish(await demo(command.optsWithGlobals()));
    });

  program
    .command('check')
    .description('what is missing on this system, each with the command that mends it')
    .requiredOption('--config <file>', 'configuration (TOML)')
    .option('--guest <file>', 'as if this one were added to the host (repeatable)', collect, [])
    .option('--user <name>', 'who will run the daemon (default: you)')
    .action(async (_, command: Command) => {
      const { check } = await import('./check.js');
      finish(await check(command.optsWithGlobals()));
    });

  program
    .command('setup')
    .description(
      'print the commands that this system needs once; --apply runs them, --undo takes them back',
    )
    .requiredOption('--config <file>', 'configuration (TOML)')
    .option('--guest <file>', 'as if this one were added to the host (repeatable)', collect, [])
    .option('--apply', 'run what is missing (root)')
    .option('--undo', 'take away what setup made (root)')
    .option('--user <name>', 'who will run the daemon (default: you, also behind sudo)')
    .action(async (_, command: Command) => {
      const { setup } = await import('./setup.js');
      finish(await setup(command.optsWithGlobals()));
    });

  program
    .command('ping')
    .description("ICMPv6 echo to a guest's Home Agent, outside and inside the tunnel")
    .argument('<guest>', 'name of the guest')
    .option('-c, --count <n>', 'echo requests on each way', whole(1, 1_000_000), 4)
    .option('-s, --size <octets>', 'echo data', whole(0, 1232), 56)
    .option('--json', 'the result as one JSON object on standard output')
    .action(async (guest: string, _, command: Command) => {
      const { ping } = await import('./ping.js');
      finish(await ping(guest, command.optsWithGlobals()));
    });

  program
    .command('capture')
    .description('packets of guest taps and uplink as pcapng, with names')
    .option('--write <file>', 'into a file (default: standard output, for a pipe)')
    .option('--guest <name>', 'only this guest')
    .option(
      '--interface <dev=name>',
      'this device under this name; needs no daemon (repeatable)',
      collect,
      [],
    )
    .option('--count <n>', 'end after so many packets', whole(1, Number.MAX_SAFE_INTEGER))
    .option('--seconds <n>', 'end after so many seconds', whole(1, 10_000_000))
    .option('--filter <bpf>', 'only packets that match (pcap-filter(7))')
    .addHelpText(
      'after',
      `
Examples:
  sudo kagemusha capture --write move.pcapng
  sudo kagemusha capture --guest vm1 | tshark -r -
  sudo kagemusha capture --interface eth0=lan --filter icmp6 --count 10 --write ndp.pcapng`,
    )
    .action(async (_, command: Command) => {
      const { capture } = await import('./capture.js');
      finish(await capture(command.optsWithGlobals()));
    });

  return program;
}
