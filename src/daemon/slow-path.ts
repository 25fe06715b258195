import type { Engine, SlowPathPacket } from '../datapath/index.js';

/** Hands every waiting slow-path packet to `dispatch`, which must be done with its octets when it returns. */
export function drainSlowPath(engine: Engine, dispatch: (packet: SlowPathPacket) => void): void {
  for (let packet = engine.receive(); packet; packet = engine.receive()) {
    try {
      dispatch(packet);
    } finally {
      packet.release();
    }
  }
}
