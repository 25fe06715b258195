import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chooseCareOf } from '../../src/daemon/care-of-auto.js';
import type { SystemState } from '../../src/daemon/setup/system.js';

const root = process.getuid?.() === 0;
const netns = `kgtest-${process.pid}-monitor`;
const ip = (words: string) => execFileSync('ip', words.split(' '), { encoding: 'utf8' });

if (!root) {
  t.pass('needs root', { skip: 'network namespaces of its own need root here' });
} else {
  t.before(() => {
    ip(`netns add ${netns}`);
    ip(`-n ${netns} link set lo up`);
    ip(`-n ${netns} link add wan0 type veth peer name wan1`);
    ip(`-n ${netns} link set wan0 up`);
    ip(`-n ${netns} link set wan1 up`);
  });
  t.teardown(() => ip(`netns del ${netns}`));

  t.test('a new prefix, a new address; the watch that was killed begins again', async (t) => {
    // `ip` of this process works in the namespace of the test.
    const bin = t.testdir({ ip: `#!/bin/sh\nexec /usr/sbin/ip -n ${netns} "$@"\n` });
    execFileSync('chmod', ['+x', join(bin, 'ip')]);
    process.env.PATH = `${bin}:${process.env.PATH}`;
    const { AddressMonitor } = await import('../../src/daemon/address-monitor.js');

    let latest: SystemState | undefined;
    let looks = 0;
    const errors: string[] = [];
    let wake = () => {};
    const monitor = new AddressMonitor({
      onChange: (system) => {
        latest = system;
        looks += 1;
        wake();
      },
      onError: (error) => {
        errors.push(error.message);
        wake();
      },
    });
    t.teardown(() => monitor.close());
    /** Until something holds; the runner's time limit ends what never does. */
    const until = async (holds: () => boolean) => {
      while (!holds()) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    const choice = () => {
      if (latest === undefined) return undefined;
      const secret = new Uint8Array(16);
      const chosen = chooseCareOf(latest, { guest: 'vm1', secret, uplink: 'kg0' });
      return chosen.kind === 'address' ? chosen.prefix.address : chosen.reason;
    };

    await until(() => latest !== undefined);
    t.match(choice(), /no interface has a global \/64/);
    ip(`-n ${netns} address add 2001:db8:3000::3/64 dev wan0 nodad`);
    await until(() => choice() === '2001:db8:3000::');
    ip(`-n ${netns} address flush dev wan0 scope global`);
    ip(`-n ${netns} address add 2001:db8:4000::3/64 dev wan0 nodad`);
    await until(() => choice() === '2001:db8:4000::');

    const before = looks;
    const monitors = childrenNamed('ip');
    t.equal(monitors.length, 1, 'one `ip -6 monitor`');
    for (const pid of monitors) process.kill(pid, 'SIGKILL');
    await until(() => errors.length > 0);
    t.strictSame(errors, ['ip -6 monitor ended (SIGKILL); it is started again']);
    ip(`-n ${netns} address flush dev wan0 scope global`);
    await until(() => looks > before && /no interface/.test(String(choice())));
    ip(`-n ${netns} address add 2001:db8:5000::3/64 dev wan0 nodad`);
    await until(() => choice() === '2001:db8:5000::');

    monitor.close();
    while (childrenNamed('ip').length > 0) spawnSync('true');
    t.pass('no process is left');
  });
}

/** The process ids of the children of this process that run a program of this name as `ip … monitor`. */
function childrenNamed(name: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [, program = '', state, parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(stat) ?? [];
        if (program !== name || Number(parent) !== process.pid || state === 'Z') return false;
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('monitor');
      } catch {
        return false;
      }
    });
}
