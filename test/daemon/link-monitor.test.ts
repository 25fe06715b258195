import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import type { LinkState } from '../../src/daemon/link-monitor.js';

const root = process.getuid?.() === 0;
const netns = `kgtest-${process.pid}-link`;
const ip = (words: string) => execFileSync('ip', words.split(' '), { encoding: 'utf8' });

if (!root) {
  t.pass('needs root', { skip: 'network namespaces of its own need root here' });
} else {
  t.before(() => {
    ip(`netns add ${netns}`);
    ip(`-n ${netns} link add wan0 type veth peer name wan1`);
    ip(`-n ${netns} link set wan0 up`);
  });
  t.teardown(() => ip(`netns del ${netns}`));

  t.test('carrier, a short absence, the end of an interface', async (t) => {
    // `ip` of this process works in the namespace of the test.
    const bin = t.testdir({ ip: `#!/bin/sh\nexec /usr/sbin/ip -n ${netns} "$@"\n` });
    execFileSync('chmod', ['+x', join(bin, 'ip')]);
    process.env.PATH = `${bin}:${process.env.PATH}`;
    const { LinkMonitor, readLink } = await import('../../src/daemon/link-monitor.js');
    let latest: LinkState | 'unknown' | undefined = 'unknown';
    let wake = () => {};
    const monitor = new LinkMonitor('wan0', {
      onChange: (state) => {
        latest = state;
        wake();
      },
      onError: () => {},
    });
    t.teardown(() => monitor.close());
    const until = async (holds: (state: LinkState) => boolean): Promise<LinkState> => {
      for (;;) {
        if (latest !== 'unknown' && latest !== undefined && holds(latest)) return latest;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    t.match(await until(() => true), { up: true, carrier: false });
    ip(`-n ${netns} link set wan1 up`);
    const { changes, mac } = await until(({ carrier }) => carrier);
    t.equal((await readLink('wan0')).mac, mac);
    ip(`-n ${netns} link set wan1 down`);
    ip(`-n ${netns} link set wan1 up`);
    const back = await until((state) => state.carrier && state.changes !== changes);
    t.equal(back.changes, changes + 2, 'it was away, however short');
    ip(`-n ${netns} link set wan0 down`);
    t.match(await until(({ up }) => !up), { carrier: false });
    ip(`-n ${netns} link del wan0`);
    while (latest !== undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    t.pass('it is told to be gone');
    await t.rejects(readLink('wan0'), { code: 'IP_COMMAND_FAILED' });
  });

  t.test('an interface that waits for its switch has no carrier', async (t) => {
    const { linkState } = await import('../../src/daemon/link-monitor.js');
    const flags = ['UP', 'LOWER_UP', 'NO-CARRIER'];
    t.match(linkState({ flags }), { up: true, carrier: false, changes: 0 });
    t.match(linkState({ flags: ['UP', 'LOWER_UP'] }), { carrier: true });
    t.match(linkState({ flags: [] }), { up: false, carrier: false });
  });
}
