/**
 * Values of the configuration contract that this version does not build yet. Each gives an error of its own, so that
 * nobody takes them for typing errors. Building one means taking it off this list and adding it to the schema.
 */
export const NOT_BUILT = {
  register: ['qmp'],
} as const;

const MARK = 'is not built yet in this version';

/** `"qmp" is not built yet in this version; write "start"`. */
export function notBuilt(what: string, instead: string): string {
  return `${what} ${MARK}; ${instead}`;
}

/** Whether a message came from {@link notBuilt}: other complaints about the same table say nothing new then. */
export function isNotBuilt(message: string): boolean {
  return message.includes(MARK);
}
