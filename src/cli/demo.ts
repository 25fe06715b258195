import { fileURLToPath } from 'node:url';
import { KagemushaError } from '../errors.js';
import { installed } from './demo/processes.js';
import { endWithMaker, enterSandbox, insideSandbox } from './demo/sandbox.js';
import { runStory } from './demo/story.js';
import { describe } from './demo/table.js';

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

export interface DemoArguments {
  json?: boolean;
  capture?: string;
}

/**
 * `kagemusha demo`: the paper's experiment in namespaces that end with this process. The result goes to standard output,
 * progress to standard error. Gives the exit code: 0 when the guest kept its address, its TCP stream and every ping.
 */
export async function demo(options: DemoArguments): Promise<number> {
  if (!insideSandbox()) {
    await requirePrograms();
    const self = fileURLToPath(new URL('../../bin/kagemusha', import.meta.url));
    const words = [
      ...(options.json === true ? ['--json'] : []),
      ...(options.capture === undefined ? [] : ['--capture', options.capture]),
    ];
    return await enterSandbox([process.execPath, self, 'demo', ...words]);
  }
  endWithMaker();
  const result = await runStory({
    ...(options.capture === undefined ? {} : { capture: options.capture }),
    progress: (line) => process.stderr.write(`· ${line}\n`),
  });
  process.stdout.write(
    options.json === true ? `${JSON.stringify(result, null, 2)}\n` : describe(result),
  );
  const held = result.binding.status === 0 && result.ping.lost === 0 && result.tcp.survived;
  return held ? 0 : 1;
}

async function requirePrograms(): Promise<void> {
  const missing: string[] = [];
  for (const [program, debianPackage] of Object.entries(PROGRAMS)) {
    if (!(await installed(program))) missing.push(debianPackage);
  }
  if (missing.length > 0) {
    throw new KagemushaError(
      'PROGRAM_MISSING',
      `the demo needs: ${missing.join(', ')}; run \`npm run setup\` or \`sudo apt-get install ${missing.join(' ')}\``,
    );
  }
}
