import { PAPER } from '../../../src/cli/demo/configuration.js';
import { request } from '../../../src/daemon/control-client.js';
import type { BindingStatus, HomeAgentStatus, PingAnswer } from '../../../src/daemon/status.js';
import { KagemushaError } from '../../../src/errors.js';
import { acknowledgedBefore, bindingOf, judgeBinding } from './binding-judge.js';
import type { WireWatch } from './wire-watch.js';

/** What a daemon must know at its first answer after a restart. */
export class RestartJudge {
  /** Restarts of the Home Agent after which a binding had to be there still, and those after which it was not. */
  readonly bindings = { checked: 0, lost: 0 };
  /** Restarts of the host after which the tunnel had to be open at once, and those after which it was not. */
  readonly tunnels = { checked: 0, closed: 0 };
  readonly #wire: WireWatch;
  readonly #hostSocket: string;
  readonly #fail: (what: string, why: string) => void;
  /** When all was as it should be for the last time, and until when the host said to be registered then. */
  #calm = { at: 0, registeredUntil: 0 };

  constructor(wire: WireWatch, hostSocket: string, fail: (what: string, why: string) => void) {
    this.#wire = wire;
    this.#hostSocket = hostSocket;
    this.#fail = fail;
  }

  /** All is as it should be, and this is what the host says of its binding. */
  calm({ expiresIn = 0 }: Pick<BindingStatus, 'expiresIn'>): void {
    const at = Date.now();
    // It says whole seconds.
    this.#calm = { at, registeredUntil: at + 1000 * Math.max(0, expiresIn - 1) };
  }

  /** @param status the first one after kill -9 at `killedAt`, milliseconds since 1970 */
  homeAgent(status: HomeAgentStatus, killedAt: number, what: string): void {
    const acknowledged = acknowledgedBefore(this.#wire.sightings, killedAt);
    const shown = bindingOf(status.bindings);
    const verdict = judgeBinding(acknowledged, shown, PAPER.careOf, Date.now());
    if (verdict === undefined) return;
    this.bindings.checked += 1;
    if (verdict === 'held') return;
    this.bindings.lost += 1;
    this.#fail(what, verdict.lost);
  }

  /**
   * An echo request through the tunnel is the proof that it is open. Where the Home Agent was killed too the request may go
   * unanswered, but it must have a tunnel to go through; nobody waits for its answer then.
   */
  async host(agentWasKilled: boolean, what: string): Promise<void> {
    if (Date.now() > this.#registeredUntil()) return;
    this.tunnels.checked += 1;
    const closed = (why: string): void => {
      this.tunnels.closed += 1;
      this.#fail(what, why);
    };
    const asked = request(this.#hostSocket, 'POST', '/v1/guests/vm1/ping', { count: 1 });
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
}
