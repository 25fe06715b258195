/** What every sans-IO machine offers its driver. */
export interface Machine<Event> {
  handle(now: number, event: Event | { readonly type: 'tick' }): void;
  poll(): unknown;
  wakeAt(): number | undefined;
}

/**
 * A driver without a clock: hands over an event, ticks once when that is asked for already, and throws where a driver would
 * spin: a machine that has just been ticked may not want to be woken at that time, or before.
 */
export function drive<Event>(machine: Machine<Event>, now: number, event: Event): void {
  machine.handle(now, event);
  machine.handle(now, { type: 'tick' });
  const at = machine.wakeAt();
  if (at !== undefined && !(at > now)) throw new Error(`ticked at ${now}, wants ${at}`);
  let outputs = 0;
  while (machine.poll() !== undefined) outputs += 1;
  if (outputs > 40) throw new Error(`${outputs} outputs at once`);
}
