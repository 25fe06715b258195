import t from 'tap';
import { locate } from '../../src/daemon/config/locate.js';

const TEXT = `# [not.a.table]
top = "a = 1 # [no]"
[host] # a comment with ] and "quotes"
socket = '''
[guest]
name = "inside a string"'''
uplink = { kind = "tun", "de vice" = 'kg0' } # inline
list = [ "a",
  "b", # with a comment, and a ]
  { deep = [1,
      2] },
]

[[guest]]
name = "vm1"
port.kind = "tap"
"port".device = "x"
text = """ten \\"""" quotes"""

[guest.security]
kind = "none"

[[guest]]
name = "vm2" 
[[guest.security]]
kind = "a"
[[guest.security]]
"k\\u0069nd" = "b"
`;

t.test('every key, table and element is on its line', async (t) => {
  const places: [line: number, path: (string | number)[]][] = [
    [2, ['top']],
    [3, ['host']],
    [4, ['host', 'socket']],
    [7, ['host', 'uplink']],
    [7, ['host', 'uplink', 'de vice']],
    [8, ['host', 'list', 0]],
    [9, ['host', 'list', 1]],
    [10, ['host', 'list', 2, 'deep', 0]],
    [11, ['host', 'list', 2, 'deep', 1]],
    [14, ['guest', 0]],
    [15, ['guest', 0, 'name']],
    [16, ['guest', 0, 'port']],
    [17, ['guest', 0, 'port', 'device']],
    [18, ['guest', 0, 'text']],
    [20, ['guest', 0, 'security']],
    [21, ['guest', 0, 'security', 'kind']],
    [23, ['guest', 1]],
    [24, ['guest', 1, 'name']],
    [26, ['guest', 1, 'security', 0, 'kind']],
    [27, ['guest', 1, 'security', 1]],
    [28, ['guest', 1, 'security', 1, 'kind']],
  ];
  for (const [line, path] of places) t.equal(locate(TEXT, path), line, path.join('.'));
});

t.test('what is missing is where it would be', async (t) => {
  t.equal(locate(TEXT, ['guest', 1, 'lifetime']), 23);
  t.equal(locate(TEXT, ['guest', 0, 'security', 'spi']), 20);
  t.equal(locate(TEXT, ['host', 'uplink', 'device']), 7);
  t.equal(locate(TEXT, ['nowhere', 'at', 'all']), 1);
  t.equal(locate(TEXT, []), 1);
});

t.test('a long file is scanned once', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, i) => `[[guest]]\nname = "vm${i}"\n`).join('');
  t.equal(locate(many, ['guest', 19_999, 'name']), 40_000);
});
