import t from 'tap';
import {
  busySeconds,
  deviceCounts,
  replyTimes,
  tcpFigures,
  udpFigures,
} from '../../bench/path/parse.js';

t.test('TCP: what the receiver got, and what the sender sent again', async (t) => {
  const output = {
    intervals: [{ sum: { bits_per_second: 1, seconds: 1 } }],
    end: {
      sum_sent: { bits_per_second: 9.9e9, retransmits: 12 },
      sum_received: { bits_per_second: 9.5e9, seconds: 3 },
    },
  };
  t.same(tcpFigures(JSON.stringify(output)), { gbit_per_s: 9.5, retransmits: 12 });
  t.throws(() => tcpFigures('{"error":"unable to connect"}'), /unable to connect/);
  t.throws(() => tcpFigures('{"end":{}}'), /no sum/);
});

t.test('UDP: sent by one end, received by the other', async (t) => {
  const sender = {
    intervals: [
      { sum: { seconds: 0.5, bits_per_second: 0, packets: 900, omitted: true } },
      { sum: { seconds: 1, bits_per_second: 0, packets: 1000 } },
      { sum: { seconds: 1, bits_per_second: 0, packets: 3000 } },
    ],
  };
  const receiver = {
    intervals: [
      { sum: { seconds: 1, bits_per_second: 0, packets: 900, lost_packets: 400 } },
      { sum: { seconds: 1, bits_per_second: 0, packets: 3000, lost_packets: 500 } },
    ],
  };
  const expected = { offered_pps: 2000, delivered_pps: 1500, loss_percent: 25 };
  const up = { ...sender, server_output_json: receiver };
  t.same(udpFigures(JSON.stringify(up), false), expected);
  const down = { ...receiver, server_output_json: sender };
  t.same(udpFigures(JSON.stringify(down), true), expected);
  t.throws(() => udpFigures(JSON.stringify(sender), false), /without intervals/);
});

t.test('ping: the time of each reply', async (t) => {
  const output = `PING 2001:db8::2(2001:db8::2) 56 data bytes
64 bytes from 2001:db8::2: icmp_seq=1 ttl=63 time=0.102 ms
64 bytes from 2001:db8::2: icmp_seq=2 ttl=63 time=12 ms (DUP!)

--- 2001:db8::2 ping statistics ---
3 packets transmitted, 2 received, 33% packet loss, time 22ms
rtt min/avg/max/mdev = 0.102/6.051/12.000/5.949 ms
`;
  t.same(replyTimes(output), [0.102, 12]);
});

t.test(
  '/proc/stat: busy is all but idle, iowait and steal; guests are in user already',
  async (t) => {
    const stat = 'cpu  100 20 300 4000 500 60 70 800 90 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n';
    t.equal(busySeconds(stat), (100 + 20 + 300 + 60 + 70) / 100);
    t.throws(() => busySeconds('cpu0 1 1 1 1 1 1 1 1 1 1\n'), /without a line of all cores/);
  },
);

t.test('/proc/net/dev: both directions of one device', async (t) => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       1       1    0    0    0     0          0         0        1       1    0    0    0     0       0          0
  wan0: 1000      10    0    0    0     0          0         0     2000      20    0    0    0     0       0          0
`;
  t.same(deviceCounts(text, 'wan0'), { octets: 3000, packets: 30 });
  t.throws(() => deviceCounts(text, 'wan1'), /without wan1/);
});
