import t from 'tap';
import { benchOptions } from '../../bench/options.js';

const ROWS = ['native', 'kernel', 'tun'];
const options = (words: string) => benchOptions(words === '' ? [] : words.split(' '), ROWS);

t.test('nothing said: micro and path, all of it, three rounds', async (t) => {
  t.same(options(''), {
    parts: ['micro', 'path'],
    quick: false,
    rounds: 3,
    profiles: ['wire', 'shaped'],
    rows: undefined,
    guests: 500,
    moves: 50,
  });
});

t.test('what is said counts', async (t) => {
  t.match(options('--only path --rounds 5 --profile shaped --rows tun,kernel'), {
    parts: ['path'],
    rounds: 5,
    profiles: ['shaped'],
    rows: ['tun', 'kernel'],
  });
  t.match(options('--quick'), { quick: true, rounds: 1, profiles: ['wire'] });
  t.match(options('--quick --profile all'), { profiles: ['wire', 'shaped'] });
  t.match(options('--only scale --guests 50'), { parts: ['scale'], guests: 50 });
  t.match(options('--only moves --moves 4'), { parts: ['moves'], moves: 4 });
  t.match(options('--only micro --only path'), { parts: ['path'] }, 'the last one');
});

t.test('what is wrong is named', async (t) => {
  for (const [words, what] of [
    ['--only nothing', /--only.*micro, path, scale/],
    ['--rows tun,tap', /"tap" is none of native, kernel, tun/],
    ['--rounds 0', /--rounds/],
    ['--rounds x', /--rounds/],
    ['--guests 501', /--guests.*500/],
    ['--moves 51', /--moves.*50/],
    ['--profile fast', /--profile/],
    ['--quack', /--quack/],
    ['more', /more/],
  ] as const) {
    t.throws(() => options(words), what, words);
    t.throws(() => options(words), { code: 'USAGE' }, words);
  }
});
