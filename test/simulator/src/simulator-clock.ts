/**
 * Three clocks. `nowMs` can be moved forward by tests and rules batches and files; `realMs` is the wall
 * clock that clients share, so it dates headers; `monotonicMs` measures sliding minutes and never jumps.
 */
export interface SimulatorClock {
  readonly nowMs: () => number;
  readonly realMs: () => number;
  readonly monotonicMs: () => number;
  readonly advance: (durationMs: number) => void;
}

export function createSimulatorClock(): SimulatorClock {
  let offsetMs = 0;
  return {
    nowMs: () => Date.now() + offsetMs,
    realMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    advance: (durationMs) => {
      offsetMs += Math.max(0, durationMs);
    },
  };
}
