import { parseArgs } from 'node:util';
import { KagemushaError } from '../src/errors.js';
import { PROFILES, type Profile } from './path/types.js';

export const PARTS = ['micro', 'path', 'scale', 'moves'] as const;
/** Moves of the moves part unless told. */
export const MOST_MOVES = 50;
/** Guests of the scale part unless told. */
export const MOST_GUESTS = 500;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  readonly parts: readonly Part[];
  /** A look at whether all works; nothing is written. */
  readonly quick: boolean;
  readonly rounds: number;
  readonly profiles: readonly Profile[];
  /** Names of rows; those that a run has unless told. */
  readonly rows: readonly string[] | undefined;
  /** Guests of the scale part. */
  readonly guests: number;
  /** Of the moves part. */
  readonly moves: number;
}

export const USAGE = `npm run bench -- [--only micro|path|scale|moves] [--quick] [--rounds N] [--profile wire|shaped|all] [--rows A,B,…] [--guests N] [--moves N]
  without --only   micro and path; scale and moves only when they are asked for
  --quick          a minute at most, nothing is written
  --rounds N       of the path and scale parts, 3 unless told
  --profile P      of the path part, all unless told
  --rows A,B,…     of the path part; nothing is written
  --guests N       of the scale part, 500 unless told; nothing is written with fewer
  --moves N        of the moves part, 50 unless told; nothing is written with fewer`;

/** @param known names of rows @throws KagemushaError USAGE */
export function benchOptions(words: readonly string[], known: readonly string[]): BenchOptions {
  const values = wordsOf(words);
  const quick = values.quick;
  const only = values.only === undefined ? undefined : oneOf('--only', PARTS, values.only);
  const profile = oneOf('--profile', [...PROFILES, 'all'] as const, values.profile ?? 'all');
  const rows = values.rows?.split(',').map((name) => oneOf('--rows', known, name));
  return {
    parts: only === undefined ? ['micro', 'path'] : [only],
    quick,
    rounds: count('--rounds', values.rounds ?? (quick ? '1' : '3'), 100),
    profiles:
      profile !== 'all' ? [profile] : quick && values.profile === undefined ? ['wire'] : PROFILES,
    rows,
    guests: count('--guests', values.guests ?? (quick ? '20' : `${MOST_GUESTS}`), MOST_GUESTS),
    moves: count('--moves', values.moves ?? (quick ? '4' : `${MOST_MOVES}`), MOST_MOVES),
  };
}

function wordsOf(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        profile: { type: 'string' },
        rows: { type: 'string' },
        guests: { type: 'string' },
        moves: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new KagemushaError('USAGE', error instanceof Error ? error.message : String(error));
  }
}

function oneOf<Word extends string>(option: string, known: readonly Word[], word: string): Word {
  const found = known.find((one) => one === word);
  if (found === undefined)
    throw new KagemushaError('USAGE', `${option}: "${word}" is none of ${known.join(', ')}`);
  return found;
}

function count(option: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new KagemushaError('USAGE', `${option}: "${text}" is no number from 1 to ${most}`);
}
