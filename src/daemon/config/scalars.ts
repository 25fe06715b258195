import { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import {
  type Address,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../../wire/address.js';
import { isUnicastMac, type Mac, parseMac } from '../../wire/mac.js';
import { nearest } from './nearest.js';
import type { Endpoint } from './types.js';

/*
 * The kinds of values a configuration holds. Every message says what is wrong with the value and what to write
 * instead; the key and the line in front of it come from load.ts.
 */

/** The value as a person wrote it, short enough for one line. */
function shown(value: unknown): string {
  if (value instanceof Date) return 'a date';
  const text =
    JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v)) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

export const wrong = (value: unknown, what: string, example: string) =>
  value === undefined
    ? `is missing; write ${example}`
    : `${shown(value)} is not ${what}; write ${example}`;

/**
 * A table whose unknown keys are errors that name the nearest known one.
 * @param elsewhere keys that are known but not here, and what to do about each
 */
export function table<Shape extends z.ZodRawShape>(
  shape: Shape,
  elsewhere: Readonly<Record<string, string>> = {},
) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') {
        return wrong(issue.input, 'a table', `{ ${known[0]} = … } or a [section] of its own`);
      }
      // One line for each key; load.ts takes them apart.
      return issue.keys
        .map((key) => {
          const place = elsewhere[key];
          if (place !== undefined) return place;
          const near = nearest(key, known);
          const hint =
            near === undefined ? `the keys here are ${known.join(', ')}` : `did you mean ${near}?`;
          return `unknown key; ${hint}`;
        })
        .join('\n');
    },
  });
}

/** A text that `check` takes: it gives what is wrong with it, or undefined. */
function text(what: string, example: string, check: (value: string) => string | undefined) {
  const written = JSON.stringify(example);
  return z
    .string({ error: (issue) => wrong(issue.input, what, written) })
    .superRefine((value, context) => {
      const complaint = check(value);
      if (complaint === undefined) return;
      context.addIssue({
        code: 'custom',
        message: `${shown(value)} ${complaint}; write ${written}`,
      });
    });
}

/** A text that `parse` turns into a value, or refuses with a KagemushaError that names the text. */
function parsed<T>(what: string, example: string, parse: (value: string) => T) {
  const written = JSON.stringify(example);
  return z
    .string({ error: (issue) => wrong(issue.input, what, written) })
    .transform((value, context): T => {
      try {
        return parse(value);
      } catch (cause) {
        if (!(cause instanceof KagemushaError)) throw cause;
        context.addIssue({ code: 'custom', message: `${reason(cause)}; write ${written}` });
        return z.NEVER;
      }
    });
}

/** The message without the place in the bytes that codecs add. */
export function reason(error: KagemushaError): string {
  return error.message.replace(/ \(at offset \d+\)$/, '');
}

function refuse(value: Address, why: string): never {
  throw new KagemushaError('CONFIG_INVALID', `${shown(value)} ${why}`);
}

/** `[2001:db8::1]:7626`, `192.0.2.1:7626`, `host.example.net:7626`. */
export function endpoint(example: string) {
  return parsed('an address and a port', example, (value): Endpoint => {
    const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([\w.-]+)):(\d{1,5})$/.exec(value) ?? [];
    const port = Number(digits);
    const host = bracketed === undefined ? plain : parseAddress(bracketed);
    if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
    throw new KagemushaError('CONFIG_INVALID', `${shown(value)} is no address and port`);
  });
}

/** A DNS name, as certificates have it. */
export function hostName(example: string) {
  return text('a host name', example, (value) => {
    const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
    const isName = value.length <= 253 && new RegExp(`^${label}(\\.${label})*$`, 'i').test(value);
    return isName ? undefined : 'is not a DNS name';
  });
}

/** An address that one node has for itself and that routers forward. */
export function unicastAddress(example: string) {
  return parsed('an IPv6 address', example, (value): Address => parseUnicast(value));
}

/** @throws KagemushaError when it is no address or none that routers forward */
export function parseUnicast(value: string): Address {
  const address = parseAddress(value);
  if (isMulticast(address)) refuse(address, 'is a multicast address');
  if (isLinkLocal(address))
    refuse(address, 'is a link-local address, which routers do not forward');
  if (isUnspecified(address)) refuse(address, 'is the unspecified address');
  if (isLoopback(address)) refuse(address, 'is the loopback address');
  return address;
}

/** fe80::/10 */
export function linkLocalAddress(example: string) {
  return parsed('an IPv6 address', example, (value): Address => {
    const address = parseAddress(value);
    if (!isLinkLocal(address)) refuse(address, 'is not a link-local address');
    return address;
  });
}

/** The link-layer address of one station. */
export function stationMac(example: string) {
  return parsed('a MAC address', example, (value): Mac => {
    const mac = parseMac(value);
    if (!isUnicastMac(mac)) {
      throw new KagemushaError(
        'CONFIG_INVALID',
        `${shown(value)} is not the address of one station`,
      );
    }
    return mac;
  });
}

/** A network prefix, longer than /0 and short enough to hold several addresses. */
export function networkPrefix(example: string) {
  return parsed('an IPv6 prefix', example, (value): Prefix => {
    const prefix = parsePrefix(value);
    if (prefix.length === 0 || prefix.length > 126) {
      throw new KagemushaError('CONFIG_INVALID', `${shown(value)} is not the prefix of a network`);
    }
    return prefix;
  });
}

/** The name of a network device as the kernel takes it (IFNAMSIZ is 16 with the closing zero). */
export function deviceName(example: string) {
  return text('a device name', example, (value) => {
    if (value === '' || value === '.' || value === '..') return 'is not a device name';
    if (/[\s/:%]/.test(value)) return 'is not a device name: no white space, "/", ":" or "%"';
    return Buffer.byteLength(value) > 15 ? 'is too long for a device name (15 letters)' : undefined;
  });
}

/** A name for a person and for a path of the control socket. */
export function plainName(example: string) {
  return text('a name', example, (value) =>
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value)
      ? undefined
      : 'is not a name: up to 63 letters, digits, ".", "_" and "-", a letter or digit first',
  );
}

/** A path of a file with a key. What stands there is not shown: it may be the key itself, by mistake. */
export function keyFilePath(example: string) {
  const write = `write ${JSON.stringify(example)}`;
  return z
    .string({
      error: ({ input }) =>
        input === undefined ? `is missing; ${write}` : `is not a path; ${write}`,
    })
    .refine((value) => value.startsWith('/') && !value.includes('\0'), {
      error: `is not an absolute path (keys stand in a file of their own); ${write}`,
    });
}

/** A network access identifier (RFC 7542 2.2, 2.3): up to 253 octets, printable, at most one realm. */
export function accessIdentifier(example: string) {
  return text('a network access identifier', example, (value) => {
    const octets = Buffer.byteLength(value);
    if (octets === 0 || octets > 253) return 'is not 1 to 253 octets long';
    return /^[^\s@\p{Cc}]*(@[^\s@\p{Cc}]+)?$/u.test(value)
      ? undefined
      : 'is not user or user@realm';
  });
}

export function absolutePath(example: string) {
  return text('a path', example, (value) =>
    value.startsWith('/') && !value.includes('\0') ? undefined : 'is not an absolute path',
  );
}

/** A path of a unix socket: sun_path of unix(7) has 108 octets with the closing zero. */
export function socketPath(example: string) {
  return text('a path', example, (value) => {
    if (!value.startsWith('/') || value.includes('\0')) return 'is not an absolute path';
    return Buffer.byteLength(value) > 107 ? 'is too long for a socket (107 octets)' : undefined;
  });
}

/** A whole number in `min`..`max`, or 0 with `orZero`; `unit` and `multiple` are told to the person. */
export function integer(options: {
  min: number;
  max: number;
  example: number;
  unit?: string;
  multiple?: number;
  orZero?: boolean;
}) {
  const { min, max, example, unit = '', multiple = 1, orZero = false } = options;
  const kind = `${orZero ? '0 or ' : ''}${multiple === 1 ? 'a whole number' : `a multiple of ${multiple}`}`;
  const range = `${kind} from ${min} to ${max}${unit && ` (${unit})`}`;
  const within = (value: number) => value >= min && value <= max && value % multiple === 0;
  return z
    .int({ error: (issue) => wrong(issue.input, range, String(example)) })
    .refine((value) => within(value) || (orZero && value === 0), {
      error: (issue) => wrong(issue.input, range, String(example)),
    });
}

export function flag(example: boolean) {
  return z.boolean({ error: (issue) => wrong(issue.input, 'true or false', String(example)) });
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  const list = words.map((word) => JSON.stringify(word)).join(' or ');
  return z.enum(words, {
    error: (issue) => {
      return wrong(issue.input, 'known here', list);
    },
  });
}

/** An array, of values or of tables. */
export function list<Item extends z.ZodType>(
  item: Item,
  example: string,
  least = 0,
  most = Number.POSITIVE_INFINITY,
) {
  return z
    .array(item, { error: (issue) => wrong(issue.input, 'a list', example) })
    .refine((items) => items.length >= least, { error: `is empty; write ${example}` })
    .refine((items) => items.length <= most, {
      error: ({ input }) => `has ${(input as unknown[]).length} entries; write at most ${most}`,
    });
}

/** A value whose kind decides what it must be: one or a list, a word or an address. */
export function either<Schema extends z.ZodType>(pick: (value: unknown) => Schema) {
  return z.unknown().transform((value, context): z.output<Schema> => {
    const result = pick(value).safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      const { message } = issue;
      const path = [...issue.path];
      if (issue.code === 'unrecognized_keys') {
        context.addIssue({ code: issue.code, keys: issue.keys, message, path });
      } else {
        context.addIssue({ code: 'custom', message, path });
      }
    }
    return z.NEVER;
  });
}
