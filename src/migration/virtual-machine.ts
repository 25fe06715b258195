/** What a monitor tells of its machine. */
export type VmNews =
  /** QEMU's run state (qapi/run-state.json), when it is asked. */
  | { readonly kind: 'status'; readonly status: string }
  | { readonly kind: 'stop' }
  | { readonly kind: 'resume' }
  /** QEMU's migration status (qapi/migration.json). */
  | { readonly kind: 'migration'; readonly status: string }
  | { readonly kind: 'shutdown' };

export type VmState =
  /** Nobody has told yet. */
  | 'unknown'
  /** It is to come here, or has not begun. */
  | 'awaited'
  | 'running'
  /** It stands still, and is here. */
  | 'paused'
  /** It stands still, the rest of it is on its way to another host. */
  | 'leaving'
  /** It runs on another host, or nowhere. */
  | 'gone';

/** What it means for the guest. */
export type VmChange =
  /** It is to come here, and is elsewhere or nowhere until then; told again while it comes. */
  | 'awaited'
  /** It runs here, and did not before. */
  | 'arrived'
  /** Its migration from here has begun; it still runs. */
  | 'departing'
  /** It has stopped to go to another host; it may come back. */
  | 'leaving'
  /** It has not left after all. */
  | 'returned'
  /** It is on another host, or has ended. */
  | 'left';

/** Run states in which a machine is not here yet. */
const AWAITED: ReadonlySet<string> = new Set(['inmigrate', 'prelaunch', 'preconfig']);
/** In which it is not here any more. */
const GONE: ReadonlySet<string> = new Set(['postmigrate', 'shutdown']);
/** In which it is here and is to be reached: a guest that sleeps may be woken by a packet. */
const RUNNING: ReadonlySet<string> = new Set(['running', 'suspended']);

/** Migration statuses in which none is under way. A snapshot has a `setup`, and no more. */
const NONE: ReadonlySet<string> = new Set(['none', 'setup', 'completed', 'failed', 'cancelled']);

/** Where a virtual machine is, by what its monitor tells. */
export class VirtualMachine {
  #state: VmState = 'unknown';
  /** it was seen running, and not to leave */
  #here = false;
  /** a migration from here has begun, and not ended */
  #migrating = false;

  get state(): VmState {
    return this.#state;
  }

  /** Undefined: it changes nothing for the guest. */
  tell(news: VmNews): VmChange | undefined {
    switch (news.kind) {
      case 'status':
        return this.#onStatus(news.status);
      case 'resume':
        return this.#become('running');
      case 'stop':
        if (this.#state === 'gone') return undefined;
        return this.#become(this.#migrating ? 'leaving' : 'paused');
      case 'migration':
        return this.#onMigration(news.status);
      case 'shutdown':
        return this.#become('gone');
    }
  }

  #onStatus(status: string): VmChange | undefined {
    if (RUNNING.has(status)) return this.#become('running');
    if (AWAITED.has(status)) return this.#become('awaited');
    if (GONE.has(status)) return this.#become('gone');
    if (status === 'finish-migrate') {
      this.#migrating = true;
      return this.#become('leaving');
    }
    // Whether it was here before somebody paused it, who can tell.
    return this.#become(this.#state === 'leaving' ? 'leaving' : 'paused');
  }

  /**
   * Both ends tell of it. Of the one that the machine comes to nothing else than RESUME counts; `completed` comes before it or after it.
   * Where the machine left it stands still by then. With postcopy it runs elsewhere from `postcopy-active` on.
   */
  #onMigration(status: string): VmChange | undefined {
    if (this.#state === 'awaited') return 'awaited';
    if (this.#state === 'unknown' || this.#state === 'gone') return undefined;
    const was = this.#migrating;
    this.#migrating = !NONE.has(status);
    const over = (status === 'completed' && was) || status === 'postcopy-active';
    if (over && this.#state !== 'running') return this.#become('gone');
    if (!this.#migrating || was) return undefined;
    // One that stands still already does not stop again.
    return this.#state === 'paused' ? this.#become('leaving') : 'departing';
  }

  #become(state: VmState): VmChange | undefined {
    const before = this.#state;
    this.#state = state;
    if (state === before) return undefined;
    switch (state) {
      case 'running':
        if (before === 'leaving') this.#migrating = false;
        if (this.#here) return before === 'leaving' ? 'returned' : undefined;
        this.#here = true;
        return 'arrived';
      case 'leaving':
        return 'leaving';
      case 'gone':
        this.#here = this.#migrating = false;
        return 'left';
      case 'awaited':
        this.#here = this.#migrating = false;
        return 'awaited';
      default:
        return undefined;
    }
  }
}
