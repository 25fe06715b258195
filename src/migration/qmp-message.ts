import { z } from 'zod';
import type { Millis } from '../time.js';

/** What a QEMU says over its monitor, one line of JSON each (QEMU, docs/interop/qmp-spec). */
export type QmpMessage =
  | { readonly kind: 'greeting'; readonly version: string }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number | undefined; readonly description: string }
  | {
      readonly kind: 'event';
      readonly name: string;
      readonly data: Readonly<Record<string, unknown>>;
      /** When it happened, milliseconds since 1970. */
      readonly at: Millis;
    };

const part = z.number().int();
const greeting = z.looseObject({
  QMP: z.looseObject({
    version: z.looseObject({ qemu: z.looseObject({ major: part, minor: part, micro: part }) }),
  }),
});
const answer = z.looseObject({ return: z.unknown(), id: z.number() });
const error = z.looseObject({
  error: z.looseObject({ desc: z.string() }),
  id: z.number().optional(),
});
const event = z.looseObject({
  event: z.string(),
  data: z.record(z.string(), z.unknown()).default({}),
  timestamp: z.looseObject({ seconds: z.number(), microseconds: z.number() }),
});

/** One line of a monitor; undefined: a QEMU says no such thing. */
export function parseQmp(line: string): QmpMessage | undefined {
  const json = readJson(line);
  if (typeof json !== 'object' || json === null) return undefined;
  if ('event' in json) {
    const told = event.safeParse(json).data;
    if (told === undefined) return undefined;
    const at = 1000 * told.timestamp.seconds + told.timestamp.microseconds / 1000;
    return { kind: 'event', name: told.event, data: told.data, at };
  }
  if ('return' in json) {
    const told = answer.safeParse(json).data;
    return told && { kind: 'return', id: told.id, value: told.return };
  }
  if ('error' in json) {
    const told = error.safeParse(json).data;
    return told && { kind: 'error', id: told.id, description: told.error.desc };
  }
  const told = greeting.safeParse(json).data?.QMP.version.qemu;
  return told && { kind: 'greeting', version: `${told.major}.${told.minor}.${told.micro}` };
}

function readJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
