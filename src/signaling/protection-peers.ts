/** More home agents than a home network has; one that was made up (DHAAD is not authenticated) leaves first. */
const MOST = 32;

interface Peer<State> {
  state: State;
  /** something of it was authentic */
  proven: boolean;
}

/** What is remembered of each node that shares a key with us, in bounded memory. */
export class Peers<Key, State> {
  readonly #make: (key: Key) => State;
  readonly #peers = new Map<Key, Peer<State>>();

  constructor(make: (key: Key) => State) {
    this.#make = make;
  }

  get(key: Key): State | undefined {
    return this.#peers.get(key)?.state;
  }

  /** Its state, made if there is none. */
  learn(key: Key): State {
    const known = this.#peers.get(key);
    if (known !== undefined) return known.state;
    if (this.#peers.size >= MOST) this.#forgetOne();
    const state = this.#make(key);
    this.#peers.set(key, { state, proven: false });
    return state;
  }

  prove(key: Key): void {
    const peer = this.#peers.get(key);
    if (peer !== undefined) peer.proven = true;
  }

  /** Makes the state of each one anew. */
  renew(): void {
    for (const [key, peer] of this.#peers) peer.state = this.#make(key);
  }

  #forgetOne(): void {
    const [oldest] = this.#peers.keys();
    const unproven = [...this.#peers].find(([, { proven }]) => !proven)?.[0];
    const victim = unproven ?? oldest;
    if (victim !== undefined) this.#peers.delete(victim);
  }
}
