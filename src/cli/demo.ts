import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KagemushaError } from '../errors.js';
import { installed } from './demo/processes.js';
import { endWithMaker, enterSandbox, insideSandbox } from './demo/sandbox.js';
import { runStory } from './demo/story.js';
import { describe } from './demo/table.js';
import { figure4 } from './demo/vm/figure.js';
import { noVirtualMachine } from './demo/vm/machine.js';
import { held, type VmResult } from './demo/vm/result.js';
import { runVmStory } from './demo/vm/story.js';
import { describeVm } from './demo/vm/table.js';

/** Programs that the demo judges and measures with, and the Debian packages they come in. */
const PROGRAMS = {
  ip: 'iproute2',
  unshare: 'util-linux',
  ping: 'iputils-ping',
  tcpdump: 'tcpdump',
  iperf3: 'iperf3',
  ethtool: 'ethtool',
  sysctl: 'procps',
} as const;

const FIGURE = 'kagemusha-figure4.svg';

export interface DemoArguments {
  json?: boolean;
  capture?: string;
  vm?: boolean;
  disk?: boolean;
  figure?: string;
}

/**
 * `kagemusha demo`: the paper's experiment in namespaces that end with this process. The result goes to standard output,
 * progress to standard error. Gives the exit code: 0 when the guest kept its address, its TCP stream and every ping; with a virtual
 * machine, when it was reachable after the move, registered, and its TCP stream and its disk were whole.
 */
export async function demo(options: DemoArguments): Promise<number> {
  checkArguments(options);
  if (!insideSandbox()) {
    await requirePrograms(options);
    const self = fileURLToPath(new URL('../../bin/kagemusha', import.meta.url));
    return await enterSandbox([process.execPath, self, 'demo', ...wordsOf(options)]);
  }
  endWithMaker();
  return options.vm === true ? await withMachine(options) : await withNamespaces(options);
}

function checkArguments({ vm, disk, figure, capture }: DemoArguments): void {
  for (const [word, file] of Object.entries({ figure, capture })) {
    if (file !== undefined) requireWritable(word, file);
  }
  if (vm === true) return;
  for (const [word, value] of Object.entries({ disk, figure })) {
    if (value === undefined) continue;
    throw new KagemushaError('USAGE', `--${word} belongs to --vm: kagemusha demo --vm --${word}`);
  }
}

/** A minute's work must not be lost to a misspelt folder. */
function requireWritable(word: string, file: string): void {
  const folder = dirname(resolve(file));
  try {
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    const message = `--${word} ${file}: cannot write into ${folder}; name a file in a folder that is there and yours`;
    throw new KagemushaError('USAGE', message, { cause });
  }
}

function wordsOf({ json, capture, vm, disk, figure }: DemoArguments): string[] {
  return [
    ...(json === true ? ['--json'] : []),
    ...(capture === undefined ? [] : ['--capture', capture]),
    ...(vm === true ? ['--vm'] : []),
    ...(disk === true ? ['--disk'] : []),
    ...(figure === undefined ? [] : ['--figure', figure]),
  ];
}

const progress = (line: string): boolean => process.stderr.write(`· ${line}\n`);

async function withNamespaces(options: DemoArguments): Promise<number> {
  const capture = options.capture === undefined ? {} : { capture: options.capture };
  const result = await runStory({ ...capture, progress });
  print(options, result, describe);
  const whole = result.binding.status === 0 && result.ping.lost === 0 && result.tcp.survived;
  return whole ? 0 : 1;
}

async function withMachine(options: DemoArguments): Promise<number> {
  const capture = options.capture === undefined ? {} : { capture: options.capture };
  const story = await runVmStory({ ...capture, disk: options.disk === true, progress });
  const { figure = FIGURE } = options;
  writeFileSync(figure, figure4(story));
  const result: VmResult = { ...story, figure };
  print(options, result, describeVm);
  return held(result) ? 0 : 1;
}

function print<Result>(
  { json }: DemoArguments,
  result: Result,
  describe: (result: Result) => string,
): void {
  process.stdout.write(json === true ? `${JSON.stringify(result, null, 2)}\n` : describe(result));
}

async function requirePrograms({ vm, disk }: DemoArguments): Promise<void> {
  const wanted = { ...PROGRAMS, ...(disk === true ? { 'qemu-nbd': 'qemu-utils' } : {}) };
  const missing: string[] = [];
  for (const [program, debianPackage] of Object.entries(wanted)) {
    if (!(await installed(program))) missing.push(debianPackage);
  }
  if (missing.length > 0) {
    throw new KagemushaError(
      'PROGRAM_MISSING',
      `the demo needs: ${missing.join(', ')}; run \`npm run setup\` or \`sudo apt-get install ${missing.join(' ')}\``,
    );
  }
  if (vm === true && noVirtualMachine !== false) {
    const message = `there is no virtual machine to run: it ${noVirtualMachine}; \`npm run demo -- --vm\` makes it`;
    throw new KagemushaError('PROGRAM_MISSING', message);
  }
}
