import type { JobError, Json, StepRequest } from '@millrace/contracts';

/** A step as the ledger has it. */
export interface RecordedStep {
  key: string;
  status: 'open' | 'completed' | 'failed';
  /** The answer of a completed step: text, or JSON where the call has an output schema. */
  output: Json | null;
  error: JobError | null;
  /** The place of its end among the ends of the job's steps, 1, 2, 3 …; null while it is open. */
  ordinal: number | null;
  /** Mean log probability of the answer's tokens, where it was asked for and told. */
  meanLogprob?: number;
}

/** A step that the plan asks for. */
export interface WantedStep {
  key: string;
  request: StepRequest;
  /** True when this step's completion alone may let the plan go on; equal to `barrier === null`. */
  eager: boolean;
  /**
   * The path of the node that waits for this step and its siblings together (`map`, `a.map`), null when nothing else is
   * waited for. The plan goes on when no step of the same barrier is open any more, or when one of them failed.
   */
  barrier: string | null;
}

/** How a node ended: its output, and the ordinal of the step whose end ended the node (0 when it took no step). */
export interface Settled {
  output: Json;
  ordinal: number;
}
