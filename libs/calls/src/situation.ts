import type { Json, Lane } from '@millrace/contracts';

/** Where the step stands. Counts are those before this happening. */
export interface Situation {
  attempts: number;
  targetAttempts: number;
  repairs: number;
  /** Fingerprint of the last misfitting answer, null when there was none. */
  lastFingerprint: string | null;
  ambiguousPolicy: 'retry' | 'hold';
  target: string;
  /** Where the step may go when its target is given up, null when nowhere. */
  nextTarget: string | null;
  /** A target that could take the call at once while this one cannot; null when there is none, or nobody asked. */
  freeTarget: string | null;
  /** How the call was served; absent: realtime. */
  lane?: Lane;
  /** What the route wants while none of its targets can be used; absent or null where one can, or where it wants to wait. */
  lastResort?: LastResort | null;
  /** Until the job's deadline; absent or null without one. */
  timeLeftMs?: number | null;
}

/** What is done with a step of a route that is down, instead of waiting. */
export type LastResort =
  | { kind: 'fail' }
  | { kind: 'use'; target: string }
  /** The answer that an identical request got lately. */
  | { kind: 'answer'; output: Json };
