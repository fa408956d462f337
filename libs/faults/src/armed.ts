import { createArmedFaults } from './create-armed-faults.ts';

/*
 * The door that `node --conditions=millrace-chaos` opens instead of inert.ts. The counters in here are state of the
 * module, because a crash point is called from everywhere and must cost nothing to those who know nothing of it.
 */
const faults = createArmedFaults(process.env['CHAOS_DIRECTORY'] ?? null, (signal) => {
  if (signal !== 'BLOCK') process.kill(process.pid, signal);
  else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20_000);
});

/** Kills this process if the orders in CHAOS_DIRECTORY say so. */
export const crashPoint = faults.crashPoint;

/** Whether the orders in CHAOS_DIRECTORY plant this defect. */
export const hasDefect = faults.hasDefect;
