import type { HomeLinkDefenderEvent, HomeLinkDefenderOutput } from '../../src/homelink/index.js';
import { HomeLinkDefender } from '../../src/homelink/index.js';
import type { HomeAgentEvent, HomeAgentOutput } from '../../src/signaling/index.js';
import type { Address, Icmpv6Message } from '../../src/wire/index.js';
import { parseMac, solicitedNode, UNSPECIFIED } from '../../src/wire/index.js';
import { drain } from './drain.js';
import type { UpdateFields } from './home-agent-harness.js';
import { AgentHarness, bindingUpdate } from './home-agent-harness.js';
import { icmpv6Frame, read, solicitation } from './link-frames.js';
import { isMldReport } from './mld.js';
import { HOME_AGENT, HOME_PREFIX, HOST_A } from './testbed-addresses.js';

export const AGENT_MAC = parseMac('02:00:00:00:00:01');
export const HOST_MAC = parseMac('02:00:00:00:00:02');

/** A home agent with its home link, as the driver joins them. */
export class HomeLinkWorld {
  readonly harness = new AgentHarness();
  readonly defender = new HomeLinkDefender({
    mac: AGENT_MAC,
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    random: () => 0.5,
  });
  /** what left, in order: Neighbor Discovery on the home link, and signals */
  readonly log: (
    | ({ readonly at: number; readonly kind: 'frame' } & ReturnType<typeof read>)
    | { readonly at: number; readonly kind: 'agent'; readonly output: HomeAgentOutput }
  )[] = [];

  agent(event: HomeAgentEvent): void {
    for (const output of this.harness.handle(event)) {
      this.log.push({ at: this.harness.now, kind: 'agent', output });
      if (output.type === 'probe' || output.type === 'defend' || output.type === 'release') {
        this.link({ type: output.type, address: output.homeAddress });
      }
    }
  }

  link(event: HomeLinkDefenderEvent): void {
    this.defender.handle(this.harness.now, event);
    for (const output of drain(this.defender)) this.#follow(output);
  }

  #follow(output: HomeLinkDefenderOutput): void {
    switch (output.type) {
      case 'frame':
        if (isMldReport(output.bytes)) break;
        this.log.push({ at: this.harness.now, kind: 'frame', ...read(output.bytes) });
        break;
      case 'unique':
      case 'duplicate':
        this.agent({ type: output.type, homeAddress: output.address });
        break;
      case 'router-advertisement':
        this.agent(output);
    }
  }

  update(fields: UpdateFields = {}): void {
    this.agent({ type: 'signal', signal: bindingUpdate(fields) });
  }

  pass(milliseconds: number): void {
    const end = this.harness.now + milliseconds;
    for (;;) {
      const at = Math.min(this.harness.agent.wakeAt() ?? end, this.defender.wakeAt() ?? end);
      if (at >= end) break;
      this.harness.now = Math.max(this.harness.now, at);
      this.agent({ type: 'tick' });
      this.link({ type: 'tick' });
    }
    this.harness.now = end;
    this.agent({ type: 'tick' });
    this.link({ type: 'tick' });
  }

  /** A node of the home link sends. */
  hear(message: Icmpv6Message, destination: Address, source = HOST_A): void {
    const bytes = icmpv6Frame({ message, destination, source, sourceMac: HOST_MAC });
    this.link({ type: 'frame', bytes });
  }

  /** A node of the home link asks for this address. */
  ask(target: Address, source = HOST_A): void {
    const options =
      source === UNSPECIFIED ? [] : [{ kind: 'source-link-layer-address', mac: HOST_MAC } as const];
    this.hear(solicitation(target, options), solicitedNode(target), source);
  }

  /** Takes what was logged so far. */
  take(): HomeLinkWorld['log'] {
    return this.log.splice(0);
  }

  frames() {
    return this.take().flatMap((entry) => (entry.kind === 'frame' ? [entry] : []));
  }
}
