import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAPER } from '../../../src/cli/demo/configuration.js';
import { until } from '../../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../../src/cli/demo/testbed.js';
import { request } from '../../../src/daemon/control-client.js';
import type {
  DaemonStatus,
  HomeAgentBindingStatus,
  PingAnswer,
} from '../../../src/daemon/status.js';
import { KagemushaError } from '../../../src/errors.js';
import { seededRandom } from '../random.js';
import { acknowledgedBefore, judgeBinding } from './binding-judge.js';
import { type CrashReport, countStatuses, reportOf } from './crash-report.js';
import { EchoStream } from './echo-stream.js';
import { judgeAssociations, judgeUpdates } from './sequence-judge.js';
import type { Sighting } from './sightings.js';
import { Victim } from './victim.js';
import { WireWatch } from './wire-watch.js';

/** The instants at which a daemon is killed. */
const SCENES = [
  /** any: a random while after the last round */
  'any',
  /** in the middle of its start, after it was killed once already */
  'start',
  /** between the wish to register and a moment after its answer */
  'registration',
  /** as soon as a Binding Update is on the wire */
  'update',
  /** as soon as a Binding Acknowledgement is on the wire */
  'acknowledgement',
  /** while it reads a changed configuration and follows it */
  'hangup',
] as const;
type Scene = (typeof SCENES)[number];

/** Seconds; SIGHUP changes one into the other. */
const LIFETIMES = [8, 12] as const;
/** Milliseconds within which each random instant lies. */
const WITHIN = { any: 500, registration: 30, hangup: 80 } as const;
const PATIENCE_MS = 20_000;
/** Failures after which more rounds tell nothing new. */
const ENOUGH = 20;

export interface CrashOptions {
  readonly rounds: number;
  /** Of everything that is left to chance. */
  readonly seed: number;
  /** No new round after so many seconds. */
  readonly seconds?: number;
  readonly progress?: (round: number, failures: readonly string[]) => void;
  /** Looks at the capture before it is taken away. */
  readonly inspect?: (capture: string, sightings: readonly Sighting[]) => Promise<void>;
}

/** Kills both daemons of the paper's testbed and starts them again, round after round, judged from outside. */
export async function crashRounds(options: CrashOptions): Promise<CrashReport> {
  const testbed = await buildTestbed({ lifetime: LIFETIMES[0], encryption: 'null' });
  try {
    const capture = join(testbed.directory, 'wan.pcap');
    const wire = await WireWatch.start(testbed.homeAgent, 'wan0', capture);
    const report = await new CrashRun(testbed, wire, options).all();
    await options.inspect?.(capture, wire.sightings);
    return report;
  } finally {
    await testbed.remove();
  }
}

class CrashRun {
  readonly #testbed: Testbed;
  readonly #wire: WireWatch;
  readonly #options: CrashOptions;
  readonly #random: () => number;
  readonly #host: Victim;
  readonly #agent: Victim;
  readonly #scenes: Record<string, number> = {};
  readonly #failures: string[] = [];
  readonly #bindings = { checked: 0, lost: 0 };
  readonly #tunnels = { checked: 0, closed: 0 };
  #rounds = 0;
  #hangups = 0;
  /** When all was as it should be for the last time, and until when the host said to be registered then. */
  #calm = { at: 0, registeredUntil: 0 };

  constructor(testbed: Testbed, wire: WireWatch, options: CrashOptions) {
    const { hostB, homeAgent, files } = testbed;
    this.#testbed = testbed;
    this.#wire = wire;
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#host = new Victim(hostB, 'host', files.host, files.hostSocket);
    this.#agent = new Victim(homeAgent, 'home-agent', files.homeAgent, files.homeAgentSocket);
  }

  async all(): Promise<CrashReport> {
    const { rounds, seed, seconds = Number.POSITIVE_INFINITY, progress } = this.#options;
    const began = performance.now();
    const spent = (): number => Math.round((performance.now() - began) / 1000);
    await this.#prepare();
    const echo = new EchoStream(this.#testbed.guest, PAPER.hostA, 50);
    await this.#recover(echo);
    while (this.#rounds < rounds && this.#failures.length < ENOUGH && spent() < seconds) {
      this.#rounds += 1;
      await this.#round(echo);
      progress?.(this.#rounds, this.#failures);
    }
    const unseen = await this.#wire.stop();
    const { sightings } = this.#wire;
    return {
      rounds: this.#rounds,
      seed,
      seconds: spent(),
      scenes: this.#scenes,
      host: reportOf(this.#host),
      homeAgent: reportOf(this.#agent),
      associations: judgeAssociations(sightings),
      updates: judgeUpdates(sightings),
      acknowledgements: countStatuses(sightings),
      bindings: this.#bindings,
      tunnels: this.#tunnels,
      unseen,
      echo: await echo.stop(),
      failures: this.#failures,
    };
  }

  /** The first start makes the devices; the bridge between the tap and the guest's cable is no daemon's. */
  async #prepare(): Promise<void> {
    const daemons = [await this.#testbed.startHomeAgent(), await this.#testbed.startHost()];
    await this.#testbed.moveGuestToHostB();
    for (const daemon of daemons) await daemon.stop();
  }

  async #round(echo: EchoStream): Promise<void> {
    const scene = this.#pick(SCENES);
    const choices = [[this.#host], [this.#agent], [this.#host, this.#agent]];
    const victims = this.#pick(choices);
    const what = `${scene}: ${victims.map(({ role }) => role).join(' and ')}`;
    this.#scenes[what] = (this.#scenes[what] ?? 0) + 1;
    try {
      await this.#approach(scene, victims);
      await this.#crash(victims);
      if (scene === 'start') {
        await sleep(this.#random() * this.#usualStart(victims));
        await this.#crash(victims);
      }
      const killedAt = Date.now();
      await Promise.all([
        ...victims.map(async (victim) => {
          const status = await victim.ready();
          if (status.role === 'home-agent') this.#judgeBinding(status, killedAt, what);
          else await this.#judgeTunnel(victims.includes(this.#agent), what);
        }),
        this.#settle(echo, victims.includes(this.#host) ? killedAt : 0),
      ]);
      for (const victim of victims) victim.back();
    } catch (error) {
      this.#fail(what, error instanceof Error ? error.message : String(error));
      await this.#recover(echo);
    }
  }

  /** Kill -9, and a new start at once. */
  async #crash(victims: readonly Victim[]): Promise<void> {
    await Promise.all(victims.map(async (victim) => await victim.kill()));
    for (const victim of victims) victim.start();
  }

  /** Waits for the instant of the scene. */
  async #approach(scene: Scene, victims: readonly Victim[]): Promise<void> {
    switch (scene) {
      case 'any':
        await sleep(this.#random() * WITHIN.any);
        break;
      case 'start':
        break;
      case 'registration':
        this.#bind();
        await sleep(this.#random() * WITHIN.registration);
        break;
      case 'update':
      case 'acknowledgement': {
        const next = this.#wire.next(({ message }) => message?.kind === scene, PATIENCE_MS);
        this.#bind();
        if ((await next) === undefined) throw new Error(`no ${scene} after bind`);
        break;
      }
      case 'hangup':
        this.#hangups += 1;
        await this.#testbed.configure({ lifetime: LIFETIMES[this.#hangups % 2 === 0 ? 0 : 1] });
        for (const victim of victims) victim.hangup();
        await sleep(this.#random() * WITHIN.hangup);
        break;
    }
  }

  /** Asks for a Binding Update now. Whoever is killed owes no answer. */
  #bind(): void {
    request(this.#host.socket, 'POST', '/v1/guests/vm1/bind').catch(() => undefined);
  }

  #usualStart(victims: readonly Victim[]): number {
    return Math.max(...victims.map(({ startTimes }) => startTimes.at(-1) ?? 0));
  }

  #judgeBinding(status: DaemonStatus, killedAt: number, what: string): void {
    if (status.role !== 'home-agent') return;
    const acknowledged = acknowledgedBefore(this.#wire.sightings, killedAt);
    const shown = bindingOf(status.bindings);
    const verdict = judgeBinding(acknowledged, shown, PAPER.careOf, Date.now());
    if (verdict === undefined) return;
    this.#bindings.checked += 1;
    if (verdict === 'held') return;
    this.#bindings.lost += 1;
    this.#fail(what, verdict.lost);
  }

  /**
   * What the host was told, it must know at its first answer: an echo request through the tunnel is the proof. Where the Home Agent
   * was killed too the request may go unanswered, but it must have a tunnel to go through; nobody waits for its answer then.
   */
  async #judgeTunnel(agentWasKilled: boolean, what: string): Promise<void> {
    if (Date.now() > this.#registeredUntil()) return;
    this.#tunnels.checked += 1;
    const closed = (why: string): void => {
      this.#tunnels.closed += 1;
      this.#fail(what, why);
    };
    const asked = request(this.#host.socket, 'POST', '/v1/guests/vm1/ping', { count: 1 });
    const answered = asked.then(
      (answer) => {
        const { received } = answer as PingAnswer;
        if (received !== 1 && !agentWasKilled) closed('no echo through the tunnel');
      },
      (error: Error) => {
        const code = error instanceof KagemushaError ? error.code : undefined;
        if (code === 'GUEST_NOT_REGISTERED' || !agentWasKilled) closed(error.message);
      },
    );
    if (!agentWasKilled) await answered;
  }

  /** An acknowledgement since then may have granted less than what was left. */
  #registeredUntil(): number {
    const { at: since, registeredUntil } = this.#calm;
    const { sightings } = this.#wire;
    const ends = sightings
      .slice(sightings.findLastIndex(({ at }) => at <= since) + 1)
      .map(({ at, message }) =>
        message?.kind === 'acknowledgement' && message.status < 128
          ? at + 1000 * message.seconds - 1000
          : Number.POSITIVE_INFINITY,
      );
    return Math.min(registeredUntil, ...ends);
  }

  /** Waits until all is as it should be. @param since a host that was killed must have registered anew after this */
  async #settle(echo: EchoStream, since: number): Promise<void> {
    await until(
      'an acknowledgement after the restart',
      () => (acknowledgedAfter(this.#wire.sightings, since) ? true : undefined),
      PATIENCE_MS,
    );
    let seen = '';
    const registered = await until(
      'registered again',
      async () => {
        const status = await this.#testbed.hostStatus().catch(() => undefined);
        seen = JSON.stringify(status?.guests[0]?.binding);
        const binding = status?.guests[0]?.binding;
        return binding?.state === 'registered' ? binding : undefined;
      },
      PATIENCE_MS,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; the binding is ${seen}`);
    });
    await until(
      'bound',
      async () => {
        const status = await homeAgentStatus(this.#agent.socket).catch(() => undefined);
        return bindingOf(status?.bindings ?? [])?.state === 'bound' ? true : undefined;
      },
      PATIENCE_MS,
    );
    await echo.flows(PATIENCE_MS);
    const left = Math.max(0, (registered.expiresIn ?? 0) - 1);
    const now = Date.now();
    this.#calm = { at: now, registeredUntil: now + 1000 * left };
  }

  /** Starts whoever does not run. */
  async #recover(echo: EchoStream): Promise<void> {
    const victims = [this.#host, this.#agent];
    for (const victim of victims) if (!victim.runs) victim.start();
    await Promise.all(victims.map(async (victim) => await victim.ready()));
    await this.#settle(echo, 0);
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.#random() * choices.length)];
    if (choice === undefined) throw new Error('nothing to choose from');
    return choice;
  }

  #fail(what: string, why: string): void {
    const logs = [this.#host, this.#agent].map(({ role, log }) => `${role} said:\n${log}`);
    this.#failures.push(`round ${this.#rounds}, ${what}: ${why}\n${logs.join('\n')}`);
  }
}

function bindingOf(
  bindings: readonly HomeAgentBindingStatus[],
): HomeAgentBindingStatus | undefined {
  return bindings.find(({ homeAddress }) => homeAddress === PAPER.guest);
}

/** A Binding Update that left after the instant was accepted; at instant 0 any. */
function acknowledgedAfter(sightings: readonly Sighting[], instant: number): boolean {
  const sent = new Set<number>();
  // From the end: a run has many thousands.
  const start = sightings.findLastIndex(({ at }) => at <= instant) + 1;
  for (const { message } of sightings.slice(start)) {
    if (message?.kind === 'update') sent.add(message.sequence);
    else if (message !== undefined && message.status < 128 && sent.has(message.sequence)) {
      return true;
    }
  }
  return false;
}
