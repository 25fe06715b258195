import type { Engine, SlowPathPacket } from '../datapath/index.js';

/**
 * Hands every waiting slow-path packet to `dispatch`, which must be done with its octets when it returns. One packet that makes it
 * throw, which none should, does not keep the others from being heard: `onFailure` gets the error.
 */
export function drainSlowPath(
  engine: Engine,
  dispatch: (packet: SlowPathPacket) => void,
  onFailure: (error: unknown) => void,
): void {
  for (let packet = engine.receive(); packet; packet = engine.receive()) {
    try {
      dispatch(packet);
    } catch (error) {
      onFailure(error);
    } finally {
      packet.release();
    }
  }
}
