import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { kagemusha } from './kagemusha.js';

const directory = t.testdir();
const config = join(directory, 'host.toml');
const qemu = join(directory, 'qemu');

/** What `check` says of the socket at `path`, and the line after it. */
async function found(path: string, ...words: string[]): Promise<string> {
  writeFileSync(
    config,
    `[host]
control_socket = "${directory}/host.sock"
state_directory = "${directory}"
[[guest]]
name = "vm1"
home_addresses = ["2001:db8:2000::10"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::44"
port = { kind = "qemu-stream", path = "${path}" }
`,
  );
  const { out } = await kagemusha(['check', '--config', config, ...words]);
  const lines = out.split('\n');
  const at = lines.findIndex((line) => line.includes(`socket ${path}`));
  return lines.slice(at, at + 2).join('\n');
}

t.test('check looks at the socket of QEMU', async (t) => {
  const absent = join(qemu, 'vm1.sock');
  t.match(await found(absent), /^ok {7}socket .* of guest vm1: QEMU is not there yet\n/);
  mkdirSync(qemu);
  t.match(await found(absent), /^ok {7}socket .* of guest vm1: QEMU is not there yet\n/);
  const file = join(qemu, 'file');
  writeFileSync(file, '');
  t.match(
    await found(file),
    /^wrong {4}socket .* of guest vm1 is no socket\n +name the addr\.path/,
  );

  const there = join(qemu, 'there.sock');
  const server = createServer().listen(there);
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  chmodSync(there, 0o700);
  t.match(await found(there), /^ok {7}socket .* of guest vm1\n/);
  t.match(
    await found(there, '--user', 'nobody'),
    /^denied {3}socket .* of guest vm1, writable for user \d+\n +sudo setfacl -m u:\d+:rw /,
  );
  chmodSync(there, 0o777);
  t.match(await found(there, '--user', 'nobody'), /^ok {7}socket .* of guest vm1\n/);
});
