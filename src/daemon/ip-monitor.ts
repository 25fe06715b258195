import { type ChildProcess, spawn } from 'node:child_process';
import { PATH } from './ip-route.js';

/** What comes together (a link that comes up, a renumbering) is looked at once. */
const SETTLE_MS = 100;
/** Between two looks, however many changes there are: a router's table may change all the time. */
const BETWEEN_MS = 1_000;
/** After the watch began, one more look: changes between the first look and the kernel's promise to tell would be missed. */
const SECOND_LOOK_MS = 1_000;
/** After a look that failed. */
const RETRY_MS = 5_000;
/** Before `ip` is started again after it ended, doubling up to the longest. */
const RESTART_MS = { first: 500, longest: 30_000 };

export interface IpMonitorOptions<State> {
  /** The state: once at the start and after every change. */
  readonly onChange: (state: State) => void;
  /** Something does not work now; it is tried again. */
  readonly onError: (error: Error) => void;
}

/** What is watched. */
export interface Watched<State> {
  /** Of `ip`, with `monitor` among them. */
  readonly words: readonly string[];
  readonly read: () => Promise<State>;
  /** Between two looks, however many changes there are; milliseconds, 1000 unless told. */
  readonly between?: number;
}

/**
 * Watches a part of this network namespace with `ip monitor`. What that prints only wakes us, so that no line that is lost or cut can do
 * harm: the state is read anew each time.
 */
export class IpMonitor<State> {
  readonly #options: IpMonitorOptions<State>;
  readonly #watched: Watched<State>;
  #child: ChildProcess | undefined;
  #look: NodeJS.Timeout | undefined;
  #start: NodeJS.Timeout | undefined;
  #reading = false;
  /** Something changed while the state was being read. */
  #again = false;
  #lastLook = Number.NEGATIVE_INFINITY;
  #restart = RESTART_MS.first;
  #closed = false;

  constructor(watched: Watched<State>, options: IpMonitorOptions<State>) {
    this.#watched = watched;
    this.#options = options;
    this.#watch();
  }

  /** Ends the watch; nothing is called afterwards. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#look);
    clearTimeout(this.#start);
    this.#child?.kill();
    this.#child = undefined;
  }

  #watch(): void {
    const { words } = this.#watched;
    const name = ['ip', ...words.slice(0, words.indexOf('monitor') + 1)].join(' ');
    const child = spawn('ip', words, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, PATH, LC_ALL: 'C' },
    });
    this.#child = child;
    let ended = false;
    const onEnd = (why: string) => {
      if (ended || this.#closed) return;
      ended = true;
      clearTimeout(this.#start);
      this.#options.onError(new Error(`${name} ${why}; it is started again`));
      this.#start = setTimeout(() => this.#watch(), this.#restart);
      this.#restart = Math.min(2 * this.#restart, RESTART_MS.longest);
    };
    child.once('error', (error) => onEnd(`cannot be run: ${error.message}`));
    child.once('close', (code, signal) => onEnd(`ended (${signal ?? `exit code ${code}`})`));
    child.stdout?.on('data', () => {
      this.#restart = RESTART_MS.first;
      this.#wake(SETTLE_MS);
    });
    this.#wake(0);
    this.#start = setTimeout(() => this.#wake(0), SECOND_LOOK_MS);
  }

  #wake(delay: number): void {
    if (this.#closed) return;
    if (this.#reading) this.#again = true;
    else {
      const { between = BETWEEN_MS } = this.#watched;
      const since = performance.now() - this.#lastLook;
      this.#look ??= setTimeout(() => void this.#read(), Math.max(delay, between - since));
    }
  }

  async #read(): Promise<void> {
    this.#look = undefined;
    this.#reading = true;
    let failed: Error | undefined;
    try {
      const state = await this.#watched.read();
      if (!this.#closed) this.#options.onChange(state);
    } catch (error) {
      failed = error instanceof Error ? error : new Error(String(error));
    }
    this.#reading = false;
    this.#lastLook = performance.now();
    if (this.#closed) return;
    if (failed !== undefined) this.#options.onError(failed);
    const again = this.#again;
    this.#again = false;
    if (failed !== undefined) this.#wake(RETRY_MS);
    else if (again) this.#wake(SETTLE_MS);
  }
}
