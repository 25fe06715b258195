import { WireError } from './error.js';
import { concat, copy } from './octets.js';

/*
 * Options of extension headers (RFC 8200 4.2) and of the Mobility Header (RFC 6275 6.2) share one shape:
 * Pad1 is a lone 0, all others are type, length of the data, data.
 */
const PAD1 = 0;
const PADN = 1;
const HEADER = 2;
const LONGEST = 255;

type Pad = { readonly kind: 'pad1' } | { readonly kind: 'padN'; readonly data: Uint8Array };
type Common = Pad | { readonly kind: 'unknown'; readonly type: number; readonly data: Uint8Array };

export type TlvOption<Known> = Known | Common;

interface Raw {
  readonly type: number;
  readonly data: Uint8Array;
}

/** What one family of options adds to the common shape. */
export interface TlvShape<Known extends { readonly kind: string }> {
  readonly what: string;
  /** The only data length a known type may have; undefined where any goes. */
  readonly length: (type: number) => number | undefined;
  /** `data` is a copy and has the right length; undefined for a type that is not known. */
  readonly parse: (type: number, data: Uint8Array) => Known | undefined;
  readonly emit: (option: Known) => Raw;
  /** [x, y]: the option starts at x·n + y. */
  readonly alignment: (option: Known) => readonly [number, number];
}

function isCommon(option: { readonly kind: string }): option is Common {
  return option.kind === 'pad1' || option.kind === 'padN' || option.kind === 'unknown';
}

/** Each option takes at least one octet, so the list is never longer than `bytes`; errors count from `base`. */
export function parseTlv<Known extends { readonly kind: string }>(
  shape: TlvShape<Known>,
  bytes: Uint8Array,
  base: number,
): TlvOption<Known>[] {
  const options: TlvOption<Known>[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const [type = PAD1, length] = bytes.subarray(offset, offset + HEADER);
    if (type === PAD1) {
      options.push({ kind: 'pad1' });
      offset += 1;
      continue;
    }
    if (length === undefined || offset + HEADER + length > bytes.length) {
      throw new WireError(
        'WIRE_TRUNCATED',
        `${shape.what} ${type}: runs past the end`,
        base + offset,
      );
    }
    const wanted = shape.length(type);
    if (wanted !== undefined && wanted !== length) {
      throw new WireError(
        'WIRE_MALFORMED',
        `${shape.what} ${type}: ${length} octets of data instead of ${wanted}`,
        base + offset + 1,
      );
    }
    const data = copy(bytes, offset + HEADER, offset + HEADER + length);
    options.push(
      type === PADN
        ? { kind: 'padN', data }
        : (shape.parse(type, data) ?? { kind: 'unknown', type, data }),
    );
    offset += HEADER + length;
  }
  return options;
}

/** Nothing for Pad1, the one option without a length. */
function emitCommon(option: Common): Raw | undefined {
  switch (option.kind) {
    case 'pad1':
      return undefined;
    case 'padN':
      return { type: PADN, data: option.data };
    case 'unknown':
      return option;
  }
}

function emitOne<Known extends { readonly kind: string }>(
  shape: TlvShape<Known>,
  option: TlvOption<Known>,
): Uint8Array {
  const raw = isCommon(option) ? emitCommon(option) : shape.emit(option);
  if (raw === undefined) return Uint8Array.of(PAD1);
  const { type, data } = raw;
  if (!Number.isInteger(type) || type <= PAD1 || type > 255) {
    throw new WireError('WIRE_RANGE', `${shape.what}: type ${type} is not 1..255`, 0);
  }
  if (data.length > LONGEST) {
    throw new WireError(
      'WIRE_RANGE',
      `${shape.what} ${type}: ${data.length} octets of data, ${LONGEST} at most`,
      1,
    );
  }
  return concat([Uint8Array.of(type, data.length), data]);
}

export function emitTlv<Known extends { readonly kind: string }>(
  shape: TlvShape<Known>,
  options: readonly TlvOption<Known>[],
): Uint8Array {
  return concat(options.map((option) => emitOne(shape, option)));
}

function padding(length: number): Pad[] {
  if (length === 0) return [];
  return length === 1
    ? [{ kind: 'pad1' }]
    : [{ kind: 'padN', data: new Uint8Array(length - HEADER) }];
}

/** @param start octets of the header before its first option */
export function alignTlv<Known extends { readonly kind: string }>(
  shape: TlvShape<Known>,
  options: readonly TlvOption<Known>[],
  start: number,
): TlvOption<Known>[] {
  const aligned: TlvOption<Known>[] = [];
  let offset = start;
  for (const option of options) {
    if (option.kind === 'pad1' || option.kind === 'padN') continue;
    const [x, y] = isCommon(option) ? [1, 0] : shape.alignment(option);
    const gap = (x - ((offset - y) % x)) % x;
    aligned.push(...padding(gap), option);
    offset += gap + emitOne(shape, option).length;
  }
  aligned.push(...padding((8 - (offset % 8)) % 8));
  return aligned;
}
