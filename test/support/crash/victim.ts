import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type Netns, until } from '../../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../../src/cli/demo/processes.js';
import { requestStatus } from '../../../src/daemon/control-client.js';
import type { DaemonStatus } from '../../../src/daemon/status.js';

export type Role = 'host' | 'home-agent';

/** A daemon that is killed and started again, and what came of it. */
export class Victim {
  readonly role: Role;
  readonly socket: string;
  /** Milliseconds from each start to the first answer on the control socket. */
  readonly startTimes: number[] = [];
  /** Milliseconds from each kill -9 until it served as before. */
  readonly backTimes: number[] = [];
  kills = 0;
  readonly #netns: Netns;
  readonly #configuration: string;
  readonly #log: string;
  #killedAt = 0;
  #child: ChildProcess | undefined;
  #startedAt = 0;

  constructor(netns: Netns, role: Role, configuration: string, socket: string) {
    this.#netns = netns;
    this.role = role;
    this.#configuration = configuration;
    this.socket = socket;
    this.#log = `${configuration}.log`;
  }

  get runs(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it and does not wait. */
  start(): void {
    const log = openSync(this.#log, 'w');
    this.#startedAt = performance.now();
    this.#child = this.#netns.spawn(
      nodeCommand(KAGEMUSHA, this.role, '--config', this.#configuration),
      { stdio: ['ignore', 'ignore', log] },
    );
    closeSync(log);
  }

  /** Its first answer after a start. @throws Error with its last words when it ended instead */
  async ready(): Promise<DaemonStatus> {
    const status = await until(`${this.role} ready`, async () => {
      if (!this.runs) {
        throw new Error(`kagemusha ${this.role} did not start: ${this.#lastWords}`);
      }
      return await requestStatus(this.socket).catch(() => undefined);
    });
    this.startTimes.push(performance.now() - this.#startedAt);
    return status;
  }

  hangup(): void {
    this.#child?.kill('SIGHUP');
  }

  /** SIGKILL; resolves when the process is gone. @throws Error when it had ended by itself */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.runs) {
      throw new Error(`kagemusha ${this.role} had ended before it was killed: ${this.#lastWords}`);
    }
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    this.kills += 1;
    await gone;
    this.#killedAt = performance.now();
  }

  /** It serves as before it was killed. */
  back(): void {
    this.backTimes.push(performance.now() - this.#killedAt);
  }

  /** Everything it said since it was started last. */
  get log(): string {
    return readFileSync(this.#log, 'utf8').trim();
  }

  get #lastWords(): string | undefined {
    return this.log.split('\n').at(-1);
  }
}
