import t from 'tap';
import { manyToOne, perGuest, type ScaleRun } from '../../bench/path/scale.js';

t.test('what each further guest adds to what is resident', async (t) => {
  const standing = [1, 100, 501].map((guests) => ({
    guests,
    figures: { host_rss_bytes: 80e6 + guests * 65_536, home_agent_rss_bytes: 70e6 + guests * 1024 },
  }));
  const slope = { host: 64, home_agent: 1 };
  t.same(perGuest(standing), {
    host_beyond_1: slope.host,
    host_beyond_100: slope.host,
    home_agent_beyond_1: slope.home_agent,
    home_agent_beyond_100: slope.home_agent,
  });
  t.same(perGuest(standing.slice(0, 1)), {}, 'one guest tells nothing');
});

t.test('many ÷ one of the same round; a cost the other way round', async (t) => {
  const runs = [1, 2, 3].flatMap((round): ScaleRun[] => [
    {
      round,
      guests: 1,
      senders: 1,
      direction: 'up',
      figures: { gbit_per_s: 4 / round, host_ns_per_packet: 1000 },
    },
    {
      round,
      guests: 500,
      senders: 16,
      direction: 'up',
      figures: { gbit_per_s: 3 / round, host_ns_per_packet: 1250 },
    },
    {
      round,
      guests: 500,
      senders: 16,
      direction: 'down',
      figures: { gbit_per_s: 9, host_ns_per_packet: 1 },
    },
  ]);
  t.same(manyToOne(runs, 'up'), { gbit_per_s: 0.75, host_ns_per_packet: 0.8 });
  t.same(manyToOne([], 'up'), {});
});
