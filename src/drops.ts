/**
 * What was dropped, by reason. Reasons are literals of the code that drops, never text from a packet, so the map
 * is bounded.
 */
export class Drops extends Map<string, number> {
  count(reason: string): void {
    this.set(reason, (this.get(reason) ?? 0) + 1);
  }
}
